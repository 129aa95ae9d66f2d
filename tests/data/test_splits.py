"""Splits and folds: every row exactly once, from the key alone."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.data import Dataset, from_arrays, kfold, split

KEY = jax.random.key(3)


def rows(part):
    return [] if part is None else part.x[:, 0].astype(int).tolist()


def every(parts):
    return [row for part in parts for row in rows(part)]


def arrays(n, classes=3):
    return np.arange(n, dtype=float)[:, None], np.arange(n) % classes


@settings(max_examples=60, deadline=None, database=None)
@given(st.integers(3, 200), st.data(), st.integers(0, 2**32 - 1))
def test_every_row_once(n, data, seed):
    valid = data.draw(st.integers(0, n - 2))
    test = data.draw(st.integers(0, n - 1 - valid))
    x, y = arrays(n)
    parts = split(x, y, key=jax.random.key(seed), valid=valid, test=test)
    assert [len(rows(part)) for part in parts] == [n - valid - test, valid, test]
    assert sorted(every(parts)) == list(range(n))
    for part in parts:
        if part is not None:
            np.testing.assert_array_equal(part.y, part.x[:, 0] % 3)


def test_the_key_decides():
    x, y = arrays(50)
    first, again, other = (
        [rows(p) for p in split(x, y, key=key)] for key in (KEY, KEY, jax.random.key(4))
    )
    assert first == again != other
    default, zero = (split(x, y, key=key) for key in (None, jax.random.key(0)))
    assert [rows(p) for p in default] == [rows(p) for p in zero]


def test_recorded():
    # Recorded once: a change moves every split ever made with a key.
    parts = [rows(part) for part in split(*arrays(10), key=jax.random.key(0), valid=2, test=3)]
    assert parts == [[4, 0, 2, 3, 5], [8, 7], [1, 6, 9]]


def test_fractions_counts_and_none():
    x, y = arrays(100)

    def sizes(**changes):
        return [len(rows(part)) for part in split(x, y, key=KEY, **changes)]

    assert sizes() == [70, 15, 15]
    assert sizes(valid=0.1, test=25) == [65, 10, 25]
    assert sizes(valid=None, test=0) == [100, 0, 0]
    assert split(x, y, key=KEY, valid=0, test=0.0)[1:] == (None, None)


def test_a_larger_part_keeps_the_smaller_ones_rows():
    x, y = arrays(100)
    small, large = (set(rows(split(x, y, key=KEY, valid=0, test=n)[2])) for n in (10, 30))
    assert small < large


@settings(max_examples=40, deadline=None, database=None)
@given(st.lists(st.integers(6, 60), min_size=2, max_size=6), st.integers(0, 99))
def test_stratified_proportions(counts, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.arange(len(y), dtype=float)[:, None]
    parts = split(x, y, key=jax.random.key(seed), valid=0.2, test=0.3, stratify=True)
    assert sorted(every(parts)) == list(range(len(y)))
    for part in parts:
        expected = np.array(counts) * len(part) / len(y)
        found = np.bincount(part.y, minlength=len(counts))
        assert np.abs(found - expected).max() < 2


def test_stratified_rows_are_in_random_order():
    y = np.repeat([0, 1], 100)
    train = split(np.arange(200.0)[:, None], y, key=KEY, stratify=True)[0]
    changes = np.count_nonzero(np.diff(train.y))
    assert 40 < changes < 100  # 70 expected of 139; a strict alternation would have all of them


BAD = {
    "integer key": ({"key": 0}, TypeError, r"key: .*jax.random.key\(0\)"),
    "raw key": ({"key": jax.random.PRNGKey(0)}, TypeError, r"jax.random.key\(0\)"),
    "rbg key": ({"key": jax.random.key(0, impl="rbg")}, ValueError, "rbg"),
    "empty by rounding": ({"valid": 0.01}, ValueError, "valid: 0.01 of 10 rows is an empty part"),
    "nothing to train": ({"valid": 5, "test": 5}, ValueError, "5 and 5 of 10 .* empty training"),
    "more than all": ({"test": 11}, ValueError, "empty training"),
    "all by fraction": ({"test": 1.0}, ValueError, "test: expected a fraction .* got 1.0"),
    "negative": ({"test": -0.1}, ValueError, "test: .* got -0.1"),
    "negative count": ({"valid": -1}, ValueError, "valid: expected a count .* got -1"),
    "nan": ({"valid": float("nan")}, ValueError, "valid: .* nan"),
    "bool": ({"valid": True}, TypeError, "valid: .* True"),
    "text": ({"test": "0.1"}, TypeError, "test: .* '0.1'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    changes, error, words = BAD[case]
    with pytest.raises(error, match=words):
        split(*arrays(10), **{"key": KEY, **changes})


def test_bad_strata():
    x = np.arange(10.0)[:, None]
    with pytest.raises(
        ValueError, match=r"integer labels of shape \(n,\), got y \(10, 1\) float32"
    ):
        split(x, x, key=KEY, stratify=True)
    with pytest.raises(ValueError, match="class 1 has 1 row"):
        split(x, [0] * 9 + [1], key=KEY, valid=2, test=2, stratify=True)
    with pytest.raises(ValueError, match="class 1 has 2 rows, too few"):
        split(x, [0] * 8 + [1] * 2, key=KEY, valid=4, test=4, stratify=True)


def test_bad_data_is_named():
    x, y = arrays(10)
    x[4] = np.nan
    with pytest.raises(ValueError, match=r"data: x\[4, 0\]"):
        from_arrays(x, y, key=KEY)


def test_autoencoder_targets_survive():
    x, _ = arrays(10)
    data = from_arrays(x, x, key=KEY, valid=2, test=2)
    for part in [*data.parts().values(), *kfold(data, 3, key=KEY)[0].parts().values()]:
        assert part.y is part.x


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize(("n", "k"), [(10, 2), (11, 3), (23, 10), (7, 7)])
def test_kfold_every_row_validates_once(n, k, stratify):
    x, y = arrays(n)
    folds = kfold((x, y), k, key=KEY, stratify=stratify)
    assert len(folds) == k
    assert sorted(every(fold.valid for fold in folds)) == list(range(n))
    for fold in folds:
        assert sorted(rows(fold.valid) + rows(fold.train)) == list(range(n))
        assert len(fold.valid) in (n // k, -(-n // k)) and fold.test is None
        np.testing.assert_array_equal(fold.valid.y, fold.valid.x[:, 0] % 3)
        if stratify:
            each = np.bincount(y) / k
            found = np.bincount(fold.valid.y, minlength=3)
            assert np.abs(found - each).max() < 1


def test_kfold_keeps_the_test_part_and_what_is_known():
    x, y = arrays(30)
    data = from_arrays(x, y, key=KEY, valid=5, test=6, classes=["a", "b", "c"], name="mine")
    folds = kfold(data, 4, key=KEY)
    pooled = sorted(rows(data.train) + rows(data.valid))
    assert sorted(every(fold.valid for fold in folds)) == pooled
    for fold in folds:
        assert fold.test is data.test and fold.classes == data.classes and fold.name == "mine"


def test_kfold_is_a_function_of_the_key():
    pair = arrays(20)
    first, again, other = (
        [f.fingerprint() for f in kfold(pair, 4, key=key)] for key in (KEY, KEY, jax.random.key(4))
    )
    assert first == again != other


def test_kfold_refuses():
    pair = arrays(10)
    for k, error, words in [
        (1, ValueError, "k: expected 2 to 10"),
        (11, ValueError, "got 11"),
        (2.0, TypeError, "k: expected an integer"),
        (True, TypeError, "k: expected an integer"),
    ]:
        with pytest.raises(error, match=words):
            kfold(pair, k, key=KEY)
    with pytest.raises(ValueError, match="stratify: class 1 has 1 row, expected at least 2"):
        kfold((np.eye(5), [0, 0, 0, 0, 1]), 2, key=KEY, stratify=True)
    with pytest.raises(TypeError, match=r"jax.random.key\(0\)"):
        kfold(pair, 2, key=0)
    with pytest.raises(TypeError, match=r"jax.random.key\(0\)"):
        kfold(pair, 2, key=None)
    scaled = Dataset.from_splits(pair, valid=None, test=None).standardized()
    with pytest.raises(ValueError, match="standardised already"):
        kfold(scaled, 2, key=KEY)


def test_global_generator_is_not_moved():
    before = np.random.mtrand.get_state(legacy=False)["state"]
    split(*arrays(20), key=KEY, stratify=True)
    kfold(arrays(20), 3, key=KEY)
    after = np.random.mtrand.get_state(legacy=False)["state"]
    assert before["pos"] == after["pos"]
    np.testing.assert_array_equal(before["key"], after["key"])
