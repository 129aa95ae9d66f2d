"""Elementary functions whose dtype or derivative is not what JAX gives."""

import jax
import jax.numpy as jnp


def at_least_float32(array: jax.typing.ArrayLike) -> jax.Array:
    """The array in float32, or in its own dtype if that is wider.

    Args:
        array: any real dtype, any shape.

    Returns:
        The same values.

    Example:
        >>> at_least_float32(jnp.ones(2, jnp.bfloat16)).dtype
        dtype('float32')
    """
    array = jnp.asarray(array)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))


def absolute(x: jax.Array) -> jax.Array:
    """Absolute value with derivative 0 at 0; that of ``jnp.abs`` is 1 there.

    Args:
        x: floating, any shape.

    Returns:
        ``|x|``, of the same shape and dtype.

    Example:
        >>> print(jax.vmap(jax.grad(absolute))(jnp.array([-2.0, 0.0, 2.0])))
        [-1.  0.  1.]
    """
    return x * jax.lax.stop_gradient(jnp.sign(x))
