"""Dataset: what it refuses, and the data sets derived from it."""

import dataclasses
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxnets.data import Dataset, Split, from_arrays

KEY = jax.random.key(5)
X = np.arange(60.0).reshape(20, 3)
Y = np.arange(20) % 4


def data(**about):
    return from_arrays(X, Y, key=KEY, valid=4, test=4, **about)


def part(x=X, y=Y, name="train"):
    return Split(x, y, name=name)


BAD = {
    "train is a pair": (lambda: Dataset((X, Y), None, None), TypeError, "train: expected a Split"),
    "test is a pair": (lambda: Dataset(part(), None, (X, Y)), TypeError, "test: expected a Split"),
    "other width": (
        lambda: Dataset(part(), part(X[:, :2]), None),
        ValueError,
        r"valid: x must be like the training rows, \(3,\) float32 each, got \(2,\)",
    ),
    "other rank of y": (
        lambda: Dataset(part(), None, part(X, Y[:, None])),
        ValueError,
        r"test: y must be like the training rows, \(\) int32 each, got \(1,\)",
    ),
    "labels and numbers": (
        lambda: Dataset(part(), None, part(X, Y.astype(float))),
        ValueError,
        "test: y must be like .* got .* float32",
    ),
    "feature names": (
        lambda: data(features=["a", "b"]),
        ValueError,
        "features: expected 3 names .* got 2",
    ),
    "a string of names": (
        lambda: Dataset(part(), None, None, classes="abcd"),
        TypeError,
        "classes: expected a sequence of names",
    ),
    "label outside": (
        lambda: Dataset.from_splits(
            (X, Y), valid=None, test=(X[:3], [0, 3, 4]), classes=("a", "b", "c", "d")
        ),
        ValueError,
        "test: y in row 2 is 4, expected labels from 0 to 3 for 4 classes",
    ),
    "classes of numbers": (
        lambda: Dataset.from_splits((X, X), valid=None, test=None, classes=("a",)),
        ValueError,
        "classes: 1 names given, but y holds float32",
    ),
    "missing part unsaid": (lambda: Dataset.from_splits((X, Y)), TypeError, "valid"),
    "not a pair": (
        lambda: Dataset.from_splits(X, valid=None, test=None),
        TypeError,
        r"train: expected a pair \(x, y\)",
    ),
    "no training part": (
        lambda: Dataset.from_splits(None, valid=None, test=None),
        TypeError,
        "train: expected a pair",
    ),
    "subset of none": (lambda: data().subset(0), ValueError, "n: expected 1 to 12 .* got 0"),
    "subset too large": (lambda: data().subset(13), ValueError, "got 13"),
    "subset by fraction": (lambda: data().subset(0.5), TypeError, "n: expected an integer"),
    "labels from a seed": (lambda: data().with_random_labels(0), TypeError, r"jax.random.key\(0\)"),
    "labels from None": (lambda: data().with_random_labels(None), TypeError, r"key\(0\)"),
    "order from a seed": (lambda: data().permuted_features(0), TypeError, r"jax.random.key\(0\)"),
    "subset from a seed": (lambda: data().subset(3, 0), TypeError, r"jax.random.key\(0\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    make, error, words = BAD[case]
    with pytest.raises(error, match=words):
        make()


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        data().name = "other"


def test_shapes_and_classes():
    found = data(classes=["a", "b", "c", "d"])
    assert (found.input_shape, found.target_shape, found.num_classes) == ((3,), (), 4)
    assert found.is_classification and found.classes == ("a", "b", "c", "d")
    numbers = from_arrays(X, X[:, :1], key=KEY)
    assert (numbers.target_shape, numbers.num_classes) == ((1,), None)


def test_reconstruction():
    again = data(classes=["a", "b", "c", "d"]).reconstruction()
    for name, one in again.parts().items():
        assert one.y is one.x and np.array_equal(one.x, data().parts()[name].x)
    assert again.classes is None and again.num_classes is None


def test_random_labels():
    raw = data()
    random = raw.with_random_labels(KEY)
    assert random.train.x is raw.train.x
    np.testing.assert_array_equal(np.bincount(random.train.y), np.bincount(raw.train.y))
    assert not np.array_equal(random.train.y, raw.train.y)
    assert random.test is raw.test and random.valid is raw.valid
    np.testing.assert_array_equal(random.train.y, raw.with_random_labels(KEY).train.y)
    other = raw.with_random_labels(jax.random.key(6))
    assert not np.array_equal(random.train.y, other.train.y)


def test_permuted_features():
    raw = data(features=["a", "b", "c"]).standardized()
    found = raw.permuted_features(jax.random.key(1))
    order = [raw.features.index(name) for name in found.features]
    assert order != [0, 1, 2]
    for name, one in found.parts().items():
        np.testing.assert_array_equal(one.x, raw.parts()[name].x[:, order])
        np.testing.assert_array_equal(one.y, raw.parts()[name].y)
    np.testing.assert_array_equal(
        found.scaling.invert(found.train.x), raw.scaling.invert(raw.train.x)[:, order]
    )


def test_permuted_features_with_one_number_per_column():
    """For ``(n, features)`` these are the columns, whatever the scaling is called."""
    x = np.random.default_rng(0).normal(size=(9, 3)) * [1.0, 10.0, 100.0]
    raw = from_arrays(x, x[:, 0], key=KEY, valid=1, test=1).standardized("channel")
    found = raw.permuted_features(jax.random.key(1))
    assert raw.scaling.axis == "channel" and not np.array_equal(found.train.x, raw.train.x)
    again = found.scaling.invert(found.train.x)
    before = raw.scaling.invert(raw.train.x)
    np.testing.assert_allclose(np.sort(again, axis=1), np.sort(before, axis=1), rtol=1e-6)


@pytest.mark.parametrize("shape", [(7, 2), (3, 4, 2)])
def test_permuted_positions_keep_channels_together(shape):
    x = np.random.default_rng(0).integers(0, 1000, (8, *shape)).astype(float)
    raw = from_arrays(x, x, key=KEY, valid=1, test=1).standardized("feature")
    found = raw.permuted_features(KEY)
    before = raw.train.x.reshape(6, -1, 2)
    after = found.train.x.reshape(6, -1, 2)
    assert found.train.y is found.train.x and found.train.x.shape[1:] == shape
    assert sorted(map(tuple, before[0])) == sorted(map(tuple, after[0]))
    assert not np.array_equal(before, after)
    original = raw.scaling.invert(raw.train.x).reshape(6, -1, 2)
    restored = found.scaling.invert(found.train.x).reshape(6, -1, 2)
    order = [after[0].tolist().index(row) for row in before[0].tolist()]
    np.testing.assert_array_equal(restored[:, order], original)


def test_subset():
    raw = data()
    np.testing.assert_array_equal(raw.subset(5).train.x, raw.train.x[:5])
    small, large = ({tuple(row) for row in raw.subset(n, KEY).train.x.tolist()} for n in (4, 9))
    assert len(small) == 4 and small < large
    assert raw.subset(5).test is raw.test


def test_a_subset_has_as_many_classes():
    raw = Dataset.from_splits((X, np.repeat([0, 1, 2, 3], 5)), valid=None, test=None)
    fewer = raw.subset(3)
    assert fewer.num_classes == raw.num_classes == 4 and fewer.classes == tuple("0123")
    assert raw.subset(20).classes is None and data().subset(1).num_classes == data().num_classes
    assert Dataset.from_splits((X, X), valid=None, test=None).subset(2).num_classes is None


def test_fingerprint():
    first = data(name="a").fingerprint()
    assert len(first) == 64 and first == data(name="b").fingerprint()
    assert first != data().with_random_labels(KEY).fingerprint()
    assert first != from_arrays(X, Y, key=jax.random.key(6), valid=4, test=4).fingerprint()
    raw = data()
    swapped = dataclasses.replace(raw, valid=raw.test, test=raw.valid)
    missing = dataclasses.replace(raw, valid=None)
    assert len({first, swapped.fingerprint(), missing.fingerprint()}) == 3
    flat = Dataset.from_splits((X.reshape(10, 6), Y[:10]), valid=None, test=None)
    tall = Dataset.from_splits((X.reshape(10, 3, 2), Y[:10]), valid=None, test=None)
    assert flat.fingerprint() != tall.fingerprint()


def test_describe_and_repr():
    raw = data(
        classes=["a", "b", "c", "d"], features=["u", "v", "w"], source="nowhere", license="X"
    )
    assert repr(raw) == "Dataset('arrays': train 12, valid 4, test 4; x (3,) float32; y 4 classes)"
    text = raw.describe()
    for word in ("classes: a, b, c, d", "features: u, v, w", "nowhere", "licence: X", "per class"):
        assert word in text
    assert raw.fingerprint() in text
    assert "the inputs" in repr(raw.reconstruction())
    assert "standardised per feature" in repr(raw.standardized())


def test_loading_does_not_start_jax():
    # A user may choose the devices after loading data; a started backend would forbid that.
    code = (
        "import jax, jaxnets.data as d; d.moons(50).standardized().fingerprint();"
        "jax.config.update('jax_num_cpu_devices', 3); print(len(jax.devices()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert run.stdout.strip() == "3", run.stderr
