"""Training rows that stay on the disk: what is known of them, and a few of them at a time."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

import numpy as np

from jaxnets.data.dataset import Dataset
from jaxnets.data.numbers import converted
from jaxnets.data.part import Batch, Split
from jaxnets.data.report import fingerprint

Read = Callable[[np.ndarray], tuple[Any, Any]]
"""From int64 positions ``(m,)`` to inputs ``(m, ...)`` and targets ``(m, ...)``, as they are."""

SAMPLE = 1000
"""So many rows, evenly spaced, stand for all in a fingerprint."""


class Column:
    """The shape and dtype of numbers that are not in memory.

    Args:
        shape: rows first.
        dtype: of the numbers as training sees them, float32 or int32.
        label: how errors call them.

    Example:
        >>> column = Column((10**9, 3), np.float32, "train: x")
        >>> len(column), column.nbytes
        (1000000000, 12000000000)
        >>> np.asarray(column)
        Traceback (most recent call last):
        ...
        ValueError: train: x (1000000000, 3) float32 stays on the disk; only training reads it, ...
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, label: str) -> None:
        self.shape, self.dtype, self.label = shape, np.dtype(dtype), label

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all of it would take in memory."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError(
            f"{self.label} {self.shape} {self.dtype} stays on the disk; only training reads it, a "
            "few rows at a time. Take rows of it into memory yourself: data.train.read_rows(...)."
        )

    __array__ = __getitem__ = _refuse


@dataclass(frozen=True, eq=False, repr=False)
class StreamedSplit(Split):
    """Training rows that are read when their turn comes; the same conversions as in a `Split`.

    Whether numbers are finite and labels are not negative is looked at when they are read, not
    before; whether float32 is too coarse for a column is not.

    Attributes:
        x: shape and dtype of the inputs.
        y: those of the targets; the very object ``x`` if the targets are the inputs.
        name: how errors call this part.
        read: gives rows as they are on the disk.
        classes: how many there are, if that is known: larger labels are refused.

    Example:
        >>> numbers = np.arange(12.0).reshape(6, 2)
        >>> part = StreamedSplit.of(lambda rows: (numbers[rows], rows % 2), 6)
        >>> part
        StreamedSplit('train', x=(6, 2) float32, y=(6,) int32)
        >>> part.read_rows([4, 0]).x.tolist()
        [[8.0, 9.0], [0.0, 1.0]]
    """

    read: Read = field(default=lambda rows: (rows, rows))
    classes: int | None = None

    in_memory: ClassVar[bool] = False

    @classmethod
    def of(
        cls, read: Read, count: int, *, name: str = "train", classes: int | None = None
    ) -> "StreamedSplit":
        """A part of ``count`` rows; the first is read, to learn shapes and dtypes.

        Args:
            read: see `StreamedSplit`.
            count: how many rows there are.
            name: how errors call the part.
            classes: how many there are, if that is known.

        Returns:
            The part.

        Raises:
            ValueError, TypeError: there are no rows, or the first is not what a `Split` takes.
        """
        if count < 1:
            raise ValueError(f"{name}: x is empty, expected at least one row.")
        x, y = read(np.zeros(1, np.int64))
        first = Split(x, x if y is x else y, name=name)
        inputs: Any = Column((count, *first.x.shape[1:]), first.x.dtype, f"{name}: x")
        targets: Any = Column((count, *first.y.shape[1:]), first.y.dtype, f"{name}: y")
        return cls(inputs, inputs if first.reconstructs else targets, name, read, classes)

    def __post_init__(self) -> None:
        pass  # nothing to convert: that is done row by row

    def __repr__(self) -> str:
        return "Streamed" + super().__repr__()

    @functools.cached_property
    def first(self) -> Batch:
        """The first row, as a batch of one; it is read once."""
        return self.read_rows([0])

    def read_rows(self, rows: Any) -> Batch:
        """Some rows, converted and checked.

        Args:
            rows: positions ``(m,)``, in any order, or a slice.

        Returns:
            Inputs and targets as NumPy arrays, in this order.

        Raises:
            ValueError: a number that is not finite, a label out of range, or rows of another
                shape or dtype than the first; the message names the row.
            IndexError: there is no such row.
        """
        if isinstance(rows, slice):
            rows = range(len(self))[rows]
        rows = np.asarray(rows, np.int64)
        # In the order of the disk: then neighbours are read once.
        order = np.argsort(rows, kind="stable")
        if len(rows) and not 0 <= rows[order[0]] <= rows[order[-1]] < len(self):
            raise IndexError(f"{self.name}: expected rows from 0 to {len(self) - 1}, got {rows}.")
        x, y = self.read(rows[order])
        for letter, came in (("x", x), ("y", y)):
            if len(came) != len(rows):
                raise ValueError(
                    f"{self.name}: {letter}: expected the {len(rows)} rows that were asked for, "
                    f"got {len(came)}."
                )
        if (y is x) != self.reconstructs:
            expected, came = ("x alone", "targets") if self.reconstructs else ("targets", "x alone")
            raise ValueError(
                f"{self.name}: rows {sorted(rows.tolist())}: expected {expected} as in row 0, "
                f"got {came}."
            )
        back = np.argsort(order, kind="stable")
        try:
            inputs, targets = converted(x, x if self.reconstructs else y, self.name)
        except (TypeError, ValueError) as error:
            raise self._found(rows[order], x, y, error) from None
        for letter, got, known in (("x", inputs, self.x), ("y", targets, self.y)):
            if got.shape[1:] != known.shape[1:] or got.dtype != known.dtype:
                raise ValueError(
                    f"{self.name}: {letter} in rows {sorted(rows.tolist())}: expected "
                    f"{known.shape[1:]} {known.dtype} as in row 0, got {got.shape[1:]} {got.dtype}."
                )
        if self.classes is not None and targets.max() >= self.classes:
            at = int(np.argmax(targets.reshape(len(rows), -1).max(axis=1) >= self.classes))
            raise ValueError(
                f"{self.name}: y in row {rows[order[at]]} is {targets[at]}, expected labels from 0 "
                f"to {self.classes - 1} for {self.classes} classes."
            )
        inputs = inputs[back]
        return Batch(inputs, inputs if self.reconstructs else targets[back])

    def _found(self, rows: np.ndarray, x: Any, y: Any, error: Exception) -> Exception:
        """The error again, of the first row that is at fault alone and with its true number."""
        for at, row in enumerate(rows):
            try:
                Split(x[at : at + 1], y[at : at + 1], name=f"{self.name}[{row}:{row + 1}]")
            except (TypeError, ValueError) as own:
                return own
        return error


