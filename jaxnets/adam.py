"""Adam's rule, with the correction of its means as factors.

`optax.scale_by_adam` divides both means by what the first steps lack, and with more than one array
XLA divides number by number. Here the two reciprocals are taken once per step and the numbers
multiplied by them: the same in exact arithmetic, another rounding, and less time
(``python -m benchmarks.updates``).
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def scale_by_adam(
    b1: jax.Array | float,
    b2: jax.Array | float,
    eps: jax.Array | float,
    eps_root: jax.Array | float,
) -> optax.GradientTransformation:
    """``mean / (sqrt(mean of squares + eps_root) + eps)``, both means corrected for their start.

    Args:
        b1: decay of the mean of gradients, in [0, 1), a number or a scalar array, as are all.
        b2: decay of the mean of their squares, in [0, 1).
        eps: added to the root, >= 0.
        eps_root: added under the root, >= 0.

    Returns:
        The rule, with the state of `optax.scale_by_adam`, in the dtypes of the parameters.

    Example:
        >>> rule = scale_by_adam(0.9, 0.999, 1e-8, 0.0)
        >>> gradient = jnp.array([3.0, -0.5])
        >>> update, state = rule.update(gradient, rule.init(gradient))
        >>> update.round(4).tolist(), int(state.count)
        ([1.0, -1.0], 1)

    Source: Kingma and Ba 2015, Adam, algorithm 1.
    """

    def update(
        gradients: Any, state: optax.ScaleByAdamState, params: Any = None
    ) -> tuple[Any, optax.ScaleByAdamState]:
        mean = optax.tree.update_moment(gradients, state.mu, b1, 1)
        square = optax.tree.update_moment_per_elem_norm(gradients, state.nu, b2, 2)
        count = optax.safe_increment(state.count)
        first, second = 1 / (1 - b1**count), 1 / (1 - b2**count)

        def scaled(m: jax.Array, v: jax.Array) -> jax.Array:
            m, v = m * first.astype(m.dtype), v * second.astype(v.dtype)
            return m / (jnp.sqrt(v + eps_root) + eps)

        return jax.tree.map(scaled, mean, square), optax.ScaleByAdamState(count, mean, square)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)
