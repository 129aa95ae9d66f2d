"""Equal work and an equal result: what a row must show before its speed counts."""

import math
from collections.abc import Sequence

from benchmarks.systems import SYSTEMS
from benchmarks.turns import Row

DEVIATIONS = 5.0
"""Standard errors by which the mean loss may differ from the reference's."""

FEWEST = 3
"""Trainings that a row needs before its mean loss says anything."""

SLACK = 0.01
"""The relative difference that is allowed on top: initialisers are cut off at two deviations in
one system and not in the other, optimizers add epsilon inside or outside the root."""


def reasons(rows: Sequence[Row], reference: str) -> list[str]:
    """Why each row does not count; empty if it does.

    Args:
        rows: of one case.
        reference: the system whose first row is what the losses are compared with; if it failed,
            the first row that trained.

    Returns:
        One text per row.
    """
    trained = [row for row in rows if not row.failed and row.losses.count]
    judges = [row for row in trained if row.job.system == reference] or trained
    return [_reason(row, judges[0] if judges else None) for row in rows]


def _reason(row: Row, judge: Row | None) -> str:
    if row.failed:
        return row.failed
    if SYSTEMS[row.job.system].ceiling:
        return ""
    problem = row.job.problem
    if row.updates != row.job.updates:
        return f"{row.updates} updates instead of {row.job.updates}"
    if row.parameters != problem.parameters:
        return f"{row.parameters:,} parameters instead of {problem.parameters:,}"
    if judge is None or row is judge:
        return ""
    return _unequal_loss(row, judge)


def _unequal_loss(row: Row, judge: Row) -> str:
    epoch = min(row.job.epochs, judge.job.epochs) - 1
    found, wanted = row.losses, judge.losses
    if not math.isfinite(found.mean[epoch]):
        return "the loss is not finite"
    if min(found.count, wanted.count) < FEWEST:
        return "too few trainings to compare the loss"
    freedom = max(1, found.count + wanted.count - 2)
    variance = (found.squares[epoch] + wanted.squares[epoch]) / freedom
    error = math.sqrt(variance * (1 / found.count + 1 / wanted.count))
    allowed = DEVIATIONS * error + SLACK * abs(wanted.mean[epoch])
    difference = found.mean[epoch] - wanted.mean[epoch]
    if abs(difference) <= allowed:
        return ""
    return (
        f"loss {found.mean[epoch]:.4f} after {epoch + 1} epochs, {wanted.mean[epoch]:.4f} in the "
        f"reference: {difference:+.4f} where {allowed:.4f} is explained by the seeds"
    )