@dataclass(frozen=True, eq=False, repr=False)
class StreamedDataset(Dataset):
    """A data set whose training rows stay on the disk; validation and test part are in memory.

    It trains like any other (`jaxnets.fit`). What would have to look at all training rows, or to
    change them, is refused: standardise the files, or the rows as your own source gives them.
    """

    def _check_labels(self, count: int) -> None:
        if not self.is_classification:
            super()._check_labels(count)
        rest = {name: part for name, part in self.parts().items() if part.in_memory}
        for part in rest.values():
            Dataset(part, None, None, classes=self.classes)

    @property
    def num_classes(self) -> int | None:
        """How many classes there are, if they are named."""
        return None if self.classes is None else len(self.classes)

    def _mapped(self, change: Any, **about: Any) -> NoReturn:
        raise ValueError(
            "data: the training rows stay on the disk, and are not changed; change the files, or "
            "the rows as your own source gives them."
        )

    def fingerprint(self) -> str:
        """SHA-256 over shapes, dtypes, the parts in memory, and `SAMPLE` evenly spaced training
        rows, first and last among them: a change to other rows is not noticed.
        """
        digest = hashlib.sha256(b"streamed;")
        n = len(self.train)
        rows = np.unique(np.linspace(0, n - 1, min(n, SAMPLE)).round().astype(np.int64))
        for letter, column in (("x", self.train.x), ("y", self.train.y)):
            digest.update(f"{letter} {column.shape} {column.dtype.str};".encode())
        for start in range(0, len(rows), 100):
            batch = self._streamed.read_rows(rows[start : start + 100])
            digest.update(np.ascontiguousarray(batch.x).tobytes())
            digest.update(np.ascontiguousarray(batch.y).tobytes())
        rest = [part for part in (self.valid, self.test) if part is not None]
        for part in rest:
            digest.update(f"{part.name} {fingerprint(Dataset(part, None, None))};".encode())
        return digest.hexdigest()

    @property
    def _streamed(self) -> StreamedSplit:
        assert isinstance(self.train, StreamedSplit)
        return self.train

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name} {'none' if part is None else len(part)}"
            for name, part in (("valid", self.valid), ("test", self.test))
        )
        return (
            f"StreamedDataset({self.name!r}: train {len(self.train)} on the disk, {sizes}; "
            f"x {self.input_shape} float32; y {self.target_shape} {self.train.y.dtype})"
        )

    def describe(self) -> str:
        """A few lines for a person; the training rows are not looked at."""
        lines = [repr(self), f"  {self.description}", f"  source: {self.source}"]
        return "\n".join([*lines, f"  fingerprint of a sample: {self.fingerprint()}"])
