"""What a handful of seeds can tell: means with Student's t intervals, alone and paired.

Why not a bootstrap: over few seeds it is too sure of itself. So many nominal 95 % intervals over 8
samples hold the true mean (measured; of Student's in tests/study/test_statistics.py):

===================================================  =========  ===============
samples                                              Student's  bootstrap (BCa)
===================================================  =========  ===============
normal                                                  95.0 %             88 %
accuracies over 1000 examples, each right at 99.5 %     94.5 %             89 %
the same at 70 %, seeds with a tail of 2 points         93.8 %             86 %
exponential                                             89.5 %             86 %
===================================================  =========  ===============

A tail of 2 points: seeds scatter by 2 points, exponentially, towards the worse. Where nothing but
such a tail is left, as in the last row, Student's interval is too narrow as well, the less so the
more seeds there are.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[Any]

CONFIDENCE = 0.95

ROUNDING = 2 * float(np.finfo(np.float32).eps)
"""Of a mean in float32, such as a recorded accuracy: 9 / 10 is a little less than 0.9 there."""


class Estimate(NamedTuple):
    """A mean and how far it can be trusted.

    Attributes:
        mean: of the samples.
        low: lower end of the interval; NaN where one sample is all there is.
        high: upper end.
        size: how many samples.
    """

    mean: float
    low: float
    high: float
    size: int


class EpochsTo(NamedTuple):
    """When the curves of several members reached a threshold.

    Attributes:
        epochs: float64 ``(members,)``; NaN for a member that never did.
        median: over all members, one that never did counting as later than any other; infinite
            if that is what the median falls on.
        reached: the fraction of members that did.
    """

    epochs: Array
    median: float
    reached: float


def mean_interval(samples: Array, *, confidence: float = CONFIDENCE) -> Estimate:
    """The mean with Student's t interval.

    Args:
        samples: ``(n,)`` finite numbers, one per seed.
        confidence: of the interval, between 0 and 1.

    Returns:
        The estimate. Equal samples have an interval of no length, which says that the measure is
        too coarse rather than that the mean is certain.

    Raises:
        ValueError: not one axis, no samples, numbers that are not finite, a bad confidence.

    Source: Student 1908, The probable error of a mean; `scipy.special.stdtrit`, which is
    `scipy.stats.t.ppf` without the second that `scipy.stats` takes to import.

    Example:
        >>> estimate = mean_interval(np.array([1.0, 2.0, 3.0, 6.0]))
        >>> print(f"{estimate.mean} [{estimate.low:.3f}, {estimate.high:.3f}]")
        3.0 [-0.437, 6.437]
    """
    values = _samples("samples", samples)
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence}.")
    mean, count = float(np.mean(values)), len(values)
    if count == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    if np.all(values == values[0]):
        # The rounded mean of equal numbers need not be that number, and would give it a spread.
        return Estimate(float(values[0]), float(values[0]), float(values[0]), count)
    error = float(np.std(values, ddof=1)) / math.sqrt(count)
    half = float(special.stdtrit(count - 1, (1.0 + confidence) / 2.0)) * error
    return Estimate(mean, mean - half, mean + half, count)


def simultaneous(comparisons: int, confidence: float = CONFIDENCE) -> float:
    """The confidence that each of several intervals needs for all of them to hold together.

    Args:
        comparisons: how many intervals, at least 1.
        confidence: that all of them hold.

    Returns:
        ``1 - (1 - confidence) / comparisons``: Bonferroni's, whatever they have in common.

    Raises:
        ValueError: no comparisons.

    Source: Dunn 1961, Multiple comparisons among means.

    Example:
        >>> round(simultaneous(5), 6)
        0.99
    """
    if comparisons < 1:
        raise ValueError(f"comparisons: expected at least 1, got {comparisons}.")
    return 1.0 - (1.0 - confidence) / comparisons


def paired_difference(
    first: Array,
    second: Array,
    first_seeds: Array,
    second_seeds: Array,
    *,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """``second - first`` over the seeds that both have, with Student's t interval.

    Members of one seed share their data order, so that what the order does to both drops out.

    Args:
        first: ``(n,)`` numbers.
        second: ``(m,)`` numbers.
        first_seeds: ``(n,)`` different integers.
        second_seeds: ``(m,)`` different integers.
        confidence: of the interval; `simultaneous` gives that of several at once.

    Returns:
        The mean difference; ``size`` is the number of common seeds. Differences that are equal up
        to the rounding of float32 have an interval of no length.

    Raises:
        ValueError: lengths that do not fit, a seed that comes twice, no common seed; and what
            `mean_interval` raises.

    Example:
        >>> paired_difference(
        ...     np.array([1.0, 2.0]), np.array([9.0, 3.5]), np.array([0, 1]), np.array([7, 1])
        ... ).mean
        1.5
    """
    sides = []
    for name, samples, seeds in (("first", first, first_seeds), ("second", second, second_seeds)):
        values, labels = _samples(name, samples), np.asarray(seeds)
        if labels.shape != values.shape:
            raise ValueError(
                f"{name}_seeds: expected one seed for each of the {len(values)} samples, got "
                f"shape {labels.shape}."
            )
        if len(np.unique(labels)) != len(labels):
            raise ValueError(f"{name}_seeds: expected different seeds, got {labels.tolist()}.")
        sides.append(dict(zip(labels.tolist(), values.tolist(), strict=True)))
    common = sorted(sides[0].keys() & sides[1].keys())
    if not common:
        raise ValueError("second_seeds: expected at least one seed in common with first_seeds.")
    pairs = np.array([[sides[0][seed], sides[1][seed]] for seed in common])
    difference = pairs[:, 1] - pairs[:, 0]
    if np.ptp(difference) <= 2 * ROUNDING * np.abs(pairs).max():
        difference = np.full_like(difference, difference.mean())
    return mean_interval(difference, confidence=confidence)


def epochs_to(curves: Array, epochs: Array, threshold: float, *, rising: bool = True) -> EpochsTo:
    """The first recorded epoch at which each curve is at the threshold or beyond it, but for the
    rounding of float32: nine of ten are 0.9.

    Args:
        curves: ``(members, records)``; NaN where a member no longer trained.
        epochs: ``(records,)`` epochs completed at each record.
        threshold: to be reached.
        rising: from below (an accuracy), or else from above (a loss).

    Returns:
        The epochs, their median, and the fraction that reached the threshold.

    Raises:
        ValueError: shapes that do not fit, or no members.

    Example:
        >>> curves = np.array([[0.1, 0.6], [0.2, 0.3], [0.7, 0.2]])
        >>> epochs_to(curves, np.array([1, 2]), 0.5)
        EpochsTo(epochs=array([ 2., nan,  1.]), median=2.0, reached=0.6666666666666666)
    """
    values, records = np.asarray(curves, float), np.asarray(epochs, float)
    if values.ndim != 2 or records.shape != values.shape[1:]:
        raise ValueError(
            "curves: expected shape (members, records) with one epoch per record, got "
            f"{values.shape} and {records.shape}."
        )
    if not len(values):
        raise ValueError("curves: expected at least one member, got none.")
    slack = ROUNDING * abs(threshold)
    hit = values >= threshold - slack if rising else values <= threshold + slack
    first = np.where(hit.any(axis=1), records[np.argmax(hit, axis=1)], np.nan)
    counted = np.where(np.isnan(first), np.inf, first)
    ordered = np.sort(counted)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    median = float(low + high) / 2.0
    return EpochsTo(first, median, float(np.mean(hit.any(axis=1))))


def _samples(argument: str, samples: Array) -> Array:
    values = np.asarray(samples, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"{argument}: expected shape (n,) with at least one sample, got {values.shape}."
        )
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{argument}: expected finite numbers, got {values.tolist()}.")
    return values
