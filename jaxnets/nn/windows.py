"""Where a window moves over a padded array: the geometry that convolution and pooling share."""

import itertools
from collections.abc import Sequence

import jax
from jax import lax

from jaxnets.errors import unknown_name
from jaxnets.nn import checks

PerAxis = int | Sequence[int]
"""One number for every spatial axis, or one per axis."""

Padding = str | int | Sequence[int | Sequence[int]]
"""``"SAME"``, ``"VALID"``, one number for all sides, or one number or (low, high) pair per axis."""


def per_axis(argument: str, value: PerAxis, rank: int, minimum: int = 1) -> tuple[int, ...]:
    """``value`` with one entry per spatial axis.

    Args:
        argument: the name of the argument, for the error.
        value: one number, or ``rank`` numbers.
        rank: the number of spatial axes.
        minimum: the least number that is right.

    Returns:
        A tuple of ``rank`` integers.

    Raises:
        TypeError: not integers.
        ValueError: another number of entries, or an entry too small.

    Example:
        >>> per_axis("strides", 2, 2)
        (2, 2)
        >>> per_axis("strides", (1, 2, 3), 2)
        Traceback (most recent call last):
        ...
        ValueError: strides: expected one number or 2, one per spatial axis, got (1, 2, 3).
    """
    if not isinstance(value, Sequence):
        return (checks.integer(argument, value, minimum),) * rank
    values = checks.integers(argument, value, minimum)
    if len(values) != rank:
        raise ValueError(
            f"{argument}: expected one number or {rank}, one per spatial axis, got {values}."
        )
    return values


def normal_padding(padding: Padding) -> Padding:
    """``padding`` in its hashable form: tuples for lists, names in capitals.

    Args:
        padding: see ``Padding``.

    Returns:
        A string, an ``int`` or a tuple.

    Raises:
        TypeError: none of these.
        ValueError: an unknown name or a negative number.

    Example:
        >>> normal_padding([[0, 1], 2])
        ((0, 1), 2)
    """
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise unknown_name("padding", padding, ("SAME", "VALID"))
        return padding.upper()
    if not isinstance(padding, Sequence):
        return checks.integer("padding", padding, 0)
    entries: list[int | tuple[int, ...]] = []
    for entry in padding:
        if isinstance(entry, Sequence):
            pair = checks.integers("padding", entry, 0)
            if len(pair) != 2:
                raise ValueError(f"padding: expected pairs (low, high), got {pair}.")
            entries.append(pair)
        else:
            entries.append(checks.integer("padding", entry, 0))
    return tuple(entries)


def padding_pairs(
    padding: Padding,
    size: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> tuple[tuple[int, int], ...]:
    """What is added before and after each spatial axis.

    Args:
        padding: see ``Padding``; ``"SAME"`` gives ``ceil(size / stride)`` outputs, the odd one
            of the padding last, as XLA and TensorFlow do it.
        size: the spatial shape of the input.
        window: the spatial shape of the kernel.
        strides: one per axis.
        dilation: one per axis, of the kernel.

    Returns:
        A pair (low, high) per spatial axis.

    Raises:
        TypeError: see ``normal_padding``.
        ValueError: the same, or another number of entries than axes.

    Example:
        >>> padding_pairs("SAME", (28,), (3,), (2,), (1,))
        ((0, 1),)
        >>> padding_pairs(2, (28, 28), (5, 5), (1, 1), (1, 1))
        ((2, 2), (2, 2))
    """
    padding = normal_padding(padding)
    if isinstance(padding, int):
        return ((padding, padding),) * len(size)
    if isinstance(padding, str):
        extent = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
        pairs = lax.padtype_to_pads(tuple(size), extent, strides, padding)
        return tuple((int(low), int(high)) for low, high in pairs)
    if len(padding) != len(size):
        raise ValueError(f"padding: expected {len(size)} entries, one per axis, got {padding}.")
    return tuple((p, p) if isinstance(p, int) else (p[0], p[1]) for p in padding)


def output_size(
    size: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> tuple[int, ...]:
    """How many places a window has on a padded input.

    Args:
        size: the spatial shape, with the padding.
        window: the spatial shape of the window.
        strides: one per axis.
        dilation: one per axis.

    Returns:
        One number per axis.

    Raises:
        ValueError: the window does not fit.

    Example:
        >>> output_size((42,), (5,), (2,), (1,))
        (19,)
    """
    out = tuple(
        (n - (w - 1) * d - 1) // s + 1
        for n, w, s, d in zip(size, window, strides, dilation, strict=True)
    )
    if min(out) < 1:
        raise ValueError(
            f"x: a window of {tuple(window)} with dilation {tuple(dilation)} does not fit into "
            f"the padded spatial shape {tuple(size)}."
        )
    return out


def strided_slices(
    x: jax.Array, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> list[jax.Array]:
    """For each place in the window, what it sees as the window moves over ``x``.

    Args:
        x: array of shape ``(batch, *space, channels)``, padded already.
        window: the spatial shape of the window.
        strides: one per axis.
        dilation: one per axis.

    Returns:
        ``prod(window)`` arrays of shape ``(batch, *out, channels)``, the last axis of the window
        fastest.

    Raises:
        ValueError: the window does not fit into ``x``.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.arange(4.0).reshape(1, 4, 1)
        >>> [s.ravel().tolist() for s in strided_slices(x, (2,), (2,), (1,))]
        [[0.0, 2.0], [1.0, 3.0]]
    """
    out = output_size(x.shape[1:-1], window, strides, dilation)
    slices = []
    for place in itertools.product(*(range(w) for w in window)):
        start = [p * d for p, d in zip(place, dilation, strict=True)]
        stop = [a + (n - 1) * s + 1 for a, n, s in zip(start, out, strides, strict=True)]
        slices.append(
            lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))
        )
    return slices
