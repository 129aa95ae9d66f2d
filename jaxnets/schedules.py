"""Decay schedules: factors of the learning rate as functions of the step and of traced numbers.

``schedule(step, **numbers)`` is a float32 scalar that multiplies the learning rate of the update
with index ``step`` (the first is 0). The numbers become hyperparameters of the optimizer under
their own names, so each member of a population may have its own. Steps count updates, not epochs;
they are exact up to 2^24.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.hyper import AT_LEAST_ONE, NON_NEGATIVE, POSITIVE, UNIT
from jaxnets.schedule import Schedule, as_schedule, merge, numbered

__all__ = [
    "SCHEDULES",
    "Schedule",
    "as_schedule",
    "constant",
    "cosine",
    "cyclic_cosine",
    "exponential",
    "inverse_sqrt",
    "linear",
    "piecewise",
    "step",
    "triangular",
    "warmup",
]


def constant() -> Schedule:
    """The factor 1.

    Returns:
        A schedule without numbers.

    Example:
        >>> print(constant()(1000))
        1.0
    """
    return Schedule("constant", (), lambda step: jnp.ones_like(step))


def step(decay_steps: float, decay_rate: float = 0.1) -> Schedule:
    """``decay_rate ** floor(step / decay_steps)``, the staircase.

    Args:
        decay_steps: updates per stair, > 0.
        decay_rate: the factor from one stair to the next, > 0.

    Returns:
        A schedule with these numbers.

    Example:
        >>> print(step(10, decay_rate=0.5)(9), step(10, decay_rate=0.5)(10))
        1.0 0.5
    """

    def factor(step: jax.Array, *, decay_steps: jax.Array, decay_rate: jax.Array) -> jax.Array:
        return jnp.power(decay_rate, _whole(step, decay_steps))

    numbers = {"decay_steps": (decay_steps, POSITIVE), "decay_rate": (decay_rate, POSITIVE)}
    return numbered("step", factor, numbers)


def piecewise(scales: Mapping[float, float]) -> Schedule:
    """A constant that is multiplied by a scale at each boundary.

    Args:
        scales: boundaries (updates, >= 0), and what the factor is multiplied by from there on.

    Returns:
        A schedule with the numbers ``boundary_0``, ``scale_0``, ``boundary_1``, ..., in ascending
        order of the boundaries given here.

    Example:
        >>> resnet = piecewise({32_000: 0.1, 48_000: 0.1})
        >>> print(resnet(31_999), resnet(32_000), resnet(48_000))
        1.0 0.1 0.010000001
    """
    count = len(scales)
    numbers = {}
    for i, boundary in enumerate(sorted(scales)):
        numbers[f"boundary_{i}"] = (boundary, NON_NEGATIVE)
        numbers[f"scale_{i}"] = (scales[boundary], NON_NEGATIVE)

    def factor(step: jax.Array, **numbers: jax.Array) -> jax.Array:
        product = jnp.ones_like(step)
        for i in range(count):
            reached = step >= numbers[f"boundary_{i}"]
            product = product * jnp.where(reached, numbers[f"scale_{i}"], 1.0)
        return product

    return numbered(f"piecewise_{count}", factor, numbers)


def exponential(decay_steps: float, decay_rate: float) -> Schedule:
    """``decay_rate ** (step / decay_steps)``.

    Args:
        decay_steps: updates for one factor of ``decay_rate``, > 0.
        decay_rate: > 0.

    Returns:
        A schedule with these numbers.

    Example:
        >>> print(exponential(10, decay_rate=0.25)(5))
        0.5
    """

    def factor(step: jax.Array, *, decay_steps: jax.Array, decay_rate: jax.Array) -> jax.Array:
        return jnp.power(decay_rate, step / decay_steps)

    numbers = {"decay_steps": (decay_steps, POSITIVE), "decay_rate": (decay_rate, POSITIVE)}
    return numbered("exponential", factor, numbers)


def cosine(decay_steps: float, final_factor: float = 0.0) -> Schedule:
    """Half a cosine from 1 down to ``final_factor`` at ``decay_steps``, constant from there on.

    Args:
        decay_steps: updates until the end, > 0.
        final_factor: >= 0.

    Returns:
        A schedule with these numbers.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, one cycle.

    Example:
        >>> print(cosine(100, final_factor=0.5)(0), cosine(100, final_factor=0.5)(100))
        1.0 0.5
    """

    def factor(step: jax.Array, *, decay_steps: jax.Array, final_factor: jax.Array) -> jax.Array:
        return _half_cosine(_progress(step, decay_steps), final_factor)

    numbers = {"decay_steps": (decay_steps, POSITIVE), "final_factor": (final_factor, NON_NEGATIVE)}
    return numbered("cosine", factor, numbers)


def linear(decay_steps: float, final_factor: float = 0.0) -> Schedule:
    """A straight line from 1 to ``final_factor`` at ``decay_steps``, constant from there on.

    Args:
        decay_steps: updates until the end, > 0.
        final_factor: >= 0.

    Returns:
        A schedule with these numbers.

    Example:
        >>> print(linear(100)(25), linear(100)(200))
        0.75 0.0
    """

    def factor(step: jax.Array, *, decay_steps: jax.Array, final_factor: jax.Array) -> jax.Array:
        return _between(1.0 - _progress(step, decay_steps), final_factor)

    numbers = {"decay_steps": (decay_steps, POSITIVE), "final_factor": (final_factor, NON_NEGATIVE)}
    return numbered("linear", factor, numbers)


def inverse_sqrt(timescale: float) -> Schedule:
    """``1 / sqrt(1 + step / timescale)``.

    After ``warmup(inverse_sqrt(w), w)`` this is ``sqrt(w / step)``: the schedule of the first
    transformers.

    Args:
        timescale: updates until the factor is 1 / sqrt(2), > 0.

    Returns:
        A schedule with this number.

    Source: Vaswani et al. 2017, Attention is all you need, section 5.3.

    Example:
        >>> print(inverse_sqrt(10)(30))
        0.5
    """

    def factor(step: jax.Array, *, timescale: jax.Array) -> jax.Array:
        return jax.lax.rsqrt(1.0 + step / timescale)

    return numbered("inverse_sqrt", factor, {"timescale": (timescale, POSITIVE)})


def cyclic_cosine(period: float, period_factor: float = 1.0, final_factor: float = 0.0) -> Schedule:
    """Cosine decay with warm restarts: each cycle goes from 1 towards ``final_factor``.

    A cycle is ``period_factor`` times as long as the one before; cycles start on the whole step
    nearest to where this puts them.

    Args:
        period: updates in the first cycle, >= 1.
        period_factor: >= 1.
        final_factor: >= 0, the factor just before a restart, in the limit.

    Returns:
        A schedule with these numbers.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5 (T_0, T_mult, eta_min / eta_max).

    Example:
        >>> sgdr = cyclic_cosine(10, period_factor=2.0)
        >>> print(sgdr(0), sgdr(10), sgdr(30), sgdr(70))
        1.0 1.0 1.0 1.0
    """

    def factor(
        step: jax.Array, *, period: jax.Array, period_factor: jax.Array, final_factor: jax.Array
    ) -> jax.Array:
        # Not a maximum: at its tie, the default, a derivative would be shared between both sides.
        excess = jnp.where(period_factor >= 1.0, period_factor - 1.0, 0.0)
        cycle = _cycle(step, period, excess)
        start, end = (_start(cycle + i, period, excess) for i in (0.0, 1.0))
        return _half_cosine((step - start) / (end - start), final_factor)

    numbers = {
        "period": (period, AT_LEAST_ONE),
        "period_factor": (period_factor, AT_LEAST_ONE),
        "final_factor": (final_factor, NON_NEGATIVE),
    }
    return numbered("cyclic_cosine", factor, numbers)


def triangular(period: float, final_factor: float = 0.0) -> Schedule:
    """Up and down on straight lines: ``final_factor`` at 0, 1 at half a period, and back.

    Args:
        period: updates for the way up and down, > 0.
        final_factor: >= 0, the lowest factor.

    Returns:
        A schedule with these numbers.

    Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.1 (its
    ``stepsize`` is half a period).

    Example:
        >>> schedule = triangular(10, final_factor=0.5)
        >>> print(schedule(0), schedule(5), schedule(10))
        0.5 1.0 0.5
    """

    def factor(step: jax.Array, *, period: jax.Array, final_factor: jax.Array) -> jax.Array:
        within = (step - _whole(step, period) * period) / period
        return _between(1.0 - jnp.abs(2.0 * within - 1.0), final_factor)

    numbers = {"period": (period, POSITIVE), "final_factor": (final_factor, NON_NEGATIVE)}
    return numbered("triangular", factor, numbers)


def warmup(
    schedule: Schedule | Callable[..., Any] | None,
    warmup_steps: float,
    initial_factor: float = 0.0,
) -> Schedule:
    """A straight line from ``initial_factor`` to 1, then the schedule, counted from there.

    As in Optax, ``initial_factor`` belongs to step 0: with 0 the first update changes nothing.

    Args:
        schedule: what comes after, None for a constant. During the warm-up its value at 0
            multiplies the line.
        warmup_steps: updates until the line reaches 1; 0 for no warm-up.
        initial_factor: in [0, 1].

    Returns:
        A schedule with the numbers of the inner one and these two.

    Raises:
        ValueError: the inner schedule has a number of one of these names.

    Example:
        >>> schedule = warmup(linear(decay_steps=100), warmup_steps=10)
        >>> print(schedule(5), schedule(10), schedule(60))
        0.5 1.0 0.5
    """
    inner = as_schedule(constant() if schedule is None else schedule)
    own = numbered(
        "warmup",
        lambda step: step,
        {"warmup_steps": (warmup_steps, NON_NEGATIVE), "initial_factor": (initial_factor, UNIT)},
    )

    def factor(
        step: jax.Array, *, warmup_steps: jax.Array, initial_factor: jax.Array, **rest: jax.Array
    ) -> jax.Array:
        progress = _progress(step, warmup_steps)
        line = progress + initial_factor * (1.0 - progress)
        return line * inner.fn(jnp.maximum(step - warmup_steps, 0.0), **rest)

    merged = merge("warmup", dict(own.defaults), inner)
    bounds = {**own.bounds, **inner.bounds}
    return Schedule(("warmup", inner.structure), tuple(merged.items()), factor, bounds)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "step": step,
    "piecewise": piecewise,
    "exponential": exponential,
    "cosine": cosine,
    "linear": linear,
    "inverse_sqrt": inverse_sqrt,
    "cyclic_cosine": cyclic_cosine,
    "triangular": triangular,
    "warmup": warmup,
}


def _progress(step: jax.Array, steps: jax.Array) -> jax.Array:
    """``step / steps`` up to 1; exactly 1 from the end on, also where there are no steps at all.

    XLA may divide by a constant as multiplication by its reciprocal: 49 / 49 is then below 1.
    """
    safe = jnp.where(steps > 0, steps, 1.0)
    return jnp.where(step < steps, step / safe, 1.0)


def _between(height: jax.Array, final_factor: jax.Array) -> jax.Array:
    """1 at height 1 and ``final_factor`` at height 0, both exactly."""
    return height + final_factor * (1.0 - height)


def _half_cosine(progress: jax.Array, final_factor: jax.Array) -> jax.Array:
    # (1 + cos(pi t)) / 2 without its cancellation near the end; exact at both ends.
    height = jnp.square(jnp.sin(0.5 * math.pi * (1.0 - progress)))
    return _between(height, final_factor)


def _whole(step: jax.Array, period: jax.Array) -> jax.Array:
    """The largest whole k with ``k * period <= step``, exact however the division rounds."""
    k = jnp.floor(step / period)
    k = jnp.where((k + 1.0) * period <= step, k + 1.0, k)
    return jax.lax.stop_gradient(jnp.where(k * period > step, k - 1.0, k))


def _start(cycle: jax.Array, period: jax.Array, excess: jax.Array) -> jax.Array:
    """The first step of a cycle: period * ((1 + excess)^cycle - 1) / excess, to a whole step."""
    small = excess < 1e-6
    safe = jnp.where(small, 1.0, excess)
    series = cycle + 0.5 * cycle * (cycle - 1.0) * excess
    total = jnp.where(small, series, jnp.expm1(cycle * jnp.log1p(safe)) / safe)
    start = period * total
    # Rounded in value but not in gradient.
    return start + jax.lax.stop_gradient(jnp.round(start) - start)


def _cycle(step: jax.Array, period: jax.Array, excess: jax.Array) -> jax.Array:
    """Which cycle a step is in: the closed form, put right by at most one where it rounds."""
    small = excess < 1e-6
    safe = jnp.where(small, 1.0, excess)
    growing = jnp.log1p(step / period * safe) / jnp.log1p(safe)
    k = jnp.floor(jnp.where(small, step / period, growing))
    k = jnp.where(_start(k + 1.0, period, excess) <= step, k + 1.0, k)
    k = jnp.where(_start(k, period, excess) > step, k - 1.0, k)
    return jax.lax.stop_gradient(k)
