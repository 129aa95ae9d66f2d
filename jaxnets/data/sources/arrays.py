"""Arrays of the user's on disk: npz files, folders of npy files, CSV tables. Nothing is unpickled:
data come from strangers, and to unpickle is to run what they wrote.

Arrays are called ``x``, ``y`` and, where the file brings its own parts, ``x_valid``, ``y_valid``,
``x_test``, ``y_test``.
"""

import os
from pathlib import Path
from typing import Any, Literal, get_args

import jax
import numpy as np

from jaxnets.data.dataset import Dataset
from jaxnets.data.part import Split
from jaxnets.data.sources.cache import DAMAGED
from jaxnets.data.splits import from_arrays, split
from jaxnets.errors import lookup, unknown_name

NAMES = ("x", "y", "x_valid", "y_valid", "x_test", "y_test")
Task = Literal["classification", "regression"]


def _existing(path: str | os.PathLike[str], folder: bool = False) -> Path:
    place = Path(path).expanduser()
    if not (place.is_dir() if folder else place.is_file()):
        raise FileNotFoundError(f"path: no {'folder' if folder else 'file'} {str(place)!r}.")
    return place


def npz(
    path: str | os.PathLike[str],
    *,
    key: jax.Array | None = None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
    stratify: bool = False,
) -> Dataset:
    """A data set from an npz file with arrays ``x``, ``y`` and perhaps parts of its own.

    Args:
        path: the file.
        key: a typed key that deals rows out; None is the constant ``jax.random.key(0)``.
        valid: fraction or count of validation rows, where the file has no ``x_valid``.
        test: fraction or count of test rows, where the file has no ``x_test``.
        stratify: whether the parts that are drawn get every class in proportion.

    Returns:
        The ``Dataset``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not an npz file, pickled objects, arrays that are missing or not known.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/own.npz", x=np.eye(20), y=np.arange(20) % 2)
        ...     npz(f"{folder}/own.npz")
        Dataset('own': train 14, valid 3, test 3; x (20,) float32; y 2 classes)
    """
    place = _existing(path)
    arrays = {}
    with open(place, "rb") as file:  # opened here: NumPy leaves a damaged file open
        try:
            archive = np.load(file, allow_pickle=False)
        except DAMAGED as error:
            raise ValueError(f"{place}: not an npz file: {error}") from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(
                f"{place}: expected an npz file, found a single array {archive.shape}."
            )
        with archive:
            for name in archive.files:
                arrays[name] = _loaded(f"{place}: {name}", lambda name=name: archive[name])
    return _dealt(arrays, place, key, valid, test, stratify)


def npy_folder(
    path: str | os.PathLike[str],
    *,
    key: jax.Array | None = None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
    stratify: bool = False,
) -> Dataset:
    """A data set from a folder with ``x.npy``, ``y.npy`` and perhaps ``x_test.npy`` and so on.

    Args:
        path: the folder.
        key: a typed key that deals rows out; None is the constant ``jax.random.key(0)``.
        valid: fraction or count of validation rows, where there is no ``x_valid.npy``.
        test: fraction or count of test rows, where there is no ``x_test.npy``.
        stratify: whether the parts that are drawn get every class in proportion.

    Returns:
        The ``Dataset``.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: damaged files, pickled objects, arrays that are missing or not known.
    """
    place = _existing(path, folder=True)
    arrays = {}
    for file in sorted(place.glob("*.npy")):
        arrays[file.stem] = _loaded(f"{file}", lambda file=file: _alone(file))
    return _dealt(arrays, place, key, valid, test, stratify)


def _alone(place: Path) -> Any:
    with open(place, "rb") as file:
        array = np.load(file, allow_pickle=False)
        if file.read(1):
            raise ValueError(f"it goes on after its first array of shape {array.shape}")
    return array


def _loaded(label: str, load: Any) -> Any:
    try:
        return load()
    except DAMAGED as error:
        reason = str(error)
        if "allow_pickle" in reason:
            reason = "it holds Python objects, which jaxnets does not unpickle; save numbers"
        raise ValueError(f"{label}: cannot be read: {reason}.") from None


def _dealt(
    arrays: dict[str, Any],
    place: Path,
    key: jax.Array | None,
    valid: float | None,
    test: float | None,
    stratify: bool,
) -> Dataset:
    """The parts that the arrays bring, and those that are drawn from ``x`` and ``y``."""
    for name in arrays:
        if name not in NAMES:
            raise unknown_name(f"{place}", name, NAMES)
    for ending in ("", "_valid", "_test"):
        pair = f"x{ending}", f"y{ending}"
        found = [name for name in pair if name in arrays]
        if len(found) == 1 or (ending == "" and not found):
            missing = " and ".join(name for name in pair if name not in arrays)
            raise ValueError(
                f"{place}: expected arrays {pair[0]} and {pair[1]}, {missing} is missing; "
                f"found {', '.join(sorted(arrays)) or 'none'}."
            )
    own = {
        part: Split(arrays[f"x_{part}"], arrays[f"y_{part}"], name=part)
        for part in ("valid", "test")
        if f"x_{part}" in arrays
    }
    drawn = {
        part: None if part in own else size for part, size in (("valid", valid), ("test", test))
    }
    if any(drawn.values()):
        train, *rest = split(arrays["x"], arrays["y"], key=key, stratify=stratify, **drawn)
    else:
        train, rest = Split(arrays["x"], arrays["y"], name="train"), [None, None]
    return Dataset(
        train,
        own.get("valid", rest[0]),
        own.get("test", rest[1]),
        name=place.stem,
        source=str(place),
    )


