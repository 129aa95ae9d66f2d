"""Residual networks against NumPy in float64, shortcuts among them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.nn import ResidualMLP, ResNet
from jaxnets.nn.residual import padded_identity

X = np.random.default_rng(0).standard_normal((6, 5)).astype(np.float32)


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("preactivation", [False, True])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_residual_mlp(preactivation, scale):
    net = ResidualMLP(
        4,
        2,
        3,
        layers_per_block=1,
        preactivation=preactivation,
        branch_scale=scale,
        bias_init="small_normal",
    )
    variables = jax.jit(net.init)(jax.random.key(0), X)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])

    def dense(i, h):
        return h @ p[f"Dense_{i}"]["kernel"] + p[f"Dense_{i}"]["bias"]

    h, factor = dense(0, X), 1.0 if scale is None else scale
    h = h if preactivation else relu(h)
    for i in (1, 2):
        h = h + factor * (dense(i, relu(h)) if preactivation else relu(dense(i, h)))
    expected = dense(3, relu(h) if preactivation else h)
    np.testing.assert_allclose(net.apply(variables, X), expected, rtol=1e-5, atol=1e-6)


def test_shortcut_subsamples_and_pads_with_zeros():
    x = np.random.default_rng(0).standard_normal((2, 5, 6, 3)).astype(np.float32)
    y = np.asarray(padded_identity(jnp.asarray(x), 7, 2))
    np.testing.assert_array_equal(y[..., :3], x[:, ::2, ::2])
    assert y.shape == (2, 3, 3, 7)
    assert not y[..., 3:].any()


def test_resnet_without_branches_is_its_shortcuts():
    """With a branch scale of zero only the first convolution and the shortcuts are left."""
    net = ResNet(8, 4, branch_scale=0.0, norm=None)
    x = np.random.default_rng(0).standard_normal((2, 9, 8, 3)).astype(np.float32)
    variables = jax.jit(net.init)(jax.random.key(0), x)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    h = sum(
        padded[:, i : i + 9, j : j + 8] @ p["Conv_0"]["kernel"][i, j]
        for i in range(3)
        for j in range(3)
    )
    h = relu(h)[:, ::2, ::2][:, ::2, ::2].mean((1, 2))
    kernel = p["Dense_0"]["kernel"]
    expected = h @ kernel[:16] + p["Dense_0"]["bias"]
    np.testing.assert_allclose(jax.jit(net.apply)(variables, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_published_parameter_counts(depth):
    """At 32x32x3, from the paper's widths: counted by tracing, nothing is computed."""
    published = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962}
    shapes = jax.eval_shape(ResNet(depth).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == published[depth]


@pytest.mark.parametrize("depth", [2, 18, 21])
def test_depths_that_do_not_exist(depth):
    with pytest.raises(ValueError, match=f"depth: expected 6 n \\+ 2 .* got {depth}"):
        ResNet(depth)
