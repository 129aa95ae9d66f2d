"""scikit-learn's sets: every row once, in its own units."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from sklearn import datasets

from jaxnets.data import breast_cancer, diabetes, digits, wine

CASES = {
    "digits": (digits, {}, (1797, 64), 10),
    "digits as images": (lambda **kw: digits(images=True, **kw), {}, (1797, 8, 8, 1), 10),
    "breast_cancer": (breast_cancer, {}, (569, 30), 2),
    "wine": (wine, {}, (178, 13), 3),
    "diabetes": (diabetes, {"scaled": False}, (442, 10), None),
}


@pytest.mark.parametrize("case", CASES)
def test_rows(case):
    function, arguments, shape, classes = CASES[case]
    theirs = getattr(datasets, f"load_{case.split()[0]}")(**arguments)
    data = function(key=jax.random.key(2), valid=0.2, test=0.1)
    parts = list(data.parts().values())
    x = np.concatenate([part.x for part in parts])
    y = np.concatenate([part.y for part in parts])
    assert x.shape == shape and data.num_classes == classes
    ours = np.concatenate([x.reshape(len(x), -1), y.reshape(len(y), -1)], axis=1)
    expected = np.concatenate([theirs.data, theirs.target[:, None]], axis=1).astype(np.float32)
    order = [np.lexsort(rows.T) for rows in (ours, expected)]
    np.testing.assert_array_equal(ours[order[0]], expected[order[1]])
    assert data.fingerprint() == function(key=jax.random.key(2), valid=0.2, test=0.1).fingerprint()
    assert data.fingerprint() != function(valid=0.2, test=0.1).fingerprint()
    if classes is None:
        assert data.train.y.shape[1:] == (1,) and data.train.y.dtype == np.float32
    elif len(shape) == 2:
        assert len(data.features) == shape[1] and len(data.classes) == classes


def test_images_are_the_rows():
    np.testing.assert_array_equal(digits(images=True).train.x.reshape(-1, 64), digits().train.x)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"wine: .*pip install 'jaxnets\[sklearn\]'"):
        wine()


def test_not_imported_with_the_package():
    code = "import sys, jaxnets.data; print({'sklearn', 'mnist1d', 'requests'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
