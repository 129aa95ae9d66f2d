"""One part of a data set: rows of inputs beside rows of targets, checked once and then fixed."""

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Batch(NamedTuple):
    """A few examples, the leading axis counts them.

    Attributes:
        x: inputs, ``(batch, ...)`` float32.
        y: targets, ``(batch, ...)``: int32 labels or float32 numbers.

    Example:
        >>> Batch(np.zeros((2, 3), np.float32), np.array([0, 1], np.int32)).x.shape
        (2, 3)
    """

    x: Any
    y: Any


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set (training, validation or test), on the host, read-only.

    Whatever comes is converted: inputs to float32 with their values as they are (integers too, to
    the nearest beyond 16,777,216; scaling pixels is the source's business), integer or boolean
    targets to int32 labels, floating targets to float32. The arrays are copied unless nobody can
    write to them, so that nothing done to the originals reaches the data set. If ``y`` is the very
    object ``x`` (an autoencoder's target is its input), it stays one array.

    Args:
        x: inputs ``(n, ...)`` of rank 2 or more, finite numbers.
        y: targets ``(n, ...)``, finite numbers; labels are not negative.
        name: how errors call this part.

    Raises:
        TypeError: ``x`` or ``y`` does not hold real numbers.
        ValueError: a wrong rank, no rows, unequal lengths, a number that is not finite or does
            not fit, a negative label; the message says where.

    Example:
        >>> part = Split([[0.5, 1.0], [2.0, 3.0]], [0, 1], name="train")
        >>> len(part), part.x.dtype, part.y.dtype
        (2, dtype('float32'), dtype('int32'))
        >>> Split([[0.5], [float("nan")]], [0, 1], name="train")
        Traceback (most recent call last):
        ...
        ValueError: train: x[1, 0] (row 1, column 0) is nan, expected finite numbers.
    """

    x: Array
    y: Array
    name: str = field(default="data")

    def __post_init__(self) -> None:
        same = self.y is self.x
        x = _inputs(self.x, self.name)
        y = x if same else _targets(self.y, self.name)
        if len(x) != len(y):
            raise ValueError(
                f"{self.name}: x and y must have the same number of rows, "
                f"got {len(x)} (x {x.shape}) and {len(y)} (y {y.shape})."
            )
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return (
            f"Split({self.name!r}, x={self.x.shape} {self.x.dtype}, "
            f"y={self.y.shape} {self.y.dtype})"
        )

    in_memory: ClassVar[bool] = True
    """Whether ``x`` and ``y`` are arrays; otherwise rows are read when they are needed."""

    @property
    def reconstructs(self) -> bool:
        """Whether the targets are the inputs themselves, as one array."""
        return self.y is self.x

    def read_rows(self, rows: Any) -> Batch:
        """Some rows as a batch.

        Args:
            rows: integer positions ``(m,)`` or a slice.

        Returns:
            Inputs and targets as NumPy arrays, in this order.

        Example:
            >>> Split([[0.0], [1.0], [2.0]], [0, 1, 0]).read_rows([1]).y.tolist()
            [1]
        """
        x = self.x[rows]
        return Batch(x, x if self.reconstructs else self.y[rows])

    @property
    def first(self) -> Batch:
        """The first row, as a batch of one."""
        return self.read_rows(slice(1))

    def take(self, rows: Any, name: str | None = None) -> "Split":
        """The given rows, in the given order.

        Args:
            rows: integer positions ``(m,)`` or a slice.
            name: the name of the new part; this part's unless given.

        Returns:
            A new ``Split`` of these rows. Targets that are the inputs stay one array.

        Example:
            >>> Split([[0.0], [1.0], [2.0]], [0, 1, 0]).take([2, 0]).x[:, 0].tolist()
            [2.0, 0.0]
        """
        x = frozen(self.x[rows])
        y = x if self.reconstructs else frozen(self.y[rows])
        return Split(x, y, name=name or self.name)


def pair_of(argument: str, pair: Any) -> tuple[Any, Any]:
    """The inputs and the targets that somebody gave for a part.

    Raises:
        TypeError: it is not a pair; the message names ``argument``.
    """
    try:
        x, y = pair
    except (TypeError, ValueError):
        raise TypeError(f"{argument}: expected a pair (x, y), got {type(pair).__name__}.") from None
    return x, y


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
    _tell_if_coarse(array, result, label)
    return result


COARSE = 1e-3
"""Rounding to float32 by more than this share of what a column spans is told."""


def _tell_if_coarse(array: Array, rounded: Array, label: str) -> None:
    """A time stamp in seconds spans a day around 1.7e9, where float32 goes in steps of 128."""
    if array.dtype.itemsize < 4 or not len(array):
        return
    low, high = rounded.min(axis=0), rounded.max(axis=0)
    with np.errstate(over="ignore"):  # at the end of the numbers there is no next one
        step = np.spacing(np.maximum(np.abs(low), np.abs(high)))
        suspects = np.argwhere(step > COARSE * (high - low))
    for column in suspects:
        where = (slice(None), *column)
        given = array[where].astype(np.float64)
        span, error = np.ptp(given), np.abs(rounded[where] - given).max()
        if error > COARSE * span > 0:
            place = f"[:, {', '.join(map(str, column))}]" if len(column) else ""
            warnings.warn(
                f"{label}{place} spans {span:.4g} around {given.mean():.8g}, where float32 rounds "
                f"by up to {error:.2g}: subtract what all rows have in common before.",
                RuntimeWarning,
                stacklevel=6,
            )
            return


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
