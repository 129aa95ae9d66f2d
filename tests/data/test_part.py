"""Split: what it accepts, what it makes of it, what it refuses, and that it cannot be changed."""

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pandas as pd
import pytest

from jaxnets.data import Split, StreamedSplit
from jaxnets.data.numbers import frozen

X = np.arange(6.0).reshape(3, 2)
Y = np.array([0, 1, 2])


def changed(array, index, value):
    array = np.array(array, dtype=np.result_type(array, type(value)))
    array[index] = value
    return array


BAD = {
    "nan in x": (changed(X, (1, 0), np.nan), Y, ValueError, ["train: x[1, 0]", "column 0", "nan"]),
    "inf in x": (changed(X, (2, 1), -np.inf), Y, ValueError, ["x[2, 1]", "row 2", "-inf"]),
    "first of two": (
        changed(changed(X, (2, 0), np.nan), (0, 1), np.inf),
        Y,
        ValueError,
        ["x[0, 1]"],
    ),
    "nan in y": (X, changed(X, (2, 1), np.nan), ValueError, ["train: y[2, 1]", "nan"]),
    "nan in an image": (
        np.full((2, 2, 2, 1), np.nan),
        Y[:2],
        ValueError,
        ["x[0, 0, 0, 0]", "row 0"],
    ),
    "too large": (changed(X, (1, 1), 1e39), Y, ValueError, ["x[1, 1]", "1e+39", "float32"]),
    "too large a target": (X, changed(X, (0, 1), -1e40), ValueError, ["y[0, 1]", "float32"]),
    "lengths": (X, Y[:2], ValueError, ["train", "same number of rows", "3", "2"]),
    "no rows": (X[:0], Y[:0], ValueError, ["train: x is empty"]),
    "no columns": (X[:, :0], Y, ValueError, ["train: x is empty", "(3, 0)"]),
    "no targets": (X, Y[:0], ValueError, ["train: y is empty"]),
    "rank 1": (X[:, 0], Y, ValueError, ["rank 2", "(3,)", "add an axis"]),
    "rank 0": (1.0, Y, ValueError, ["rank 2"]),
    "scalar y": (X, 1, ValueError, ["y must have one target per row"]),
    "strings": ([["a", "b"]], [0], TypeError, ["train: x", "real numbers", "'a'"]),
    "string labels": (X, ["cat", "dog", "cat"], TypeError, ["train: y", "'cat'"]),
    "objects": (X.astype(object), Y, TypeError, ["train: x", "object"]),
    "complex": (X.astype(complex), Y, TypeError, ["complex128"]),
    "dates": (X, np.array(["2020-01-01"] * 3, "M8[D]"), TypeError, ["train: y", "datetime64"]),
    "ragged": ([[1.0], [1.0, 2.0]], [0, 1], ValueError, ["train: x", "rectangular"]),
    "None": (X, None, TypeError, ["train: y", "None"]),
    "masked": (np.ma.masked_equal(X, 3.0), Y, ValueError, ["train: x", "masked", "[1, 1]"]),
    "negative label": (X, [0, -1, 2], ValueError, ["train: y[1] (row 1) is -1", "regression"]),
    "huge label": (X, [0, 1, 2**31], ValueError, ["train: y[2]", "2147483648"]),
    "frame of text": (
        pd.DataFrame({"a": [1, 2], "b": ["u", "v"]}),
        [0, 1],
        TypeError,
        ["train: x"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    x, y, error, words = BAD[case]
    with pytest.raises(error) as caught:
        Split(x, y, name="train")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "uint8", "int64", "bool", ">f8", ml_dtypes.bfloat16]
)
def test_inputs_become_float32_with_their_values(dtype):
    x = np.array([[0, 1], [1, 0]]).astype(dtype)
    part = Split(x, [0, 1])
    assert part.x.dtype == np.float32 and part.x.dtype.isnative
    np.testing.assert_array_equal(part.x, [[0, 1], [1, 0]])


def test_pixels_are_not_scaled():
    assert Split(np.full((1, 2, 2, 1), 255, np.uint8), [0]).x.max() == 255


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "int32", "uint64"])
def test_integer_targets_become_labels(dtype):
    part = Split(X, np.array([0, 1, 1]).astype(dtype))
    assert part.y.dtype == np.int32
    np.testing.assert_array_equal(part.y, [0, 1, 1])


