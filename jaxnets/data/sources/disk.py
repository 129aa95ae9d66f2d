"""Training rows larger than memory: arrays on the disk, or anything that gives row after row."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.data.numbers import check_unmasked
from jaxnets.data.part import Split, pair_of
from jaxnets.data.sources.cache import DAMAGED
from jaxnets.data.stream import StreamedDataset, StreamedSplit


def from_memmap(
    x: Any,
    y: Any = None,
    *,
    valid: tuple[Any, Any] | None,
    test: tuple[Any, Any] | None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    description: str = "",
    license: str = "",
) -> StreamedDataset:
    """A data set whose training rows are two arrays on the disk, mapped and not loaded.

    Args:
        x: a ``.npy`` file, or an array such as ``np.memmap(...)``: inputs ``(n, ...)``, numbers of
            any kind; they are converted as a `Split` does.
        y: the same for the targets; ``None``: the inputs themselves, for an autoencoder.
        valid: inputs and targets of the validation rows, arrays or ``.npy`` files, which are loaded
            into memory; None must be said. For an autoencoder ``(x, None)``.
        test: the same for the test rows.
        classes: what the labels 0, 1, ... mean; larger ones are refused when they are read.
        name: a short name; that of the file unless it is given.
        description: a sentence or two.
        license: under which licence.

    Returns:
        The data set, for `jaxnets.fit`. Only the first row has been read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError, TypeError: not an array of numbers, unequal lengths, parts that do not fit.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/x.npy", np.eye(20))
        ...     np.save(f"{folder}/y.npy", np.arange(20) % 2)
        ...     data = from_memmap(f"{folder}/x.npy", f"{folder}/y.npy", valid=None, test=None)
        ...     data.train, data.train.read_rows([3]).y.tolist()
        (StreamedSplit('train', x=(20, 20) float32, y=(20,) int32), [1])
    """
    inputs = _mapped("x", x)
    targets = None if y is None else _mapped("y", y)
    if targets is not None and len(inputs) != len(targets):
        raise ValueError(
            f"train: x and y must have the same number of rows, got {len(inputs)} "
            f"(x {inputs.shape}) and {len(targets)} (y {targets.shape})."
        )

    def read(rows: np.ndarray) -> tuple[Any, Any]:
        taken = np.asarray(inputs[rows])
        return taken, taken if targets is None else np.asarray(targets[rows])

    path = x if isinstance(x, str | os.PathLike) else getattr(x, "filename", None)
    return _dataset(
        StreamedSplit.of(read, len(inputs), classes=None if classes is None else len(classes)),
        valid,
        test,
        name=name or ("memmap" if path is None else Path(path).stem),
        classes=classes,
        description=description,
        source="" if path is None else str(path),
        license=license,
    )


def from_source(
    source: Any,
    *,
    valid: tuple[Any, Any] | None,
    test: tuple[Any, Any] | None,
    classes: Sequence[str] | None = None,
    name: str = "source",
    description: str = "",
    license: str = "",
) -> StreamedDataset:
    """A data set whose training rows come one by one from ``source[row]``.

    Any Grain random-access source or ``grain.MapDataset`` is one, and so is a list. The order of
    the rows is jaxnets' own, a function of the member's key: shuffle nothing there, and let row
    ``i`` always be the same row. Reading happens in background threads, one row at a time.

    Args:
        source: has a length, and gives for a row a pair ``(x, y)``, a mapping with ``"x"`` and
            ``"y"``, or ``x`` alone, which is its own target then.
        valid: see `from_memmap`, as for all that follow.
        test: see there.
        classes: see there.
        name: see there.
        description: see there.
        license: see there.

    Returns:
        The data set, for `jaxnets.fit`. Only the first row has been read.

    Raises:
        TypeError: no length, or no rows by number (an iterator, say).
        ValueError: rows that are not numbers, or of another shape than the first.

    Example:
        >>> rows = [(np.ones(3) * i, i % 2) for i in range(20)]
        >>> from_source(rows, valid=None, test=None).train.read_rows([7]).x.tolist()
        [[7.0, 7.0, 7.0]]
    """
    if not hasattr(source, "__len__") or not hasattr(source, "__getitem__"):
        raise TypeError(
            f"source: expected a length and rows by number, source[row], got "
            f"{type(source).__name__}."
        )

    mutex = threading.Lock()  # several may ask, and not everything that gives rows is ready for it

    def read(rows: np.ndarray) -> tuple[Any, Any]:
        with mutex:
            found = [_pair(source[int(row)]) for row in rows]
        x = _stacked("x", rows, [pair[0] for pair in found])
        alone = [pair[1] is None for pair in found]
        if all(alone):
            return x, x
        if any(alone):
            raise ValueError(
                f"source: row {rows[alone.index(True)]} is x alone, expected (x, y) as in row "
                f"{rows[alone.index(False)]}."
            )
        return x, _stacked("y", rows, [pair[1] for pair in found])

    return _dataset(
        StreamedSplit.of(read, len(source), classes=None if classes is None else len(classes)),
        valid,
        test,
        name=name,
        classes=classes,
        description=description,
        source=type(source).__name__,
        license=license,
    )


def _dataset(train: StreamedSplit, valid: Any, test: Any, **about: Any) -> StreamedDataset:
    return StreamedDataset(train, _loaded("valid", valid), _loaded("test", test), **about)


def _mapped(argument: str, value: Any) -> Any:
    if not isinstance(value, str | os.PathLike):
        if not hasattr(value, "shape") or not hasattr(value, "dtype") or not value.shape:
            raise TypeError(f"{argument}: expected a file or an array, got {value!r:.80}.")
        check_unmasked(value, argument)
        # A series of pandas would be looked up by its labels, not by the number of the row.
        return value.to_numpy() if hasattr(value, "iloc") else value
    place = Path(value).expanduser()
    if not place.is_file():
        raise FileNotFoundError(f"{argument}: no file {str(place)!r}.")
    try:
        array = np.load(place, mmap_mode="r", allow_pickle=False)
    except DAMAGED as error:
        raise ValueError(f"{argument}: {place} is not an npy file of numbers: {error}") from None
    if not isinstance(array, np.ndarray) or not array.ndim:
        raise ValueError(f"{argument}: {place} does not hold one array with rows.")
    if isinstance(array, np.memmap) and array.offset + array.nbytes != place.stat().st_size:
        raise ValueError(
            f"{argument}: {place} goes on after its first array of shape {array.shape}, "
            "expected one."
        )
    return array


def _loaded(name: str, pair: Any) -> Split | None:
    if pair is None or isinstance(pair, Split):
        return pair
    x, y = pair_of(name, pair)
    arrays = [
        np.array(_mapped(f"{name}: {letter}", value)) if isinstance(value, str | os.PathLike)
        else value
        for letter, value in (("x", x), ("y", y))
    ]  # fmt: skip
    return Split(arrays[0], arrays[0] if y is None else arrays[1], name=name)


def _pair(row: Any) -> tuple[Any, Any]:
    if isinstance(row, Mapping):
        if set(row) != {"x", "y"}:
            raise ValueError(f"source: expected rows with x and y, got {', '.join(map(str, row))}.")
        return row["x"], row["y"]
    if isinstance(row, tuple):
        if len(row) != 2:
            raise ValueError(f"source: expected rows (x, y), got {len(row)} entries.")
        return row
    if isinstance(row, list) and len(row) == 2 and not all(map(np.isscalar, row)):
        raise ValueError(
            "source: expected rows (x, y), got a list of two; make it a tuple, or an array if it "
            "is x alone."
        )
    return row, None


def _stacked(letter: str, rows: np.ndarray, found: Sequence[Any]) -> np.ndarray:
    for row, one in zip(rows, found, strict=True):
        if np.ma.is_masked(one):
            raise ValueError(f"train: {letter} in row {row} is masked, expected no missing values.")
    arrays = []
    for row, one in zip(rows, found, strict=True):
        try:
            arrays.append(np.asarray(one))
        except ValueError as error:
            raise ValueError(
                f"train: {letter} in row {row} is no array of numbers: {error}"
            ) from None
    for row, array in zip(rows, arrays, strict=True):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"train: {letter} in row {row} has shape {array.shape}, expected "
                f"{arrays[0].shape} as in row {rows[0]}."
            )
    return np.stack(arrays)
