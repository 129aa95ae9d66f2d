"""What a handful of seeds can tell: means with bootstrap intervals, alone and paired.

Every function is pure: what is drawn is drawn from the generator that the caller hands over.

A bootstrap over few seeds is too sure of itself: of nominal 95 % intervals over normal samples
about 89 % hold the true mean with 8 of them, 92 % with 16, 93 % with 32 (measured; the first in
tests/study/test_statistics.py).
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[Any]

RESAMPLES = 9999
CONFIDENCE = 0.95


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

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval exists and lies on one side of zero."""
        return self.low > 0.0 or self.high < 0.0


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


def mean_interval(
    samples: Array,
    generator: np.random.Generator,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Estimate:
    """The mean with its bootstrap interval: bias-corrected and accelerated where that is defined.

    Args:
        samples: ``(n,)`` finite numbers, one per seed.
        generator: draws the resamples.
        confidence: of the interval, between 0 and 1.
        resamples: bootstrap resamples.

    Returns:
        The estimate. Equal samples have an interval of no length, which says that the measure is
        too coarse rather than that the mean is certain.

    Raises:
        TypeError: no generator.
        ValueError: not one axis, no samples, numbers that are not finite, a bad confidence.

    Source: Efron 1987, Better bootstrap confidence intervals; `scipy.stats.bootstrap`.

    Example:
        >>> estimate = mean_interval(np.array([1.0, 2.0, 3.0, 6.0]), np.random.default_rng(0))
        >>> estimate.mean, estimate.low < 3.0 < estimate.high
        (3.0, True)
    """
    values = _samples("samples", samples)
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            "generator: expected a numpy.random.Generator such as numpy.random.default_rng(0), "
            f"got {type(generator).__name__}."
        )
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: expected a number between 0 and 1, got {confidence}.")
    mean = float(np.mean(values))
    if len(values) == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    if np.all(values == values[0]):
        return Estimate(mean, mean, mean, len(values))
    state = generator.bit_generator.state
    for method in ("BCa", "percentile"):
        generator.bit_generator.state = state
        with warnings.catch_warnings():
            # Where BCa is not defined it says so by NaN, which is looked at below.
            warnings.simplefilter("ignore", category=stats.DegenerateDataWarning)
            warnings.simplefilter("ignore", category=RuntimeWarning)
            interval = stats.bootstrap(
                (values,), np.mean, confidence_level=confidence, n_resamples=resamples,
                method=method, rng=generator,
            ).confidence_interval  # fmt: skip
        if np.isfinite(interval.low) and np.isfinite(interval.high):
            break
    return Estimate(mean, float(interval.low), float(interval.high), len(values))


def paired_difference(
    first: Array,
    second: Array,
    first_seeds: Array,
    second_seeds: Array,
    generator: np.random.Generator,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Estimate:
    """``second - first`` over the seeds that both have, with its interval.

    Members of one seed share their data order, so that what the order does to both drops out.

    Args:
        first: ``(n,)`` numbers.
        second: ``(m,)`` numbers.
        first_seeds: ``(n,)`` different integers.
        second_seeds: ``(m,)`` different integers.
        generator: draws the resamples.
        confidence: of the interval.
        resamples: bootstrap resamples.

    Returns:
        The mean difference; ``size`` is the number of common seeds.

    Raises:
        ValueError: lengths that do not fit, a seed that comes twice, no common seed; and what
            `mean_interval` raises.

    Example:
        >>> paired_difference(
        ...     np.array([1.0, 2.0]), np.array([9.0, 3.5]), np.array([0, 1]), np.array([7, 1]),
        ...     np.random.default_rng(0),
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
    difference = np.array([sides[1][seed] - sides[0][seed] for seed in common])
    return mean_interval(difference, generator, confidence=confidence, resamples=resamples)


def epochs_to(curves: Array, epochs: Array, threshold: float, *, rising: bool = True) -> EpochsTo:
    """The first recorded epoch at which each curve is at the threshold or beyond it.

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
    hit = values >= threshold if rising else values <= threshold
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
