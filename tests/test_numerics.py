import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import numerics


def test_absolute_is_abs_but_for_its_slope_at_zero():
    x = jnp.array([-jnp.inf, -2.5, -0.0, 0.0, 1e-30, 3.0, jnp.inf])
    np.testing.assert_array_equal(numerics.absolute(x), jnp.abs(x))
    slope = jax.vmap(jax.grad(numerics.absolute))(x)
    np.testing.assert_array_equal(slope, [-1, -1, 0, 0, 1, 1, 1])
    assert np.isnan(numerics.absolute(jnp.float32(jnp.nan)))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32, jnp.int32, jnp.bool_])
def test_at_least_float32(dtype):
    assert numerics.at_least_float32(jnp.ones(3, dtype)).dtype == jnp.float32
