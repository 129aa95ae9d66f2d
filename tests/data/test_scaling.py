"""Standardisation against NumPy in float64, fitted on training rows only."""

import numpy as np
import pytest

from jaxnets.data import Dataset, fit_scaling

RNG = np.random.default_rng(0)
TABLE = (RNG.normal(size=(50, 4)) * [1, 1e-3, 1e4, 0] + [0, 1, 1e5, 0.1]).astype(np.float32)
IMAGES = RNG.normal(3, 2, size=(20, 4, 5, 3)).astype(np.float32)
AXES = {"feature": 0, "channel": (0, 1, 2), "global": None}


def dataset(x, other):
    y = np.zeros(len(x), int)
    return Dataset.from_splits(
        (x, y),
        valid=(other, np.zeros(len(other)).astype(int)),
        test=(other, np.zeros(len(other), int)),
    )


@pytest.mark.parametrize("axis", AXES)
def test_equals_float64_numpy(axis):
    x = IMAGES.astype(np.float64)
    mean, std = x.mean(axis=AXES[axis]), x.std(axis=AXES[axis])
    scaling = fit_scaling(IMAGES, axis)
    np.testing.assert_allclose(scaling.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(scaling.std, std, rtol=1e-13)
    expected = ((x - mean) / std).astype(np.float32)
    np.testing.assert_array_equal(scaling.apply(IMAGES), expected)
    # x has size 10 at most: half a unit in the last place of the standardised number, scaled back
    np.testing.assert_allclose(scaling.invert(scaling.apply(IMAGES)), IMAGES, rtol=0, atol=2e-6)


def test_default_axes():
    assert fit_scaling(TABLE).axis == "feature"
    assert fit_scaling(IMAGES).axis == "global"


def test_constant_features_get_deviation_one():
    scaling = fit_scaling(TABLE)
    assert scaling.std[3] == 1
    assert np.all(scaling.apply(TABLE)[:, 3] == 0)
    assert np.all(scaling.std[:3] > 0)


def test_a_constant_whose_mean_is_rounded():
    x = np.full((3, 1), 0.1)  # float64: the mean of three is not 0.1
    assert fit_scaling(x).std[0] == 1


def test_large_offsets_do_not_cancel():
    # In float32 the variance of this column comes out wrong by far more than 1e-6.
    x = (RNG.normal(size=(4000, 1)) + 1e4).astype(np.float32)
    np.testing.assert_allclose(fit_scaling(x).std, x.astype(np.float64).std(0), rtol=1e-12)


def test_fitted_on_training_rows_only():
    one = dataset(TABLE, TABLE[:5]).standardized()
    two = dataset(TABLE, 100 * TABLE[:5] + 7).standardized()
    np.testing.assert_array_equal(one.train.x, two.train.x)
    np.testing.assert_array_equal(one.scaling.mean, two.scaling.mean)
    np.testing.assert_array_equal(one.test.x, one.train.x[:5])
    np.testing.assert_array_equal(one.valid.x, one.train.x[:5])
    assert not np.array_equal(one.test.x, two.test.x)


def test_not_twice():
    with pytest.raises(ValueError, match="standardised already"):
        dataset(TABLE, TABLE).standardized().standardized()


def test_bad_axis_and_shape():
    with pytest.raises(ValueError, match=r"axis: unknown name 'chanel'\. Did you mean 'channel'"):
        fit_scaling(IMAGES, "chanel")
    with pytest.raises(ValueError, match=r"end in \(4,\).*\(3, 5\)"):
        fit_scaling(TABLE).apply(np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"end in \(4,\)"):
        fit_scaling(TABLE).invert(np.zeros(4))


def test_overflow_of_other_rows_is_named():
    x = np.array([[0.0], [1e-30]])
    with pytest.raises(ValueError, match=r"test: x\[0, 0\]"):
        Dataset.from_splits((x, [0, 1]), valid=None, test=([[1e20]], [0])).standardized()


def test_targets_that_are_inputs_follow():
    data = dataset(TABLE, TABLE[:5]).reconstruction().standardized()
    for part in data.parts().values():
        assert part.y is part.x


def test_rows_are_rounded_before_they_are_scaled_as_the_training_rows_were():
    x = 16_000_000.0 + np.random.default_rng(0).uniform(0, 1000, (50, 1))
    data = Dataset.from_splits((x, np.arange(50) % 2), valid=None, test=None).standardized()
    np.testing.assert_array_equal(data.scaling.apply(x), data.train.x)
