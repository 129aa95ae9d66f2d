"""One part of a data set: rows of inputs beside rows of targets, checked once and then fixed."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy.typing as npt

from jaxnets.data.numbers import converted, frozen, tell_if_coarse

Array = npt.NDArray[Any]


class Batch(NamedTuple):
    """A few examples, the leading axis counts them.

    Attributes:
        x: inputs, ``(batch, ...)`` float32.
        y: targets, ``(batch, ...)``: int32 labels or float32 numbers.

    Example:
        >>> import numpy as np
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
        x, y = converted(self.x, self.y, self.name)
        tell_if_coarse(self.x, x, f"{self.name}: x")
        if y is not x:
            tell_if_coarse(self.y, y, f"{self.name}: y")
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
