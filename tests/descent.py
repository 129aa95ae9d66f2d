"""The table of optimizers, a quadratic valley, and a plain loop that walks down."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import optim, schedules

RNG = np.random.default_rng(0)
START = {"kernel": RNG.normal(size=(4, 3)), "bias": RNG.normal(size=3)}
PULL = {k: RNG.uniform(0.5, 2.0, size=v.shape) for k, v in START.items()}
PUSH = {k: RNG.normal(size=v.shape) for k, v in START.items()}
NUMBER_OF_STEPS = 20


CLIPS = {
    "plain": {},
    "value": {"clip_value": 0.3},
    "norm": {"clip_norm": 0.5},
    "adaptive": {"clip_adaptive": 0.2},
    "everything": {
        "clip_value": 1.0,
        "clip_norm": 0.8,
        "clip_adaptive": 0.5,
        "weight_decay": 0.05,
        "schedule": schedules.warmup(schedules.cosine(15, 0.1), 3),
    },
}
RATES = {"sgd": 0.1, "momentum": 0.03, "nesterov": 0.03, "adagrad": 0.2}
TABLE = [(name, clip) for name in optim.OPTIMIZERS for clip in CLIPS]


def make(name, clip="plain", **more):
    return optim.OPTIMIZERS[name](RATES.get(name, 0.01), **{**CLIPS[clip], **more})


def tree(values, dtype=jnp.float32):
    return {k: jnp.asarray(v, dtype) for k, v in values.items()}


def gradient(params):
    """Of the quadratic sum(PULL / 2 * (w - PUSH)^2), for NumPy and for JAX."""
    return {k: PULL[k].astype(w.dtype) * (w - PUSH[k].astype(w.dtype)) for k, w in params.items()}


def height(params):
    return sum(float((PULL[k] / 2 * (w - PUSH[k]) ** 2).sum()) for k, w in params.items())


def descend(transformation, params, steps=NUMBER_OF_STEPS):
    """A plain loop over optax's pair of functions; pure, so it can be mapped."""

    def step(carry, _):
        params, state = carry
        updates, state = transformation.update(gradient(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    _, path = jax.lax.scan(step, (params, transformation.init(params)), length=steps)
    return path


# ------------------------------------------------------------------ float64, written out plainly
