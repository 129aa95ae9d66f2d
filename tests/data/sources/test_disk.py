"""Data sets whose training rows stay on the disk: what is read, when, and what is refused."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

import jaxnets as jn
from jaxnets.data import StreamedSplit, from_memmap, from_source

X = np.arange(60).reshape(20, 3)
Y = np.arange(20) % 3


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    return tmp_path / "x.npy", tmp_path / "y.npy"


def source(change: Any = None) -> list[Any]:
    rows = [(X[i], Y[i]) for i in range(20)]
    if change is not None:
        rows[7] = change
    return rows


def test_files_arrays_and_sources_give_the_rows_of_a_split(files: tuple[Path, Path]):
    expected = jn.data.Split(X, Y)
    rows = [17, 3, 3, 0]
    raw = np.memmap(files[0].with_suffix(".raw"), np.int64, "w+", shape=X.shape)
    raw[:] = X
    mappings = [{"x": x, "y": y} for x, y in source()]
    for data in (
        from_memmap(*files, valid=None, test=None),
        from_memmap(raw, Y, valid=None, test=None),
        from_source(source(), valid=None, test=None),
        from_source(mappings, valid=None, test=None),
    ):
        batch = data.train.read_rows(rows)
        assert (batch.x.dtype, batch.y.dtype) == (np.float32, np.int32)
        np.testing.assert_array_equal(batch.x, expected.x[rows])
        np.testing.assert_array_equal(batch.y, expected.y[rows])
        assert len(data.train) == 20 and data.input_shape == (3,)


def test_a_first_row_that_is_its_own_target_is_not_everybodys():
    frames = [row.astype(float) for row in X]
    rows = [(frame, frames[max(i - 1, 0)]) for i, frame in enumerate(frames)]
    part = from_source(rows, valid=None, test=None).train
    assert not part.reconstructs
    np.testing.assert_array_equal(part.read_rows([5, 0]).y, X[[4, 0]])
    alone = from_source(frames, valid=None, test=None).train
    assert alone.reconstructs and alone.read_rows([5]).y is not None
    np.testing.assert_array_equal(alone.read_rows([5, 0]).y, X[[5, 0]])


@pytest.mark.parametrize("first", [True, False])
def test_rows_are_all_of_one_kind(first: bool):
    """Some with targets and some without, read apart or together."""
    pair, alone = (X[0], X[1]), X[2]
    part = from_source([pair, alone] if first else [alone, pair], valid=None, test=None).train
    with pytest.raises(ValueError, match=r"rows \[1\]: expected .* as in row 0"):
        part.read_rows([1])
    with pytest.raises(ValueError, match="is x alone, expected"):
        part.read_rows([0, 1])


def test_nothing_but_the_first_row_is_read_before_training():
    taken: list[int] = []

    class Rows(list):
        def __getitem__(self, row):
            taken.append(row)
            return super().__getitem__(row)

    data = from_source(Rows(source()), valid=None, test=None)
    repr(data)
    jn.make_spec(
        jax.random.key(0), data, jn.nn.MLP([], outputs=3), loss="softmax_cross_entropy", epochs=1,
        batch_size=4,
    )  # fmt: skip
    assert set(taken) == {0}


def test_validation_and_test_part_are_loaded(files: tuple[Path, Path]):
    data = from_memmap(*files, valid=files, test=(X, Y), classes=tuple("abc"), name="mine")
    assert isinstance(data.valid.x, np.ndarray) and data.valid.in_memory
    assert not data.train.in_memory
    assert data.num_classes == 3
    with pytest.raises(ValueError, match=r"0 to 1 for 2 classes"):
        from_memmap(*files, valid=(X, Y), test=None, classes=tuple("ab"))


def test_fingerprints():
    data = from_memmap(X, Y, valid=None, test=None)
    other = X.copy()
    other[11, 1] += 1
    assert data.fingerprint() == from_source(source(), valid=None, test=None).fingerprint()
    for changed in (
        from_memmap(other, Y, valid=None, test=None),
        from_memmap(X, (Y + 1) % 3, valid=None, test=None),
        from_memmap(X, Y, valid=(X, Y), test=None),
        from_memmap(X[:-1], Y[:-1], valid=None, test=None),
        jn.data.Dataset.from_splits((X, Y), valid=None, test=None),
    ):
        assert changed.fingerprint() != data.fingerprint()


BAD_ROWS = {
    "nan": ((np.array([1, np.nan, 3]), 1), r"train\[7:8\]: x\[0, 1\] .* is nan"),
    "label": ((X[7], -1), r"train\[7:8\]: y\[0\] .* is -1"),
    "class": ((X[7], 3), r"y in row 7 is 3, expected labels from 0 to 2"),
    "shape": ((X[7, :2], 1), r"x in row 7 has shape \(2,\), expected \(3,\) as in row 2"),
    "kind": ((X[7], 0.5), r"train: y in rows \[2, 7\]: expected \(\) int32 as in row 0"),
    "list of two": ([X[7], 1], r"expected rows \(x, y\), got a list of two"),
    "list": ([[1, 2], 3, 4], r"train: x in row 7 is no array of numbers"),
    "entries": ((X[7], 1, 2), r"expected rows \(x, y\), got 3"),
    "names": ({"x": X[7], "z": 1}, r"expected rows with x and y, got x, z"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_named_when_they_are_read(name: str):
    row, message = BAD_ROWS[name]
    data = from_source(source(row), valid=None, test=None, classes=tuple("abc"))
    data.train.read_rows([2, 3])
    with pytest.raises(ValueError, match=message):
        data.train.read_rows([7, 2])


def test_what_needs_all_rows_is_refused():
    data = from_memmap(X, Y, valid=(X, Y), test=None)
    key = jax.random.key(0)
    for call in (
        data.standardized, data.reconstruction, lambda: data.subset(5),
        lambda: data.with_random_labels(key), lambda: data.permuted_features(key),
        lambda: jn.data.kfold(data, 2, key=key), lambda: np.asarray(data.train.x),
        lambda: data.train.y[3],
    ):  # fmt: skip
        with pytest.raises(ValueError, match="on the disk"):
            call()
    assert "sample" in data.describe()


def test_mistakes(tmp_path: Path, files: tuple[Path, Path]):
    def refused(kind: type[Exception], message: str, x: Any, y: Any = Y, **parts: Any) -> None:
        with pytest.raises(kind, match=message):
            from_memmap(x, y, **{"valid": None, "test": None} | parts)

    refused(FileNotFoundError, "x: no file", tmp_path / "none.npy")
    refused(ValueError, r"got 20 .* and 19", X, Y[:-1])
    refused(ValueError, "x is empty", X[:0], Y[:0])
    refused(ValueError, "rank 2", Y, Y)
    refused(TypeError, "expected a file or an array", 5)
    refused(TypeError, "valid: expected a pair", X, valid=X[:3])
    refused(ValueError, "valid: x must be like", X, valid=(X[:, :2], Y))
    (tmp_path / "text.npy").write_text("no numbers")
    refused(ValueError, "x: .* is not an npy file", tmp_path / "text.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    refused(ValueError, "x: .* is not an npy file", tmp_path / "objects.npy")
    with pytest.raises(TypeError, match="rows by number"):
        from_source(iter(source()), valid=None, test=None)
    with pytest.raises(IndexError, match="0 to 19"):
        from_memmap(X, Y, valid=None, test=None).train.read_rows([20])


def test_masked_values_are_missing_wherever_they_come_from():
    x = np.ma.masked_array(np.arange(12.0).reshape(4, 3), np.arange(12).reshape(4, 3) == 1)
    y = (np.arange(4) % 2).astype(np.float32)
    with pytest.raises(
        ValueError, match=r"x is masked at \[0, 1\] \(row 0, column 1\), expected no missing values"
    ):
        from_memmap(x, y, valid=None, test=None)
    with pytest.raises(ValueError, match="x in row 0 is masked, expected no missing values"):
        from_source([(x[i], y[i]) for i in range(4)], valid=None, test=None)


def test_a_series_is_taken_by_place():
    shuffled = pd.Series(Y).sample(frac=1, random_state=0)
    data = from_memmap(X, shuffled, valid=None, test=None)
    rows = [7, 3, 19]
    np.testing.assert_array_equal(data.train.read_rows(rows).y, shuffled.to_numpy()[rows])
    assert not np.array_equal(shuffled[rows], shuffled.to_numpy()[rows])


@pytest.mark.parametrize("more", [-1, 1])
def test_a_source_that_gives_other_rows_than_asked(more: int):
    def read(rows: np.ndarray) -> tuple[Any, Any]:
        count = len(rows) + more * (len(rows) > 1)
        return X[:count], Y[:count]

    part = StreamedSplit.of(read, 20)
    with pytest.raises(ValueError, match=f"x: expected the 4 rows .*, got {4 + more}."):
        part.read_rows([2, 3, 5, 9])
