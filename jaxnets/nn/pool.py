"""Pooling over space."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxnets.nn.windows import (
    Padding,
    PerAxis,
    output_size,
    padding_pairs,
    per_axis,
    strided_slices,
)
from jaxnets.numerics import at_least_float32


def max_pool(
    x: jax.Array, window: PerAxis = 2, strides: PerAxis | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """The largest value in each window.

    Windows that do not overlap are compared place by place, one axis after the other, whose
    gradient is several times faster on a CPU than that of XLA's window reduction. Where several
    values of a window are the largest, one of them takes all of its gradient.

    Args:
        x: array of shape ``(batch, *space, channels)``.
        window: one number, or one per spatial axis.
        strides: the same; ``None`` for the window.
        padding: see ``jaxnets.nn.windows.Padding``; padded places never win.

    Returns:
        Array of shape ``(batch, *out, channels)``.

    Raises:
        TypeError: window, strides or padding are not integers.
        ValueError: the window does not fit into ``x``, or lies in the padding; ``x`` has no space.

    Example:
        >>> max_pool(jnp.array([3.0, 1.0, 2.0, 5.0, 4.0]).reshape(1, 5, 1)).ravel().tolist()
        [3.0, 5.0]
    """
    window, strides, pairs = _geometry(x, window, strides, padding)
    if any(max(pair) >= places for pair, places in zip(pairs, window, strict=True)):
        raise ValueError(
            f"padding: expected less than the window {window}, which would see nothing else, got "
            f"{pairs}."
        )
    if window == strides and not any(map(any, pairs)):
        for axis, places in enumerate(window, 1):
            x = functools.reduce(larger, _split(x, axis, places))
        return x
    return nn.max_pool(x, window, strides, pairs)


def avg_pool(
    x: jax.Array, window: PerAxis = 2, strides: PerAxis | None = None, padding: Padding = "VALID"
) -> jax.Array:
    """The mean of each window, padded places counted as zeros; added up in at least float32.

    Args:
        x: array of shape ``(batch, *space, channels)``.
        window: one number, or one per spatial axis.
        strides: the same; ``None`` for the window.
        padding: see ``jaxnets.nn.windows.Padding``.

    Returns:
        Array of shape ``(batch, *out, channels)``.

    Raises:
        TypeError: window, strides or padding are not integers.
        ValueError: the window does not fit into ``x``, or ``x`` has no space.

    Example:
        >>> avg_pool(jnp.array([3.0, 1.0, 2.0, 5.0]).reshape(1, 4, 1)).ravel().tolist()
        [2.0, 3.5]
    """
    window, strides, pairs = _geometry(x, window, strides, padding)
    given, x, padded = x.dtype, at_least_float32(x), any(map(any, pairs))
    if window == strides and not padded:
        for axis, places in enumerate(window, 1):
            x = functools.reduce(jnp.add, _split(x, axis, places))
        x = x / math.prod(window)
    elif math.prod(window) <= MOST_SLICES and not padded:
        slices = strided_slices(x, window, strides, (1,) * len(window))
        x = functools.reduce(jnp.add, slices) / len(slices)
    else:
        x = nn.avg_pool(x, window, strides, pairs)
    return x.astype(given) if jnp.issubdtype(given, jnp.floating) else x


MOST_SLICES = 16
"""Of windows that overlap, so many places are slices that are added up, which XLA compiles one by
one."""


@jax.custom_jvp
def larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """The larger one of each two numbers, ``a`` where they are equal.

    `jax.numpy.maximum` shares the gradient between equal ones, which takes two comparisons and a
    division; here it goes to one of them, by a choice.

    Args:
        a: floating array of any shape.
        b: of the same shape.

    Returns:
        An array of that shape; NaN where either is.

    Example:
        >>> one = jnp.ones(())
        >>> [float(g) for g in jax.grad(larger, (0, 1))(one, one)]
        [1.0, 0.0]
    """
    return jnp.maximum(a, b)


@larger.defjvp
def _larger(
    primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (a, b), (da, db) = primals, tangents
    return larger(a, b), jnp.where(a >= b, da, db)


def _geometry(
    x: jax.Array, window: PerAxis, strides: PerAxis | None, padding: Padding
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Window, strides and padding of every spatial axis of ``x``, into which the window fits."""
    size = x.shape[1:-1]
    if not size:
        raise ValueError(f"x: expected (batch, *space, channels), got shape {x.shape}.")
    window = per_axis("window", window, len(size))
    strides = window if strides is None else per_axis("strides", strides, len(size))
    ones = (1,) * len(size)
    pairs = padding_pairs(padding, size, window, strides, ones)
    padded = [n + low + high for n, (low, high) in zip(size, pairs, strict=True)]
    output_size(padded, window, strides, ones)
    return window, strides, pairs


def _split(x: jax.Array, axis: int, places: int) -> list[jax.Array]:
    """The first, second, ... place of each window along one axis; what is left over is dropped.

    Parts of a reshaped array, whose gradient puts them side by side again: those of slices are
    arrays of zeros that are added up.
    """
    count = x.shape[axis] // places
    kept = lax.slice_in_dim(x, 0, count * places, axis=axis)
    # Channels and what lies behind the axis as one: long runs of neighbouring numbers.
    behind = math.prod(x.shape[axis + 1 :])
    rows = kept.reshape(*x.shape[:axis], count, places, behind)
    shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    parts = lax.split(rows, [1] * places, axis=rows.ndim - 2)
    return [part.reshape(shape) for part in parts]


POOLS: dict[str, Callable[..., jax.Array]] = {"max": max_pool, "avg": avg_pool}
"""The poolings, by name."""
