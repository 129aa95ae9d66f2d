"""What a data set is judged by, and what is refused before anything is trained."""

import numpy as np
import pytest

from jaxnets.data import Dataset, from_memmap
from jaxnets.study.measure import ACCURACY, SQUARED, load_ready, measure_of

X = np.linspace(-1.0, 1.0, 12)[:, None]
LABELS = np.arange(12) % 3


def parts(y: np.ndarray) -> Dataset:
    return Dataset.from_splits((X[:6], y[:6]), valid=(X[6:9], y[6:9]), test=(X[9:], y[9:]))


def test_labels_have_accuracy_and_numbers_squared_error():
    assert measure_of(parts(LABELS)) is ACCURACY
    assert measure_of(parts(X)) is SQUARED


def test_targets_whose_square_is_infinite_are_refused():
    y = X.copy()
    y[11] = -1e20
    with pytest.raises(ValueError, match=r"reach 1e\+20 in its test part"):
        measure_of(parts(y))


def test_unknown_classes_are_asked_for():
    held = {"valid": (X[:3], [0, 1, 2]), "test": (X[:3], [0, 1, 2])}
    with pytest.raises(ValueError, match=r"classes=\[\.\.\.\]"):
        measure_of(from_memmap(X, LABELS, **held))
    assert measure_of(from_memmap(X, LABELS, classes=list("abc"), **held)) is ACCURACY


def test_a_file_of_any_name_is_standardised(tmp_path):
    y = np.arange(12) % 2
    np.savez(tmp_path / "mnist1d.npz", x=100 + 5 * X, y=y)
    x = load_ready(str(tmp_path / "mnist1d.npz")).train.x
    assert abs(x.mean()) < 1e-5 and abs(x.std() - 1) < 1e-5
