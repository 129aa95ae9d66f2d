"""What a module's fields may be: checked when the module is made, before anything is traced.

Every function returns its value in one normal form, so that modules that mean the same compare
and hash as equal, and is idempotent, because Linen makes modules again and again.
"""

import operator
from collections.abc import Iterable, Mapping, Set
from typing import Any, SupportsIndex

import jax.numpy as jnp
import numpy as np

from jaxnets.errors import unknown_name

Dtype = Any
"""Whatever ``jnp.dtype`` understands: ``jnp.bfloat16``, ``"bfloat16"``."""


def integer(argument: str, value: object, minimum: int = 1) -> int:
    """``value`` as an ``int`` of at least ``minimum``.

    Args:
        argument: the name of the field, for the error.
        value: what the user gave; NumPy integers are integers, booleans are not.
        minimum: the least value that is right.

    Returns:
        The value as a Python ``int``.

    Raises:
        TypeError: not an integer.
        ValueError: below ``minimum``.

    Example:
        >>> integer("outputs", 0)
        Traceback (most recent call last):
        ...
        ValueError: outputs: expected an integer of at least 1, got 0.
    """
    expected = f"{argument}: expected an integer of at least {minimum}, got"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, SupportsIndex):
        raise TypeError(f"{expected} {value!r}.")
    try:
        number = operator.index(value)
    except TypeError:  # arrays have the method, whatever they hold
        raise TypeError(f"{expected} {value!r}.") from None
    if number < minimum:
        raise ValueError(f"{expected} {number}.")
    return number


def integers(argument: str, values: object, minimum: int = 1) -> tuple[int, ...]:
    """``values`` as a tuple of integers, each of at least ``minimum``.

    Args:
        argument: the name of the field, for the error.
        values: what the user gave, any iterable of integers.
        minimum: the least value that is right.

    Returns:
        A tuple, which is hashable.

    Raises:
        TypeError: not iterable, or an entry is not an integer.
        ValueError: an entry is below ``minimum``.

    Example:
        >>> integers("features", [8, 8])
        (8, 8)
        >>> integers("features", 8)
        Traceback (most recent call last):
        ...
        TypeError: features: expected a sequence of integers, got 8.
    """
    # Of a set or a mapping the order is not what was written down.
    if isinstance(values, str | Set | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{argument}: expected a sequence of integers, got {values!r}.")
    return tuple(integer(f"{argument}[{i}]", v, minimum) for i, v in enumerate(values))


def number(
    argument: str, value: object, minimum: float = -np.inf, below: float = np.inf
) -> float | None:
    """``value`` as a ``float`` in ``[minimum, below)``, or ``None``.

    Args:
        argument: the name of the field, for the error.
        value: a real number, or ``None`` for an operation that is to be absent.
        minimum: the least value that is right.
        below: the value that is just too large.

    Returns:
        The value as a Python ``float``, or ``None``.

    Raises:
        TypeError: not a number.
        ValueError: not finite, or out of range.

    Example:
        >>> number("dropout_rate", 1, minimum=0.0, below=1.0)
        Traceback (most recent call last):
        ...
        ValueError: dropout_rate: expected None or a finite number in [0.0, 1.0), got 1.0.
    """
    if value is None:
        return None
    expected = f"{argument}: expected None or a finite number in [{minimum}, {below}), got"
    if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
        raise TypeError(f"{expected} {value!r}.")
    real = float(value)
    with np.errstate(over="ignore"):
        single = float(np.float32(real))  # as it is going to be used
    if not (np.isfinite(single) and all(minimum <= one < below for one in (real, single))):
        rounded = "" if single == real or not np.isfinite(real) else f", {single:g} in float32"
        raise ValueError(f"{expected} {real}{rounded}.")
    return real


def rate(argument: str, value: object) -> float | None:
    """``value`` as the probability of dropping something, in ``[0, 1)``, or ``None``.

    Args:
        argument: the name of the field, for the error.
        value: a probability, or ``None`` for an operation that is to be absent.

    Returns:
        The value as a Python ``float``, or ``None``.

    Raises:
        TypeError: not a number.
        ValueError: out of range.

    Example:
        >>> rate("dropout_rate", 0)
        0.0
    """
    return number(argument, value, minimum=0.0, below=1.0)


def name(argument: str, value: object, known: Iterable[str | None]) -> None:
    """Refuses a name that is not ``known``.

    Args:
        argument: the name of the field, for the error.
        value: what the user gave.
        known: the names that are right, ``None`` perhaps among them.

    Raises:
        ValueError: an unknown name; the message has the nearest known one.

    Example:
        >>> name("norm", "batchnorm", [None, "batch", "layer"])
        Traceback (most recent call last):
        ...
        ValueError: norm: unknown name 'batchnorm'. Did you mean 'batch'? Known: None, batch, layer.
    """
    known = tuple(known)
    if not (value is None or isinstance(value, str)) or value not in known:
        raise unknown_name(argument, value, map(str, known))


def dtype(argument: str, value: Dtype) -> Dtype:
    """``value`` as a floating dtype, or ``None`` for "as the inputs and parameters are".

    Args:
        argument: the name of the field, for the error.
        value: a dtype, its name, or ``None``.

    Returns:
        A ``jnp.dtype``, or ``None``.

    Raises:
        TypeError: not a dtype, or not a floating one.

    Example:
        >>> dtype("dtype", "bfloat16") == dtype("dtype", jnp.bfloat16)
        True
    """
    if value is None:
        return None
    try:
        kind = jnp.dtype(value)
    except TypeError:
        raise TypeError(f"{argument}: expected a floating dtype, got {value!r}.") from None
    if not jnp.issubdtype(kind, jnp.floating):
        raise TypeError(f"{argument}: expected a floating dtype, got {kind}.")
    return kind
