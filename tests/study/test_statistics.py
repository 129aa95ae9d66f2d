import math

import numpy as np
import pytest
from scipy import stats

from jaxnets.study.statistics import epochs_to, mean_interval, paired_difference, simultaneous

DRAWS, SEEDS = 4000, 8


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_is_scipys(confidence):
    samples = generator(1).normal(size=8)
    ours = mean_interval(samples, confidence=confidence)
    theirs = stats.ttest_1samp(samples, 0.0).confidence_interval(confidence)
    np.testing.assert_allclose((ours.low, ours.high), (theirs.low, theirs.high), rtol=1e-12)
    assert ours.mean == samples.mean()
    assert ours.size == 8


def test_the_interval_by_hand():
    # Deviation 1, so 1 +- t / sqrt(3) with the tabulated t of 2 degrees of freedom, 4.303.
    ours = mean_interval(np.array([0.0, 1.0, 2.0]))
    assert (ours.high - 1.0) * math.sqrt(3.0) == pytest.approx(4.303, abs=5e-4)
    assert ours.low == pytest.approx(2.0 - ours.high)


def accuracies(draw, right):
    return draw.binomial(1000, right, size=(DRAWS, SEEDS)) / 1000.0


SAMPLES = {
    # name: samples, their true mean, how often the docstring says that intervals hold it
    "normal": (lambda draw: draw.normal(size=(DRAWS, SEEDS)), 0.0, 0.950),
    "accuracy": (lambda draw: accuracies(draw, 0.995), 0.995, 0.945),
    "tail": (
        lambda draw: accuracies(draw, 0.72 - 0.02 * draw.exponential(size=(DRAWS, SEEDS))),
        0.70,
        0.938,
    ),
    "exponential": (lambda draw: draw.exponential(size=(DRAWS, SEEDS)), 1.0, 0.895),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_interval_covers_what_the_docstring_says(name):
    draw, mean, promised = SAMPLES[name]
    estimates = [mean_interval(row) for row in draw(generator())]
    covered = np.mean([e.low - 1e-12 <= mean <= e.high + 1e-12 for e in estimates])
    deviation = math.sqrt(promised * (1.0 - promised) / DRAWS)
    assert abs(covered - promised) < 3.0 * deviation


def test_intervals_of_several_comparisons_hold_together():
    # Three depths against the same first one: what it got by luck, it got in all comparisons.
    seeds, together, alone = np.arange(SEEDS), [], []
    for runs in generator().normal(size=(DRAWS // 2, 4, SEEDS)):
        for held, confidence in ((together, simultaneous(3)), (alone, 0.95)):
            pairs = [
                paired_difference(runs[0], other, seeds, seeds, confidence=confidence)
                for other in runs[1:]
            ]
            held.append(all(pair.low <= 0.0 <= pair.high for pair in pairs))
    deviation = math.sqrt(0.95 * 0.05 / (DRAWS // 2))
    assert np.mean(together) > 0.95 - 3.0 * deviation
    assert np.mean(alone) < 0.95 - 10.0 * deviation


def test_one_comparison_is_not_corrected():
    assert simultaneous(1) == 0.95
    assert simultaneous(4, 0.9) == pytest.approx(0.975)


def test_equal_samples_and_a_single_one():
    assert mean_interval(np.full(5, 0.25)) == (0.25, 0.25, 0.25, 5)
    assert mean_interval(np.full(10, 0.1)) == (0.1, 0.1, 0.1, 10)  # no tenth in base two
    alone = mean_interval(np.array([2.0]))
    assert alone.mean == 2.0
    assert math.isnan(alone.low)


def test_pairs_are_by_seed_not_by_place():
    first, second = np.array([1.0, 2.0, 3.0]), np.array([13.5, 11.0, 99.0])
    estimate = paired_difference(first, second, np.array([0, 1, 2]), np.array([2, 0, 7]))
    assert estimate.mean == 10.25  # (11 - 1 + 13.5 - 3) / 2; seeds 1 and 7 have no partner
    assert estimate.size == 2
    assert estimate.low > 0.0 or estimate.high < 0.0


@pytest.mark.parametrize("confidence", [0.95, simultaneous(3)])
def test_differences_that_are_equal_but_for_rounding_have_no_spread(confidence: float):
    """With two seeds Student's factor is large: 38 for three comparisons."""
    first, second = np.float32([0.558, 0.446]), np.float32([0.581, 0.469])
    pair = np.arange(2)
    estimate = paired_difference(first, second, pair, pair, confidence=confidence)
    assert estimate.low == estimate.high == pytest.approx(0.023, abs=1e-6)
    other = paired_difference(first, np.float32([0.581, 0.470]), pair, pair, confidence=confidence)
    assert other.low < other.high


def test_pairing_takes_out_what_both_share():
    shared = generator().normal(scale=10.0, size=12)
    noise = generator(1).normal(scale=0.1, size=12)
    seeds = np.arange(12)
    paired = paired_difference(shared, shared + 1.0 + noise, seeds, seeds)
    alone = mean_interval(shared + 1.0 + noise)
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)
    assert paired.low > 0.0 or paired.high < 0.0


CURVES = np.array([[0.2, 0.5, 0.4], [0.1, 0.2, 0.7], [0.3, np.nan, np.nan], [0.9, 0.1, 0.1]])


def test_a_mean_in_float32_is_at_its_own_threshold():
    shares = np.float32(np.arange(1, 20)) / np.float32(20)
    for place, share in enumerate(shares.tolist()):
        of_a_loss = epochs_to(shares[None, ::-1], np.arange(19), (place + 1) / 20, rising=False)
        found = epochs_to(shares[None], np.arange(19), (place + 1) / 20)
        assert found.epochs == [place] and of_a_loss.epochs == [18 - place], share


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
        (lambda: mean_interval(np.array([])), ValueError, "samples: .*one sample"),
        (lambda: mean_interval(np.array([1, math.nan])), ValueError, "finite"),
        (lambda: mean_interval(np.ones(3), confidence=1.0), ValueError, "confidence"),
        (
            lambda: paired_difference(np.ones(2), np.ones(2), np.array([0, 0]), np.array([0, 1])),
            ValueError,
            "first_seeds: expected different seeds",
        ),
        (
            lambda: paired_difference(np.ones(1), np.ones(1), np.array([0]), np.array([1])),
            ValueError,
            "in common",
        ),
        (lambda: simultaneous(0), ValueError, "comparisons: expected at least 1, got 0"),
        (lambda: epochs_to(np.ones((2, 3)), np.ones(2), 0.5), ValueError, "curves: expected shape"),
    ],
)
def test_what_does_not_fit_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
