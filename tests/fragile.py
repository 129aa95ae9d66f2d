"""A network that counts its steps, and a loss that breaks when it is told to.

The prediction is a line. The second output is the number of training steps so far, so that the
loss can fail at a given step; at which, and how, are numbers of the member: members that fail and
members that do not run in one program.
"""

import jax
import jax.numpy as jnp
import numpy as np

import jaxnets as jn

LOSS, GRADIENT, UPDATE = 1.0, 2.0, 3.0
"""What becomes infinite or NaN: the values of the number ``breaks``."""

OPTIMIZER = jn.optim.adam(learning_rate=0.1)
"""Adam's second moment overflows for a gradient whose square is no float32, and stays so."""


def _init(key, x):
    params = {"w": jax.random.normal(key, x.shape[1:]), "b": jnp.zeros(())}
    state = {"count": {"n": jnp.zeros(())}, "last": {"peak": jnp.zeros(())}}
    return params, state | {"hyper": {"burst": jnp.float32(-1.0)}}


def _apply(params, state, x, *, key, train):
    n = state["count"]["n"]
    predicted = x @ params["w"] + params["b"]
    if train:
        # Infinite in one step and written over in the next: nothing of it stays.
        peak = jnp.where(n == state["hyper"]["burst"], jnp.inf, jnp.max(jnp.abs(predicted)))
        state = {**state, "count": {"n": n + 1}, "last": {"peak": peak}}
    return jnp.stack([predicted, jnp.broadcast_to(n, predicted.shape)], axis=-1), state


COUNTER = jn.Network(_init, _apply, name="counter")


@jax.custom_vjp
def _scaled_gradient(value, scale):
    return value


_scaled_gradient.defvjp(
    lambda value, scale: (value, scale), lambda scale, g: (g * scale, jnp.zeros_like(scale))
)


def fragile(outputs, batch, *, at=-1.0, breaks=0.0):
    """Squared error; in step ``at`` of training what ``breaks`` says is not finite."""
    now = outputs[:, 1] == at
    scale = jnp.where(now & (breaks == GRADIENT), jnp.nan, 1.0)
    scale = jnp.where(now & (breaks == UPDATE), 1e30, scale)
    error = jnp.square(_scaled_gradient(outputs[:, 0], scale) - batch.y)
    return error + jnp.where(now & (breaks == LOSS), jnp.inf, 0.0)


def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy plane over three dimensions."""
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, 3)).astype(np.float32)
    return x, (x @ [1.0, -1.0, 2.0] + 0.1 * rng.standard_normal(n)).astype(np.float32)


DATA = jn.data.Dataset.from_splits(train=rows(10), valid=rows(6), test=None)
STEPS = 3
"""Of an epoch in batches of four."""
