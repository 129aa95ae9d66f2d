"""What is known of a group before anything is trained: who is done, who is missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from jaxnets.population import identity
from jaxnets.population.plan import Plan, Program
from jaxnets.population.rows import Layout, Rows
from jaxnets.population.saver import SAVE_EVERY
from jaxnets.population.stopping import StopRequest
from jaxnets.population.store import Found, Store
from jaxnets.population.ways import way_of
from jaxnets.processes import Processes


class Keep(NamedTuple):
    """Where a population keeps its progress.

    Attributes:
        store: the folder, opened.
        stop: whether somebody has asked to stop.
        halved: where it is noted which programs a device had no memory for.
        save_every: least number of seconds between two saves.
        processes: those that share the folder; ``None``: this one is alone.
    """

    store: Store
    stop: StopRequest
    halved: list[dict[str, Any]]
    save_every: float = SAVE_EVERY
    processes: Processes | None = None


@dataclass(frozen=True)
class Known:
    """What is known of the members of one program before anything is trained.

    Attributes:
        plan: the population's.
        program: of the group.
        members: their identities; empty if nothing is kept.
        found: what is saved of each.
        done: places of those that have nothing left to do.
        missing: places of the others, those that are furthest first.
        older: lanes, by place, of those that were done before the program had to be made smaller.
    """

    plan: Plan
    program: Program
    members: tuple[str, ...]
    found: tuple[Found | None, ...]
    done: np.ndarray
    missing: np.ndarray
    older: Mapping[int, int] = field(default_factory=dict)

    @property
    def begun(self) -> int:
        """How many of the missing have some epochs behind them."""
        return sum(self.found[place] is not None for place in self.missing)

    @property
    def behind(self) -> int:
        """Epochs that need not be run, of all members together."""
        return self.plan.spec.epochs * len(self.done) + self.under_way

    @property
    def under_way(self) -> int:
        """Epochs that the missing have behind them, all together."""
        unit = _unit(self.plan, self.program)
        return sum(self._found(place).reached // unit for place in self._begun())

    def share(self, index: int, count: int) -> "Known":
        """What one of ``count`` processes is to train, and nothing else."""
        return replace(self, done=self.done[:0], missing=self.missing[index::count])

    def again(self, program: Program, keep: Keep | None) -> "Known":
        """The same members in a smaller program: what is done is kept."""
        now, new = (look(self.plan, p, keep) for p in (self.program, program))
        found, older = list(new.found), dict(self.older)
        before = {place: self.found[place] for place in self.older}
        before |= {place: now.found[place] for place in now.done.tolist() if place not in before}
        for place, one in before.items():
            found[place] = one
            if program.lanes != self.program.lanes:
                older.setdefault(place, self.program.lanes)
        mine = np.union1d(self.done, self.missing)
        missing = new.missing[np.isin(new.missing, mine) & ~np.isin(new.missing, list(before))]
        done = np.setdiff1d(mine, missing)
        return replace(new, found=tuple(found), done=done, missing=missing, older=older)

    @cached_property
    def layout(self) -> Layout:
        """Of the states of its members."""
        return way_of(self.plan.spec.data).layout(self.plan.spec, self.program)

    def load(self, store: Store, places: np.ndarray) -> Rows:
        """The saved states of these members."""
        return store.load(self.layout, [self._found(place) for place in places], places.tolist())

    def by_segment(self) -> Iterator[np.ndarray]:
        """The places of those that are done, segment by segment."""
        together: dict[object, list[int]] = {}
        for place in self.done.tolist():
            together.setdefault(self._found(place).segment.path, []).append(place)
        yield from map(np.array, together.values())

    def about(self, name: str) -> float:
        """The largest number that was written down by this name with the saved states; or 0."""
        found = [one.segment.about for one in self.found if one is not None]
        return max((about.get(name, 0.0) for about in found), default=0.0)

    def _begun(self) -> list[int]:
        return [place for place in self.missing.tolist() if self.found[place] is not None]

    def _found(self, place: int) -> Found:
        found = self.found[place]
        assert found is not None
        return found


def look(plan: Plan, program: Program, keep: Keep | None) -> Known:
    """Look for what is saved of the members of one program.

    Args:
        plan: the population's.
        program: of the group.
        keep: where; ``None``: nothing is saved.

    Returns:
        What is known.
    """
    count, unit = len(program.group.rows), _unit(plan, program)
    epochs, every = plan.spec.epochs, plan.spec.history_every
    if keep is None:
        return Known(plan, program, (), (None,) * count, np.arange(0), np.arange(count))
    members = identity.members(plan.spec, program)
    found = tuple(keep.store.find(members, epochs, every, unit))

    def furthest(place: int) -> tuple[int, int, int]:
        one = found[place]
        if one is None:
            return 0, 0, place
        return -one.reached, -one.segment.generation, one.row

    is_done = np.array([one is not None and one.done(epochs * unit) for one in found])
    missing = sorted(np.flatnonzero(~is_done).tolist(), key=furthest)
    return Known(
        plan, program, members, found, np.flatnonzero(is_done), np.array(missing, np.int64)
    )


def _unit(plan: Plan, program: Program) -> int:
    """In what a member's position is counted: epochs, or steps where rows come from the disk."""
    return way_of(plan.spec.data).piece.unit_of(program)