def csv(
    path: str | os.PathLike[str],
    target: str,
    *,
    task: Task | None = None,
    key: jax.Array | None = None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
    stratify: bool = False,
) -> Dataset:
    r"""A data set from a CSV table with a header: one column is the target, the others are numbers.

    Args:
        path: the file.
        target: the name of the target column.
        task: ``"classification"`` makes classes of the target's values in sorted order,
            ``"regression"`` keeps them as float32 ``(n, 1)``. By default text, True/False and
            integers that are exactly 0, 1, ..., k-1 are classes, and numbers with a fractional
            part are regressed; other integers, and those written as 1.0, could be either, and it
            must be said.
        key: a typed key that deals the rows out; None is the constant ``jax.random.key(0)``.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.
        stratify: whether each part gets every class in proportion.

    Returns:
        The ``Dataset`` with the columns' names as ``features``.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: a column that does not hold numbers.
        ValueError: no such column, missing values (row and column are named; rows count from 0
            after the header), a target that could be either.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "t.csv").write_text("a,kind\n" + "1.5,cat\n2.5,dog\n" * 10)
        ...     csv(f"{folder}/t.csv", "kind").classes
        ('cat', 'dog')
    """
    import pandas as pd  # slow to import, and only needed by who reads a table

    place = _existing(path)
    try:
        # In one piece: pandas would guess what a column holds for every piece of a long table.
        table = pd.read_csv(place, skipinitialspace=True, low_memory=False)
        # Once more without a header: pandas would rename a second "y" to "y.1", so that the target
        # sat among the inputs, and would take values beyond the header's for an index.
        text = pd.read_csv(
            place, skipinitialspace=True, header=None, dtype=str, keep_default_na=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{place}: not a CSV table: {error}") from None
    names = text.iloc[0].tolist()
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{place}: two columns are called {twice[0]!r}, expected different names.")
    unnamed = [column for column, name in enumerate(names) if pd.isna(name) or not name]
    if unnamed:
        raise ValueError(
            f"{place}: column {unnamed[0]} has no name, expected one; if it counts the rows, as "
            "pandas writes them, leave it out (index=False)."
        )
    lookup("target", target, {str(name): None for name in table.columns})
    if task is not None and task not in get_args(Task):
        raise unknown_name("task", task, get_args(Task))
    inputs = [name for name in table.columns if name != target]
    if table.empty or not inputs:
        raise ValueError(
            f"{place}: expected rows and a column beside {target!r}, found {table.shape[0]} rows "
            f"and columns {', '.join(map(str, table.columns))}."
        )
    missing = np.argwhere(table.isna().to_numpy())
    if len(missing):
        row, column = missing[0]
        found = text.iloc[row + 1, column]
        read = f": {found!r} counts as none; give it another name if it is one" if found else ""
        raise ValueError(
            f"{place}: row {row}, column {str(table.columns[column])!r} has no value{read} "
            f"({len(missing)} missing in all)."
        )
    for name in inputs:
        if not (pd.api.types.is_numeric_dtype(table[name])):
            bad = pd.to_numeric(table[name], errors="coerce").isna().to_numpy()
            row = int(np.argmax(bad))
            found = table[name].iloc[row]
            raise TypeError(f"{place}: column {name!r} must hold numbers, row {row} is {found!r}.")
    y, classes = _target(table[target], target, task)
    return from_arrays(
        np.stack([table[name].to_numpy(np.float64) for name in inputs], axis=1),
        y,
        key=key,
        valid=valid,
        test=test,
        stratify=stratify,
        name=place.stem,
        classes=classes,
        features=inputs,
        source=str(place),
    )


def _target(column: Any, name: str, task: Task | None) -> tuple[Any, tuple[str, ...] | None]:
    """The targets and, for classes, their names."""
    import pandas as pd

    values, labels = np.unique(column.to_numpy(), return_inverse=True)
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if task is None:
        task = "classification"
        floats = pd.api.types.is_float_dtype(column)
        if numeric and np.any(values % 1 != 0):
            task = "regression"
        elif numeric and (floats or not np.array_equal(values, np.arange(len(values)))):
            raise ValueError(
                f"target: {name!r} holds integers from {values.min()} to {values.max()}, which may "
                "be classes or amounts; say task='classification' or task='regression'."
            )
    if task == "classification":
        return labels, tuple(str(value) for value in values)
    if not numeric:
        raise ValueError(f"target: {name!r} holds {values[0]!r}, expected numbers for regression.")
    return column.to_numpy(np.float64)[:, None], None
