"""A function of a batch, a few examples at a time, so that what it makes stays in the cache."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax import lax


def in_chunks(function: Callable[..., Any], most: int, *arrays: jax.Array) -> Any:
    """``function`` of as many examples at a time as divide the batch and are no more than allowed.

    Args:
        function: of arrays with examples along their first axis.
        most: examples at a time; at least one is taken.
        arrays: the whole batch.

    Returns:
        The results, pytrees of arrays, along a new leading axis: one per chunk.

    Example:
        >>> in_chunks(lambda x: x.sum(), 4, jax.numpy.arange(6.0)).tolist()
        [3.0, 12.0]
    """
    batch = arrays[0].shape[0]
    chunk = max(n for n in range(1, min(max(1, most), batch) + 1) if batch % n == 0)
    if chunk == batch:
        return jax.tree.map(lambda a: a[None], function(*arrays))
    split = [a.reshape(batch // chunk, chunk, *a.shape[1:]) for a in arrays]
    return lax.map(lambda some: function(*some), tuple(split))


def examples(numbers: int, shape: tuple[int, ...]) -> int:
    """How many examples have about so many numbers together.

    Args:
        numbers: in all of them.
        shape: of one.

    Example:
        >>> examples(1000, (8, 8, 3))
        5
    """
    return max(1, numbers // max(1, math.prod(shape)))


def joined(parts: jax.Array) -> jax.Array:
    """What `in_chunks` has taken apart: the first two axes as one."""
    return parts.reshape(-1, *parts.shape[2:])
