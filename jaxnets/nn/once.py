"""What XLA computes once and writes down, however many read it.

XLA's CPU backend makes what is cheap to compute part of each of its readers, which compute it anew.
Along a residual stream that is all that was added so far: the third of three blocks, and again its
derivative, would read the convolutions of all three instead of the sum. Only of what XLA takes for
expensive it makes no copies, and so that is what is asked for: a quotient, by a one of which it is
not told. No bit of it is another (numbers too small to be normal are zero wherever XLA calculates).
"""

import jax
import jax.numpy as jnp

from jaxnets.devices import platform


@jax.custom_jvp
def once(x: jax.Array) -> jax.Array:
    """``x``, on a CPU computed once. Differentiable any number of times.

    Args:
        x: floats of any shape.

    Returns:
        The same numbers.

    Example:
        >>> once(jnp.array([0.1, -jnp.inf])).tolist() == [jnp.float32(0.1), -jnp.inf]
        True
    """
    return x / (1 + jnp.minimum(jnp.abs(x), 0)) if platform() == "cpu" else x


@once.defjvp
def _derivative(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    return once(*primals), tangents[0]
