import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import penalties


class Everything(nn.Module):
    """One of each kind of parameter that Flax makes."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (3, 3))(x)
        x = nn.BatchNorm(use_running_average=False)(x)
        x = nn.LayerNorm(reduction_axes=(-2, -1), feature_axes=(-2, -1))(x)
        x = nn.PReLU()(x)
        x = x.reshape(x.shape[0], -1, 4)
        x = nn.MultiHeadDotProductAttention(num_heads=2)(x)
        return nn.Dense(1)(x)


@functools.cache
def make_params():
    variables = Everything().init(jax.random.key(0), jnp.ones((2, 4, 4, 2)))
    return variables["params"]


def test_mask_takes_kernels_and_nothing_else():
    params = make_params()
    mask = penalties.kernel_mask(params)
    assert jax.tree.structure(mask) == jax.tree.structure(params)
    flat = jax.tree_util.tree_flatten_with_path(mask)[0]
    names = {path[-1].key for path, _ in flat}
    assert names == {"kernel", "bias", "scale", "negative_slope"}
    # The norm over two axes and attention have scales and biases of rank two.
    ranks = {
        jnp.ndim(p)
        for p, m in zip(jax.tree.leaves(params), jax.tree.leaves(mask), strict=True)
        if not m
    }
    assert ranks == {0, 1, 2}
    for path, taken in flat:
        assert taken is (path[-1].key == "kernel")


def test_mask_of_trees_without_names():
    assert penalties.kernel_mask((jnp.ones((2, 3)), jnp.ones(3), 0.5)) == (True, False, False)
    assert penalties.kernel_mask(jnp.ones((2, 3))) is True


def test_mask_per_member_under_vmap():
    stacked = {"kernel": jnp.ones((5, 2, 3)), "other": jnp.ones((5, 3))}

    def one(params):
        assert penalties.kernel_mask(params) == {"kernel": True, "other": False}
        return penalties.l2(params)

    np.testing.assert_array_equal(jax.vmap(one)(stacked), np.full(5, 6.0))


@pytest.mark.parametrize("which", ["kernels", "all"])
def test_sums_equal_numpy(which):
    params = make_params()
    keep = jax.tree.leaves(penalties.kernel_mask(params))
    leaves = [
        np.asarray(leaf, np.float64)
        for leaf, kernel in zip(jax.tree.leaves(params), keep, strict=True)
        if kernel or which == "all"
    ]
    l1 = sum(np.abs(leaf).sum() for leaf in leaves)
    l2 = sum((leaf**2).sum() for leaf in leaves)
    assert (len(leaves) == len(keep)) == (which == "all")
    np.testing.assert_allclose(penalties.l1(params, which), l1, rtol=1e-6)
    np.testing.assert_allclose(penalties.l2(params, which), l2, rtol=1e-6)
    got = penalties.penalty(params, l1=0.3, l2=0.7, which=which)
    np.testing.assert_allclose(got, 0.3 * l1 + 0.7 * l2, rtol=1e-6)
    assert got.dtype == jnp.float32
    assert got.shape == ()


def test_gradients_by_hand_and_zero_at_zero():
    w = jnp.array([[0.0, -2.0, 3.0]])
    np.testing.assert_array_equal(jax.grad(penalties.l1)(w), [[0.0, -1.0, 1.0]])
    np.testing.assert_array_equal(jax.grad(penalties.l2)(w), [[0.0, -4.0, 6.0]])


def test_half_of_torchs_weight_decay_is_the_same_gradient():
    params = make_params()
    decay = optax.add_decayed_weights(0.3, mask=penalties.kernel_mask)
    zeros = jax.tree.map(jnp.zeros_like, params)
    want, _ = decay.update(zeros, decay.init(params), params)
    got = jax.grad(lambda p: penalties.penalty(p, l2=0.15))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, want)


def test_factors_per_member():
    params = make_params()

    def one(l1, l2):
        return penalties.penalty(params, l1=l1, l2=l2)

    l1, l2 = jnp.array([0.0, 1.0, 0.5]), jnp.array([0.0, 0.0, 2.0])
    got = jax.jit(jax.vmap(one))(l1, l2)
    want = [
        penalties.penalty(params, l1=a, l2=b) for a, b in zip(l1.tolist(), l2.tolist(), strict=True)
    ]
    np.testing.assert_allclose(got, np.array(want), rtol=1e-6)
    assert got[0] == 0


def test_empty_and_narrow():
    assert float(penalties.l2({})) == 0.0
    assert float(penalties.l1({"bias": jnp.ones(3)})) == 0.0
    narrow = {"kernel": jnp.ones((100, 100), jnp.bfloat16)}
    assert penalties.l2(narrow).dtype == jnp.float32
    assert float(penalties.l2(narrow)) == 10_000.0


def test_unknown_which():
    with pytest.raises(ValueError, match=r"which: unknown name 'kernel'\. Did you mean 'kernels'"):
        penalties.l1({}, which="kernel")
