import math

import numpy as np
import pytest
from numpy.random import mtrand
from scipy import stats

from jaxnets.study.statistics import epochs_to, mean_interval, paired_difference


def generator(seed=0):
    return np.random.default_rng(seed)


def test_the_interval_is_scipys():
    samples = generator(1).normal(size=8)
    ours = mean_interval(samples, generator(), resamples=500)
    theirs = stats.bootstrap(
        (samples,), np.mean, n_resamples=500, method="BCa", rng=generator()
    ).confidence_interval
    assert (ours.low, ours.high) == (theirs.low, theirs.high)
    assert ours.mean == samples.mean()
    assert ours.size == 8


def test_percentiles_by_hand_where_bca_is_not_defined(monkeypatch):
    calls = []
    real = stats.bootstrap

    def bootstrap(*arguments, method, **options):
        calls.append(method)
        result = real(*arguments, method=method, **options)
        if method == "BCa":
            result.confidence_interval = type(result.confidence_interval)(math.nan, math.nan)
        return result

    monkeypatch.setattr(stats, "bootstrap", bootstrap)
    samples = np.array([1.0, 2.0, 4.0])
    ours = mean_interval(samples, generator(), resamples=4000)
    assert calls == ["BCa", "percentile"]
    # The exact distribution over all 27 resamples: 1/27 of them are 1, and 1/27 are 4, so that
    # the 2.5 % and 97.5 % points are the two extremes.
    assert (ours.low, ours.high) == (1.0, 4.0)


def test_the_interval_covers_what_its_docstring_says():
    draws = generator(0).normal(size=(1000, 8))
    estimates = [mean_interval(row, generator(i), resamples=499) for i, row in enumerate(draws)]
    covered = np.mean([e.low <= 0.0 <= e.high for e in estimates])
    assert 0.86 < covered < 0.92  # 0.89; binomial deviation 0.01


def test_equal_samples_and_a_single_one():
    assert mean_interval(np.full(5, 0.25), generator()) == (0.25, 0.25, 0.25, 5)
    alone = mean_interval(np.array([2.0]), generator())
    assert alone.mean == 2.0
    assert math.isnan(alone.low)
    assert not alone.excludes_zero


def test_the_global_generator_is_left_alone_and_the_given_one_decides():
    samples = generator(0).normal(size=9)
    before = mtrand.get_state()[1].copy()
    first = mean_interval(samples, generator(3))
    assert np.array_equal(before, mtrand.get_state()[1])
    assert first == mean_interval(samples, generator(3))
    assert first != mean_interval(samples, generator(4))


def test_pairs_are_by_seed_not_by_place():
    first, second = np.array([1.0, 2.0, 3.0]), np.array([13.5, 11.0, 99.0])
    estimate = paired_difference(
        first, second, np.array([0, 1, 2]), np.array([2, 0, 7]), generator()
    )
    assert estimate.mean == 10.25  # (11 - 1 + 13.5 - 3) / 2; seeds 1 and 7 have no partner
    assert estimate.size == 2
    assert estimate.excludes_zero


def test_pairing_takes_out_what_both_share():
    shared = generator(0).normal(scale=10.0, size=12)
    noise = generator(1).normal(scale=0.1, size=12)
    seeds = np.arange(12)
    paired = paired_difference(shared, shared + 1.0 + noise, seeds, seeds, generator())
    alone = mean_interval(shared + 1.0 + noise, generator())
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)
    assert paired.excludes_zero


CURVES = np.array([[0.2, 0.5, 0.4], [0.1, 0.2, 0.7], [0.3, np.nan, np.nan], [0.9, 0.1, 0.1]])


def test_epochs_to_a_threshold():
    found = epochs_to(CURVES, np.array([10, 20, 25]), 0.5)
    np.testing.assert_array_equal(found.epochs, [20, 25, np.nan, 10])
    assert found.reached == 0.75
    assert found.median == 22.5  # of 10, 20, 25, never


def test_a_median_on_a_member_that_never_got_there():
    found = epochs_to(CURVES, np.array([10, 20, 25]), 0.65)
    assert found.reached == 0.5
    assert found.median == math.inf
    assert math.isinf(epochs_to(CURVES, np.array([10, 20, 25]), 2.0).median)


def test_a_loss_reaches_its_threshold_from_above():
    found = epochs_to(CURVES, np.array([1, 2, 3]), 0.15, rising=False)
    np.testing.assert_array_equal(found.epochs, [np.nan, 1, np.nan, 2])


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: mean_interval(np.array([]), generator()), ValueError, "samples: .*one sample"),
        (lambda: mean_interval(np.array([1, math.nan]), generator()), ValueError, "finite"),
        (lambda: mean_interval(np.ones(3), 0), TypeError, "generator: expected a numpy.random"),
        (lambda: mean_interval(np.ones(3), generator(), confidence=1.0), ValueError, "confidence"),
        (
            lambda: paired_difference(
                np.ones(2), np.ones(2), np.array([0, 0]), np.array([0, 1]), generator()
            ),
            ValueError,
            "first_seeds: expected different seeds",
        ),
        (
            lambda: paired_difference(
                np.ones(1), np.ones(1), np.array([0]), np.array([1]), generator()
            ),
            ValueError,
            "in common",
        ),
        (lambda: epochs_to(np.ones((2, 3)), np.ones(2), 0.5), ValueError, "curves: expected shape"),
    ],
)
def test_what_does_not_fit_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
