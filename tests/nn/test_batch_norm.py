"""The written derivative of batch normalisation, against the paper's formulas and differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxnets.nn.batch_norm import BatchNorm, normalized

SHAPES = [(16, 3), (4, 5, 3), (4, 5, 6, 3), (1, 5, 3)]


def arrays(shape, dtype=np.float32):
    """Rows, scale, bias, and the gradient of the result."""
    rng = np.random.default_rng(0)
    x, gy = 3 + 2 * rng.standard_normal(shape), rng.standard_normal(shape)
    scale, bias = rng.uniform(0.5, 2, shape[-1]), rng.standard_normal(shape[-1])
    return [np.asarray(a, dtype) for a in (x, scale, bias, gy)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients(shape):
    """Ioffe and Szegedy 2015, section 3: one formula after the other, in float64."""
    *primals, gy = arrays(shape)
    _, back = jax.vjp(lambda *a: normalized(*a, 1e-5)[0], *primals)
    got = jax.jit(back)(gy)
    x, scale, _, g = (np.asarray(a, np.float64) for a in (*primals, gy))
    axes = tuple(range(len(shape) - 1))
    m, mean, var = x.size // shape[-1], x.mean(axes), x.var(axes)
    g_hat = g * scale
    g_var = (g_hat * (x - mean)).sum(axes) * -0.5 * (var + 1e-5) ** -1.5
    g_mean = -g_hat.sum(axes) / np.sqrt(var + 1e-5) + g_var * (-2 * (x - mean)).mean(axes)
    gx = g_hat / np.sqrt(var + 1e-5) + g_var * 2 * (x - mean) / m + g_mean / m
    hat = (x - mean) / np.sqrt(var + 1e-5)
    for a, b in zip(got, (gx, (g * hat).sum(axes), g.sum(axes)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * np.abs(b).max())


def test_derivatives_of_any_order():
    """Of the result, the mean and the variance, forward and backward, by differences."""
    with jax.enable_x64(True):
        *primals, _ = arrays((6, 2), np.float64)
        check_grads(lambda *a: normalized(*a, 1e-3), primals, order=2, modes=["fwd", "rev"])


def test_the_gradient_takes_two_sums():
    """A third one, that differentiation makes by itself, is zero."""

    def sums(fun):
        x, scale, bias, _ = arrays((16, 3))
        _, back = jax.vjp(fun, x, scale, bias)
        return str(jax.make_jaxpr(back)(x)).count("reduce_sum")

    def differentiated(x, scale, bias):
        return normalized.fun(x, scale, bias, 1e-5)[0]

    assert sums(lambda *a: normalized(*a, 1e-5)[0]) == 2 < sums(differentiated)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=lambda d: d.__name__)
def test_dtypes(dtype):
    """Statistics and parameters are float32, the result is as asked or as the rows promote."""
    x = jnp.asarray(arrays((16, 3))[0], dtype)
    for asked in (None, dtype):
        layer = BatchNorm(dtype=asked)
        variables = layer.init(jax.random.key(0), x, train=True)
        y, changed = layer.apply(variables, x, train=True, mutable=["batch_stats"])
        assert y.dtype == (asked or jnp.float32)
        assert {a.dtype for a in jax.tree.leaves((variables, changed))} == {jnp.dtype("float32")}
        wide = np.asarray(x, np.float64)
        expected = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5)
        tolerance = 1e-5 if y.dtype == jnp.float32 else 2**-7
        np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=0, atol=tolerance)


def test_running_statistics_keep_their_dtype():
    with jax.enable_x64(True):
        layer, (x, *_) = BatchNorm(), arrays((16, 3), np.float64)
        variables = layer.init(jax.random.key(0), x, train=True)
        y, changed = layer.apply(variables, x, train=True, mutable=["batch_stats"])
        assert y.dtype == jnp.float64
        assert {a.dtype for a in jax.tree.leaves(changed)} == {jnp.dtype("float32")}
