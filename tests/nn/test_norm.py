"""Normalisation against NumPy in float64 and against printed numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxnets.nn import normalize


class Layer(nn.Module):
    norm: str | None
    epsilon: float | None = None

    @nn.compact
    def __call__(self, x, train=False):
        return normalize(x, self.norm, train=train, epsilon=self.epsilon)


def batch(*shape, mean=3.0):
    rng = np.random.default_rng(0)
    return (mean + rng.standard_normal(shape) * rng.uniform(1, 4, shape[-1])).astype(np.float32)


@pytest.mark.parametrize("shape", [(16, 3), (4, 5, 3), (4, 5, 6, 3)], ids=str)
def test_batch_norm(shape):
    x, layer = batch(*shape), Layer("batch")
    variables = layer.init(jax.random.key(0), x)
    params = {"BatchNorm_0": {"scale": jnp.array([1.0, 2, 3]), "bias": jnp.array([0.0, 1, -1])}}
    state = variables["batch_stats"]
    axes, wide = tuple(range(x.ndim - 1)), x.astype(np.float64)
    mean, var = wide.mean(axes), wide.var(axes)
    y, changed = layer.apply(
        {"params": params, "batch_stats": state}, x, train=True, mutable=["batch_stats"]
    )
    expected = (wide - mean) / np.sqrt(var + 1e-5) * [1, 2, 3] + [0, 1, -1]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    running = changed["batch_stats"]["BatchNorm_0"]
    # A tenth of the new, with the biased variance.
    np.testing.assert_allclose(running["mean"], 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * var, rtol=1e-5)
    y = layer.apply({"params": params, **changed}, x)
    expected = (wide - 0.1 * mean) / np.sqrt(0.9 + 0.1 * var + 1e-5) * [1, 2, 3] + [0, 1, -1]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 3), (4, 5, 6, 3)], ids=str)
def test_layer_norm_is_over_all_of_an_example(shape):
    x, layer = batch(*shape), Layer("layer")
    y, variables = layer.init_with_output(jax.random.key(0), x)
    wide, axes = x.astype(np.float64), tuple(range(1, x.ndim))
    mean, var = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    np.testing.assert_allclose(y, (wide - mean) / np.sqrt(var + 1e-6), rtol=1e-5, atol=1e-5)
    assert variables["params"]["LayerNorm_0"]["scale"].shape == (3,)


def test_printed_layer_norm():
    x = jnp.arange(5.0).reshape(1, 5)
    params = {"LayerNorm_0": {"scale": jnp.ones(5), "bias": jnp.ones(5)}}
    y = Layer("layer", 1e-3).apply({"params": params}, x)
    np.testing.assert_allclose(y[0], [-0.41386, 0.29307, 1, 1.70693, 2.41386], atol=6e-6)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_variance_does_not_cancel(norm):
    """x = 1e4 + N(0, 1): Flax's fast variance loses all of it."""
    x = (1e4 + np.random.default_rng(0).standard_normal((512, 512))).astype(np.float32)
    layer = Layer(norm)
    variables = layer.init(jax.random.key(0), x)
    y, _ = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    axis = 0 if norm == "batch" else 1
    np.testing.assert_allclose(np.asarray(y, np.float64).std(axis), 1.0, atol=2e-3)


def test_none_and_unknown():
    x = jnp.ones((2, 3))
    assert normalize(x, None, train=True) is x
    with pytest.raises(ValueError, match="norm: unknown name 'group'"):
        normalize(x, "group", train=True)
