"""Parts of a data set from a key: training, validation and test, and cross-validation.

The orders come from ``jaxnets.data.order``: from the key alone, on the host, the same everywhere.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from jaxnets.data.dataset import Dataset
from jaxnets.data.order import permutation
from jaxnets.data.part import Split

Rows = npt.NDArray[np.int64]


def count_rows(argument: str, size: float | None, n: int) -> int:
    """How many of ``n`` rows a fraction or a count stands for.

    Args:
        argument: how errors call it.
        size: None or 0 for no rows, a float between 0 and 1 for a fraction (rounded to the nearest
            count), an integer for a count.
        n: the number of rows there are.

    Returns:
        The count, 0 only where ``size`` is None or 0.

    Raises:
        TypeError: not a number.
        ValueError: a negative number, a fraction of 1 or more, or one so small that no row is left.

    Example:
        >>> count_rows("test", 0.15, 100), count_rows("test", 30, 100), count_rows("test", 0, 100)
        (15, 30, 0)
    """
    if size is None:
        return 0
    if isinstance(size, bool) or not isinstance(size, (int, float, np.integer, np.floating)):
        raise TypeError(f"{argument}: expected a fraction, a count or None, got {size!r}.")
    if isinstance(size, (int, np.integer)):
        if size < 0:
            raise ValueError(f"{argument}: expected a count of 0 or more, got {size}.")
        return int(size)
    if not 0 <= size < 1:
        raise ValueError(
            f"{argument}: expected a fraction from 0 to below 1 or an integer count, got {size}."
        )
    count = round(float(size) * n)
    if size > 0 and count == 0:
        raise ValueError(
            f"{argument}: {size} of {n} rows is an empty part; give a larger fraction, a count, or "
            f"{argument}=None for no such part."
        )
    return count


def split(
    x: Any,
    y: Any,
    *,
    key: jax.Array | None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
    stratify: bool = False,
) -> tuple[Split, Split | None, Split | None]:
    """Deal rows out at random into training, validation and test.

    Args:
        x: inputs ``(n, ...)``.
        y: targets ``(n, ...)``.
        key: a typed key; None stands for the constant ``jax.random.key(0)`` and must be said.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.
        stratify: whether each part gets every class in proportion, to within a row or two.

    Returns:
        The three parts; each row is in exactly one of them. A part asked to be empty is None.

    Raises:
        TypeError: the key is an integer or raw; sizes or data are not numbers.
        ValueError: an rbg key, a part that would be empty, or bad data (see ``Split``).

    Example:
        >>> x = np.arange(10.0).reshape(10, 1)
        >>> parts = split(x, np.arange(10) % 2, key=jax.random.key(0), valid=0.2, test=3)
        >>> [len(part) for part in parts]
        [5, 2, 3]
    """
    whole = Split(x, y, name="data")
    n = len(whole)
    n_valid, n_test = count_rows("valid", valid, n), count_rows("test", test, n)
    if n_valid + n_test >= n:
        raise ValueError(
            f"valid, test: {n_valid} and {n_test} of {n} rows leave an empty training part."
        )
    order = permutation(key, n, "split")
    if stratify:
        order = _spread(_labels(whole), order, n_valid + n_test)
    # Held-out rows come from the end of the order, test rows first: a larger part only ever takes
    # rows from the parts after it. ``_spread`` looks at the beginning, which trains.
    held = order[::-1]
    test_rows, valid_rows, train_rows = np.split(held, [n_test, n_test + n_valid])
    if stratify:
        rank = np.argsort(permutation(key, n, "split within"))
        test_rows, valid_rows, train_rows = (
            rows[np.argsort(rank[rows])] for rows in (test_rows, valid_rows, train_rows)
        )
    return (
        whole.take(train_rows, "train"),
        whole.take(valid_rows, "valid") if n_valid else None,
        whole.take(test_rows, "test") if n_test else None,
    )


def _labels(part: Split) -> npt.NDArray[np.int32]:
    if part.y.dtype != np.int32 or part.y.ndim != 1:
        raise ValueError(
            f"stratify: expected integer labels of shape (n,), got y {part.y.shape} {part.y.dtype}."
        )
    return part.y


def _check_twice(counts: npt.NDArray[np.int64]) -> None:
    """A class of one row would be missing where it is not held out, or where it is."""
    for label in np.flatnonzero(counts == 1):
        raise ValueError(f"stratify: class {label} has 1 row, expected at least 2.")


def _spread(labels: npt.NDArray[np.int32], order: Rows, held: int) -> Rows:
    """``order`` rearranged so that every stretch of it holds the classes in proportion."""
    counts = np.bincount(labels)
    _check_twice(counts)
    rank = np.empty(len(labels), np.float64)
    for label in np.flatnonzero(counts):
        rows = order[labels[order] == label]
        rank[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    spread = order[np.argsort(rank[order], kind="stable")]
    missing = np.setdiff1d(labels, labels[spread[: len(spread) - held]])
    if missing.size:
        raise ValueError(
            f"stratify: class {missing[0]} has {counts[missing[0]]} rows, too few to leave one for "
            "training; hold fewer rows back."
        )
    return spread


def from_arrays(
    x: Any,
    y: Any,
    *,
    key: jax.Array | None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
    stratify: bool = False,
    name: str = "arrays",
    classes: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    description: str = "",
    source: str = "",
    license: str = "",
) -> Dataset:
    """A data set from arrays of your own, dealt out at random.

    Args:
        x: inputs ``(n, ...)``; give the same object as ``y`` for an autoencoder.
        y: targets ``(n, ...)``: integers are labels, floating point numbers are regressed.
        key: a typed key; None stands for the constant ``jax.random.key(0)`` and must be said.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.
        stratify: whether each part gets every class in proportion.
        name: a short name.
        classes: what the labels 0, 1, ... mean.
        features: names of the last axis of ``x``.
        description: a sentence.
        source: where the numbers come from.
        license: under which licence.

    Returns:
        The ``Dataset``.

    Raises:
        TypeError: see ``split``.
        ValueError: see ``split`` and ``Dataset``.

    Example:
        >>> x = np.arange(20.0).reshape(20, 1)
        >>> from_arrays(x, x**2, key=jax.random.key(0), name="square")
        Dataset('square': train 14, valid 3, test 3; x (1,) float32; y (1,) float32)
    """
    parts = split(x, y, key=key, valid=valid, test=test, stratify=stratify)
    return Dataset(
        *parts,
        name=name,
        classes=None if classes is None else tuple(classes),
        features=None if features is None else tuple(features),
        description=description,
        source=source,
        license=license,
    )


def kfold(
    data: Dataset | tuple[Any, Any], k: int, *, key: jax.Array, stratify: bool = False
) -> list[Dataset]:
    """Cross-validation: ``k`` data sets in which every row validates exactly once.

    Args:
        data: a data set, whose training and validation rows are pooled and whose test part each
            fold keeps, or a pair ``(x, y)``, which has no test part.
        k: how many folds, from 2 to the number of pooled rows.
        key: a typed key.
        stratify: whether each fold gets every class in proportion, to within a row.

    Returns:
        ``k`` data sets; fold sizes differ by at most one row. Each holds a copy of its rows.

    Raises:
        TypeError: ``k`` is not an integer; the key is an integer or raw.
        ValueError: ``k`` does not fit, a class to be stratified has a single row, or the data set
            is standardised already: its numbers would carry statistics of the rows that validate.
            Standardise every fold instead.

    Example:
        >>> folds = kfold((np.arange(10.0).reshape(10, 1), np.arange(10)), 5, key=jax.random.key(0))
        >>> [len(fold.valid) for fold in folds]
        [2, 2, 2, 2, 2]
        >>> folds = [fold.standardized() for fold in folds]
    """
    if not isinstance(data, Dataset):
        data = Dataset.from_splits(data, valid=None, test=None)
    if data.scaling is not None:
        raise ValueError(
            "kfold: the data set is standardised already, with rows that will validate; use "
            "[fold.standardized() for fold in kfold(raw, ...)]."
        )
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"k: expected an integer, got {k!r}.")
    pool = _pooled(data.train, data.valid)
    if not 2 <= k <= len(pool):
        raise ValueError(f"k: expected 2 to {len(pool)} folds for {len(pool)} rows, got {k}.")
    if key is None:
        raise TypeError("key: expected a typed key such as jax.random.key(0), got None.")
    order = permutation(key, len(pool), "kfold")
    if stratify:
        labels = _labels(pool)
        _check_twice(np.bincount(labels))
        # Dealing rows sorted by class one by one gives each fold its share of every class.
        dealt = order[np.argsort(labels[order], kind="stable")]
        fold_of = np.empty(len(pool), np.int64)
        fold_of[dealt] = np.arange(len(pool)) % k
        folds = [order[fold_of[order] == i] for i in range(k)]
    else:
        folds = np.array_split(order, k)
    return [
        dataclasses.replace(
            data,
            train=pool.take(np.concatenate(folds[:i] + folds[i + 1 :]), "train"),
            valid=pool.take(folds[i], "valid"),
        )
        for i in range(k)
    ]


def _pooled(train: Split, valid: Split | None) -> Split:
    if valid is None:
        return train
    x = np.concatenate([train.x, valid.x])
    both = train.reconstructs and valid.reconstructs
    return Split(x, x if both else np.concatenate([train.y, valid.y]), name="train and valid")
