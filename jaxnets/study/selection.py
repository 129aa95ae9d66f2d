"""Which learning rate each depth gets: decided on validation, never on test."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jaxnets.study.statistics import ROUNDING

Array = npt.NDArray[Any]


class Choice(NamedTuple):
    """The settings that won, one for each shape.

    Attributes:
        setting: which setting, its place in the order given.
        members: places of its members, one for each seed.
        scores: mean score of every setting.
        apart: whether any setting was better than another.
    """

    setting: int
    members: tuple[int, ...]
    scores: tuple[float, ...]
    apart: bool = True


def best_values(curves: Array, diverged: Array, *, rising: bool = True) -> Array:
    """The best value of each member's validation curve; the worst there is if it diverged.

    Args:
        curves: ``(members, records)``, NaN where a member no longer trained.
        diverged: bool ``(members,)``.
        rising: whether larger is better (an accuracy, whose worst is 0; a loss's is infinite).

    Returns:
        float64 ``(members,)``.

    Example:
        >>> best_values(np.array([[0.1, 0.3, 0.2], [0.9, np.nan, np.nan]]), np.array([False, True]))
        array([0.3, 0. ])
    """
    worst = 0.0 if rising else np.inf
    values = np.where(np.isnan(curves), worst, np.asarray(curves, np.float64))
    best = values.max(axis=1) if rising else values.min(axis=1)
    return np.where(np.asarray(diverged, bool), worst, best)


def choose(values: Array, settings: Array, *, rising: bool = True) -> Choice:
    """The setting whose members have the best mean.

    Args:
        values: ``(members,)``, see `best_values`.
        settings: ``(members,)`` integers from 0: which setting each member has.
        rising: whether larger is better.

    Returns:
        The choice; of settings that are equally good, up to rounding, the first one. Where members
        of every setting have infinite values, it is the one with the fewest of them, then with the
        best mean of the others.

    Raises:
        ValueError: shapes that do not fit, or a setting without members.

    Example:
        >>> choose(np.array([0.5, 0.7, 0.6, 0.4]), np.array([0, 0, 1, 1])).members
        (0, 1)
    """
    values, settings = np.asarray(values, np.float64), np.asarray(settings)
    if values.ndim != 1 or values.shape != settings.shape or not len(values):
        raise ValueError(
            f"values: expected shape (members,) like settings, got {values.shape} and "
            f"{settings.shape}."
        )
    count = int(settings.max()) + 1
    for setting in range(count):
        if not np.any(settings == setting):
            raise ValueError(f"settings: expected members of setting {setting}, got none.")
    groups = [values[settings == setting] for setting in range(count)]
    ranks = [_rank(group, rising) for group in groups]
    alike = [_alike(rank, min(ranks)) for rank in ranks]
    best = alike.index(True)
    scores = [float(np.mean(group)) for group in groups]
    members = tuple(np.flatnonzero(settings == best).tolist())
    return Choice(best, members, tuple(scores), apart=not all(alike))


def _alike(rank: tuple[int, float], best: tuple[int, float]) -> bool:
    """Means of recorded numbers, which are rounded to float32."""
    return rank[0] == best[0] and math.isclose(rank[1], best[1], rel_tol=ROUNDING)


def _rank(values: Array, rising: bool) -> tuple[int, float]:
    """The smaller the better."""
    finite = values[np.isfinite(values)]
    mean = float(np.mean(finite)) if len(finite) else np.inf
    return len(values) - len(finite), -mean if rising else mean
