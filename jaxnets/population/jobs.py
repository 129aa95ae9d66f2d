"""In which order members take their blocks of steps and end their epochs."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxnets.population.blocks import Lengths


class Job(NamedTuple):
    """What the lanes do next.

    Attributes:
        going: which members take part, bool ``(members,)``.
        position: steps behind each of them, int ``(members,)``.
        steps: how many they take; 0: they end an epoch.
        rest: whether it is the step with the rows that are left over.
    """

    going: np.ndarray
    position: np.ndarray
    steps: int
    rest: bool = False


def jobs(position: np.ndarray, epochs: int, lengths: Lengths) -> Iterator[Job]:
    """All blocks of members from their positions on, in order; none depends on what comes out.

    Args:
        position: int ``(members,)``, steps behind each.
        epochs: how many there are to be.
        lengths: of an epoch.

    Yields:
        Blocks and ends of epochs.

    Example:
        >>> lengths = Lengths(examples=10, size=4, whole=2, rest=2, block=2)
        >>> [(job.position.tolist(), job.steps) for job in jobs(np.array([0]), 1, lengths)]
        [([0], 2), ([2], 1), ([3], 0)]
    """
    steps = lengths.steps
    # Where a member is in its epoch; the end of one is not yet the beginning of the next.
    epoch, step = position // steps, position % steps
    while (left := epoch < epochs).any():
        ended, at_rest = left & (step == steps), left & (step == lengths.whole) & (step < steps)
        if ended.any():
            yield Job(ended, epoch * steps + step, 0)
            epoch, step = epoch + ended, np.where(ended, 0, step)
            continue
        rest = bool(at_rest.any())
        going = at_rest if rest else left
        count = 1 if rest else min(int((lengths.whole - step[going]).min()), lengths.block)
        yield Job(going, epoch * steps + step, count, rest)
        step = step + count * going