def test_floating_targets_stay_targets():
    assert Split(X, np.array([0.0, -1.0, 2.0])).y.dtype == np.float32


@pytest.mark.parametrize(
    "x",
    [
        X.astype(np.float32),
        X,
        np.asfortranarray(X.astype(np.float32)),
        jnp.asarray(X, jnp.float32),
        X.tolist(),
        pd.DataFrame(X.astype(np.float32)),
    ],
    ids=["float32", "float64", "fortran", "jax", "list", "frame"],
)
def test_arrays_are_read_only_and_nobody_elses(x):
    part = Split(x, np.array([0, 1, 2], np.int32))
    for array in (part.x, part.y):
        assert array.flags.c_contiguous and not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    if isinstance(x, np.ndarray):
        before = part.x.copy()
        saved = x.copy()
        x[:] = 9.0
        np.testing.assert_array_equal(part.x, before)
        x[:] = saved
        assert x.flags.writeable  # the caller's own array stays as it was


def test_a_read_only_view_of_a_writeable_array_is_copied():
    owner = np.zeros((2, 2), np.float32)
    view = owner[:]
    view.flags.writeable = False
    part = Split(view, [0, 1])
    owner[:] = 5
    assert part.x.max() == 0


def test_a_buffer_is_copied():
    memory = bytearray(16)
    part = Split(np.frombuffer(memory, np.float32).reshape(2, 2), [0, 1])
    memory[3] = 64
    assert part.x.max() == 0


def test_fixed_arrays_are_not_copied():
    x = frozen(np.zeros((4, 2), np.float32))
    part = Split(x, [0, 1, 2, 3])
    assert part.x is x
    assert np.shares_memory(part.take(slice(1, 3)).x, x)


def test_targets_that_are_inputs_stay_one_array():
    part = Split(X, X)
    assert part.y is part.x and part.reconstructs
    taken = part.take([2, 0])
    assert taken.y is taken.x
    assert not Split(X, X.copy()).reconstructs


def test_split_is_frozen():
    with pytest.raises(AttributeError):
        Split(X, Y).x = X


def test_durations_are_no_numbers():
    durations = np.array([1, 2], "timedelta64[s]")
    with pytest.raises(TypeError, match="x must hold real numbers, got dtype timedelta64"):
        Split(durations[:, None], [0, 1])
    with pytest.raises(TypeError, match="y must hold real numbers, got dtype timedelta64"):
        Split(np.eye(2), durations)


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_what_float32_cannot_tell_apart_is_told(dtype):
    """A time stamp in seconds; what stands out of the same order and is kept is no matter."""
    seconds = (1_700_000_000 + np.arange(60)).astype(dtype)
    kept = [np.arange(60) + 10_000_000, np.full(60, 0.1), np.linspace(2000, 2020, 60)]
    with pytest.warns(RuntimeWarning, match=r"x\[:, 3\] spans 59 around 1.7e\+09, where float32"):
        Split(np.stack([*kept, seconds], axis=1).astype(dtype), np.arange(60) % 2)
    Split(np.stack(kept, axis=1), np.arange(60) % 2)


def test_a_few_rows_from_the_disk_do_not_tell_what_a_column_spans():
    close = np.array([[0.1, 5.0], [0.1 + 1e-6, 7.0], [9.0, 3.0]])
    part = StreamedSplit.of(lambda rows: (close[rows], rows % 2), 3)
    assert part.read_rows(slice(0, 2)).x.tolist() == part.read_rows([0, 1]).x.tolist()
    with pytest.warns(RuntimeWarning, match=r"x\[:, 0\] spans 1e-06"):
        Split(close[:2], [0, 1])


@pytest.mark.parametrize("largest", [3e38, 3.4028234e38])
def test_a_column_that_spans_all_of_float32_is_no_matter(largest: float):
    Split(np.array([[-largest], [largest], [0.0]]), [0, 1, 0])
    Split(np.full((3, 1), largest), [0, 1, 0])
