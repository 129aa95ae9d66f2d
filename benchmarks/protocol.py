"""What the parent and a system's process say to each other: one line of JSON per message."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.problems import Problem


@dataclass(frozen=True)
class Job:
    """One row of a table: a system's work in one turn.

    Attributes:
        system: a name of `benchmarks.systems.SYSTEMS`.
        problem: what one network trains on.
        members: networks trained side by side.
        epochs: passes over the data.
        data: the file with the data; empty: the parent has not written it yet.
    """

    system: str
    problem: Problem
    members: int = 1
    epochs: int = 1
    data: str = ""

    @property
    def updates(self) -> int:
        """Of one network in one training."""
        return self.problem.steps * self.epochs

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Job":
        """The inverse of `dataclasses.asdict`, after a journey through JSON."""
        problem = dict(fields["problem"])
        problem["widths"] = tuple(problem["widths"])
        return cls(**{**fields, "problem": Problem(**problem)})


class Outcome(NamedTuple):
    """What a training did, told by the system itself.

    Attributes:
        losses: mean training loss of every network and epoch, ``(members, epochs)``; of no rows
            for a ceiling, which trains nothing.
        updates: of one network, as its optimizer counted them; for a ceiling, the updates whose
            products were done.
        parameters: of one network.
    """

    losses: np.ndarray
    updates: int
    parameters: int


class Variant(NamedTuple):
    """One way of running a job; of several, the fastest is measured.

    Attributes:
        label: what is particular about it.
        train: ``seed -> Outcome``; returns when all of it is done.
    """

    label: str
    train: Callable[[int], Outcome]


Variants = Callable[[Job], Iterator[Variant]]


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of the members' losses, by epoch."""

    count: int
    mean: list[float]
    squares: list[float]

    @classmethod
    def of(cls, losses: np.ndarray) -> "Moments":
        """Of an array ``(members, epochs)``."""
        if not len(losses):
            return cls(0, [], [])
        values = np.asarray(losses, np.float64).reshape(len(losses), -1)
        mean = values.mean(axis=0)
        return cls(len(values), mean.tolist(), ((values - mean) ** 2).sum(axis=0).tolist())

    def joined(self, other: "Moments") -> "Moments":
        """Of both sets of members together."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        a, b = np.array(self.mean), np.array(other.mean)
        mean = (self.count * a + other.count * b) / count
        between = (a - b) ** 2 * (self.count * other.count / count)
        squares = np.array(self.squares) + np.array(other.squares) + between
        return Moments(count, mean.tolist(), squares.tolist())


def line(message: dict[str, Any]) -> str:
    """A message as one line."""
    return json.dumps(message, default=asdict_or_number) + "\n"


def asdict_or_number(value: Any) -> Any:
    """What JSON does not know: dataclasses and NumPy's numbers."""
    return value.item() if isinstance(value, np.generic) else asdict(value)
