"""Numbers of any kind as training takes them: float32 or int32, finite, read-only."""

import warnings
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def converted(x: Any, y: Any, name: str) -> tuple[Array, Array]:
    """Inputs and targets as training takes them, see `Split`; one array if they are one object.

    Raises:
        TypeError, ValueError: see `Split`.

    Example:
        >>> [array.dtype.name for array in converted([[1.0]], [0], "train")]
        ['float32', 'int32']
    """
    inputs = _inputs(x, name)
    targets = inputs if y is x else _targets(y, name)
    if len(inputs) != len(targets):
        raise ValueError(
            f"{name}: x and y must have the same number of rows, "
            f"got {len(inputs)} (x {inputs.shape}) and {len(targets)} (y {targets.shape})."
        )
    return inputs, targets


COARSE = 1e-3
"""Rounding to float32 by more than this share of what a column spans is told."""


def tell_if_coarse(given: Any, rounded: Array, label: str) -> None:
    """A time stamp in seconds spans a day around 1.7e9, where float32 goes in steps of 128.

    Args:
        given: all rows, as they came; of a few nobody knows what the column spans.
        rounded: the same as training takes them.
        label: how the warning calls them.
    """
    array = np.asarray(given)
    if array.dtype.itemsize < 4 or array.dtype == rounded.dtype or rounded.dtype != np.float32:
        return
    low, high = rounded.min(axis=0), rounded.max(axis=0)
    with np.errstate(over="ignore"):  # at the end of the numbers there is no next one
        step = np.spacing(np.maximum(np.abs(low), np.abs(high)))
        suspects = np.argwhere(step > COARSE * (high - low))
    for column in suspects:
        where = (slice(None), *column)
        values = array[where].astype(np.float64)
        span, error = np.ptp(values), np.abs(rounded[where] - values).max()
        if error > COARSE * span > 0:
            place = f"[:, {', '.join(map(str, column))}]" if len(column) else ""
            warnings.warn(
                f"{label}{place} spans {span:.4g} around {values.mean():.8g}, where float32 rounds "
                f"by up to {error:.2g}: subtract what all rows have in common before.",
                RuntimeWarning,
                stacklevel=4,
            )
            return


def frozen(array: Array) -> Array:
    """A read-only array that nobody else can write to; copied only where somebody could.

    Args:
        array: a fresh array of the caller's own, or a view of read-only memory.

    Returns:
        The same numbers, C-contiguous, read-only.

    Example:
        >>> frozen(np.zeros(2)).flags.writeable
        False
    """
    array = np.ascontiguousarray(array)
    if array.base is not None and not _fixed(array):
        array = array.copy()
    array.flags.writeable = False
    return array


def _fixed(array: Any) -> bool:
    """Whether no NumPy array that owns or shares this memory is writeable."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        if array.base is None:
            return True
        array = array.base
    return False  # somebody else's memory (a buffer, a device array): assume that it can change


def _numbers(value: Any, label: str) -> Array:
    """``value`` as a NumPy array of real numbers."""
    check_unmasked(value, label)
    if value is None:
        raise TypeError(f"{label} must be an array of numbers, got None.")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{label} must be a rectangular array: {error}") from None
    kind = array.dtype
    real = jax.dtypes.issubdtype(kind, np.floating) or jax.dtypes.issubdtype(kind, np.integer)
    if (not real and kind != np.bool_) or kind.kind in "mM":  # durations count as integers
        first = "" if array.size == 0 else f", its first value is {array.flat[0]!r}"
        raise TypeError(f"{label} must hold real numbers, got dtype {kind}{first}.")
    return array


def check_unmasked(value: Any, label: str) -> None:
    """What lies below a mask is not a value.

    Raises:
        ValueError: something is masked; the first place is named.
    """
    if np.ma.is_masked(value):
        rows = np.argwhere(np.ma.getmaskarray(value))
        raise ValueError(f"{label} is masked at {_place(rows[0])}, expected no missing values.")


def _place(index: Any) -> str:
    """``[3, 5] (row 3, column 5)`` for an index into rows and further axes."""
    numbers = [int(i) for i in index]
    words = [f"row {numbers[0]}"]
    if len(numbers) == 2:
        words.append(f"column {numbers[1]}")
    return f"[{', '.join(map(str, numbers))}] ({', '.join(words)})"


def _as_float32(array: Array, label: str) -> Array:
    """float32 with finite numbers only; the first that is not finite or does not fit is named."""
    finite = True
    if jax.dtypes.issubdtype(array.dtype, np.floating):
        finite = bool(np.isfinite(array).all())
    if not finite:
        index = np.argwhere(~np.isfinite(array))[0]
        value = array[tuple(index)]
        raise ValueError(f"{label}{_place(index)} is {value}, expected finite numbers.")
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    if not np.isfinite(result).all():
        index = np.argwhere(~np.isfinite(result))[0]
        value = array[tuple(index)]
        raise ValueError(
            f"{label}{_place(index)} is {value}, too large for float32 "
            f"(at most {np.finfo(np.float32).max:.4g} in size)."
        )
    return result


def _inputs(value: Any, name: str) -> Array:
    array = _numbers(value, f"{name}: x")
    if array.ndim < 2:
        raise ValueError(
            f"{name}: x must have rank 2 or more (examples first), got shape {array.shape}; "
            "add an axis: x[:, None] for one feature per example, x[None] for a single example."
        )
    if array.size == 0:
        raise ValueError(f"{name}: x is empty, got shape {array.shape}, expected at least one row.")
    return _own(_as_float32(array, f"{name}: x"), value)


def _targets(value: Any, name: str) -> Array:
    array = _numbers(value, f"{name}: y")
    if array.ndim < 1:
        raise ValueError(f"{name}: y must have one target per row of x, got a single number.")
    if array.size == 0:
        raise ValueError(f"{name}: y is empty, got shape {array.shape}, expected one per row of x.")
    if jax.dtypes.issubdtype(array.dtype, np.floating):
        return _own(_as_float32(array, f"{name}: y"), value)
    wrong = (array < 0) | (array > np.iinfo(np.int32).max) if array.dtype != np.bool_ else None
    if wrong is not None and wrong.any():
        index = np.argwhere(wrong)[0]
        raise ValueError(
            f"{name}: y{_place(index)} is {array[tuple(index)]}, expected labels from 0 to "
            f"{np.iinfo(np.int32).max}; for regression give y as floating point numbers."
        )
    return _own(array.astype(np.int32, copy=False), value)


def _own(array: Array, given: Any) -> Array:
    """``frozen``, after a copy when the caller still holds a writeable ``array``."""
    shared = isinstance(given, np.ndarray) and np.may_share_memory(array, given)
    if (shared or array.base is not None or not isinstance(given, np.ndarray)) and not _fixed(
        array
    ):
        array = array.copy()
    return frozen(array)
