"""The same numbers, and one computation of them however many read it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.devices import traced_for
from jaxnets.nn.once import once

NUMBERS = [0.0, -0.0, 0.1, -6e4, 6.2e-5, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("function", [once, jax.jit(once), jax.vmap(once)])
def test_no_bit_is_another(function, dtype):
    x = jnp.array(NUMBERS, dtype)
    got = function(x)
    assert got.dtype == x.dtype
    finite = ~np.isnan(np.asarray(x, np.float32))  # which NaN it is says nothing
    np.testing.assert_array_equal(np.asarray(got[finite]).view(np.uint8),
                                  np.asarray(x[finite]).view(np.uint8))  # fmt: skip
    np.testing.assert_array_equal(np.isnan(np.asarray(got, np.float32)), ~finite)


def test_the_derivative_is_one_wherever_it_is_asked_for():
    x = jnp.array([0.5, -2.0, 0.0])

    def cube(x):
        return (once(x) ** 3).sum()

    np.testing.assert_array_equal(jax.grad(lambda x: once(x).sum())(x), jnp.ones(3))
    np.testing.assert_allclose(jax.hessian(cube)(x), jnp.diag(6 * x), rtol=1e-6)
    assert jax.jvp(once, (x,), (x,))[1].tolist() == x.tolist()


def stream(x, weights, keep):
    """Three blocks of a residual network, every sum of which has two readers."""
    for w in weights:
        x = keep(jnp.maximum(x + x @ w, 0))
    return x


@pytest.mark.optimized
def test_it_is_computed_once():
    """Without, XLA computes the first two sums again for the next one; with it, nothing twice."""
    arrays = jnp.ones((64, 128)), jnp.ones((3, 128, 128))

    def sums(keep):
        text = jax.jit(lambda x, w: stream(x, w, keep)).lower(*arrays).compile().as_text()
        return text.count(" maximum(")

    assert sums(once) == 3
    assert sums(lambda x: x) > 3


def test_elsewhere_it_is_nothing():
    with traced_for("gpu"):
        assert "div" not in str(jax.make_jaxpr(lambda x: once(x))(jnp.ones(2)))
