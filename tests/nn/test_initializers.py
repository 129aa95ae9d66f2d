"""Variances and bounds of the initialisers, for the true fan-in and fan-out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.nn import (
    BIAS_INITIALIZERS,
    KERNEL_INITIALIZERS,
    MLP,
    Conv,
    bias_initializer,
    kernel_initializer,
)

# Shape, fan-in, fan-out.
SHAPES = [((200, 300), 200, 300), ((3, 3, 40, 50), 360, 450), ((5, 60, 100), 300, 500)]
VARIANCES = {
    "zeros": lambda i, o: 0.0,
    "ones": lambda i, o: 0.0,
    "small_normal": lambda i, o: 1e-4,
    "normal_fan_in": lambda i, o: 1 / i,
    "lecun_normal": lambda i, o: 1 / i,
    "lecun_uniform": lambda i, o: 1 / i,
    "glorot_normal": lambda i, o: 2 / (i + o),
    "glorot_uniform": lambda i, o: 2 / (i + o),
    "he_normal": lambda i, o: 2 / i,
    "he_uniform": lambda i, o: 2 / i,
    "torch_uniform": lambda i, o: 1 / (3 * i),
}
BOUNDS = {
    "lecun_uniform": lambda i, o: np.sqrt(3 / i),
    "glorot_uniform": lambda i, o: np.sqrt(6 / (i + o)),
    "he_uniform": lambda i, o: np.sqrt(6 / i),
    "torch_uniform": lambda i, o: 1 / np.sqrt(i),
}


def test_every_initialiser_has_a_variance():
    assert {*VARIANCES, "orthogonal"} == set(KERNEL_INITIALIZERS)


@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES, ids=["dense", "conv2d", "conv1d"])
def test_variance_and_bounds(name, shape, fan_in, fan_out):
    draw = np.asarray(kernel_initializer(name)(jax.random.key(0), shape, jnp.float32), np.float64)
    variance = VARIANCES[name](fan_in, fan_out)
    # 30,000 draws or more: the relative error of a variance is below sqrt(2 / 30000) = 0.8 %.
    assert abs(draw.var() - variance) <= 0.03 * variance
    assert abs(draw.mean() - (name == "ones")) <= 4 * np.sqrt(variance / draw.size)
    if name in BOUNDS:
        bound = BOUNDS[name](fan_in, fan_out)
        assert 0.999 * bound < abs(draw).max() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30), (3, 3, 4, 20)])
def test_orthogonal(shape):
    draw = np.asarray(kernel_initializer("orthogonal")(jax.random.key(0), shape, jnp.float32))
    matrix = draw.reshape(-1, shape[-1])
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=2e-6)


@pytest.mark.parametrize("name", BIAS_INITIALIZERS)
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES, ids=["dense", "conv2d", "conv1d"])
def test_bias(name, shape, fan_in, fan_out):
    draw = np.asarray(bias_initializer(name, shape)(jax.random.key(0), (20_000,), jnp.float32))
    assert (
        abs(draw.var() / max(VARIANCES[name](fan_in, fan_out), 1e-30) - 1) < 0.04 or not draw.var()
    )
    if name in BOUNDS:
        bound = BOUNDS[name](fan_in, fan_out)
        assert 0.999 * bound < abs(draw).max() <= bound * (1 + 1e-6)


def test_a_layers_bias_takes_its_kernels_fan_in():
    conv = Conv(4000, 3, kernel_init="torch_uniform", bias_init="torch_uniform")
    params = conv.init(jax.random.key(0), jnp.zeros((1, 3, 3, 2)))["params"]
    for leaf in jax.tree.leaves(params):
        assert 0.99 < float(abs(leaf).max()) * np.sqrt(18) <= 1 + 1e-6
    assert float(abs(params["bias"][:100] - params["kernel"][0, 0, 0, :100]).max()) > 0.1


def test_torch_agrees():
    torch = pytest.importorskip("torch", reason="torch is a peer, not a dependency")
    layer = torch.nn.Linear(40, 20_000)
    for leaf in (layer.weight, layer.bias):
        assert 0.99 < float(leaf.detach().abs().max()) * np.sqrt(40) <= 1 + 1e-6


def test_a_symmetric_start_keeps_units_equal():
    net = MLP([4], 1, kernel_init="ones")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((6, 3)), jnp.float32)
    params = net.init(jax.random.key(0), x)
    kernel = jax.grad(lambda p: net.apply(p, x).sum())(params)["params"]["Dense_0"]["kernel"]
    assert bool((kernel == kernel[:, :1]).all())


def test_unknown_names():
    with pytest.raises(ValueError, match="bias_init: unknown name 'he_normal'"):
        MLP([3], 1, bias_init="he_normal")
    with pytest.raises(ValueError, match="kernel_init: unknown name 'xavier'"):
        MLP([3], 1, kernel_init="xavier")
