"""Made-up problems: functions of the key, of the geometry that they say."""

import jax
import numpy as np
import pytest

from jaxnets.data import moons, sine, spirals

ALL = pytest.mark.parametrize("make", [spirals, moons, sine])


@ALL
def test_the_key_decides(make):
    first, again, other = (make(60, key=jax.random.key(i)).fingerprint() for i in (1, 1, 2))
    assert first == again != other
    assert make(60).fingerprint() == make(60, key=jax.random.key(0)).fingerprint()


@ALL
def test_global_generator_is_not_moved(make):
    before = np.random.mtrand.get_state(legacy=False)["state"]["pos"]
    make(50)
    assert np.random.mtrand.get_state(legacy=False)["state"]["pos"] == before


def test_geometry_without_noise():
    part = spirals(300, noise=0, turns=1.5, classes=3, valid=None, test=None).train
    radius, angle = np.hypot(*part.x.T), np.arctan2(part.x[:, 1], part.x[:, 0])
    turns = angle / (2 * np.pi) - 1.5 * radius - part.y / 3
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-5)
    part = moons(200, noise=0, valid=None, test=None).train
    centre = np.where(part.y[:, None] == 0, [[0.0, 0.0]], [[1.0, 0.5]])
    np.testing.assert_allclose(np.hypot(*(part.x - centre).T), 1, atol=1e-6)
    part = sine(100, noise=0, periods=3, valid=None, test=None).train
    np.testing.assert_allclose(part.y, np.sin(3 * np.pi * part.x), atol=2e-6)
    assert np.abs(part.x).max() <= 1


def test_noise_has_its_size():
    part = sine(4000, noise=0.3, valid=None, test=None).train
    rest = part.y - np.sin(2 * np.pi * part.x)
    assert abs(rest.std() / 0.3 - 1) < 0.05  # 4000 numbers: standard error 1.1 %


@ALL
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"samples": 0}, ValueError, "samples: expected at least"),
        ({"samples": 9.5}, TypeError, "samples: expected an integer"),
        ({"noise": -1}, ValueError, "noise: expected a number of 0 or more, got -1"),
        ({"noise": float("nan")}, ValueError, "noise: .*nan"),
        ({"key": 0}, TypeError, r"jax\.random\.key\(0\)"),
    ],
)
def test_bad_input(make, arguments, error, words):
    with pytest.raises(error, match=words):
        make(**arguments)


@pytest.mark.parametrize(("classes", "error"), [(1, ValueError), (2.0, TypeError)])
def test_bad_classes(classes, error):
    with pytest.raises(error, match="classes: expected"):
        spirals(classes=classes)
