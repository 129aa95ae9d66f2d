"""The folder in which a population keeps what it has reached, and finds it again."""

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnets.files import remove_temporary
from jaxnets.population import segments
from jaxnets.population.rows import Layout, Rows, join
from jaxnets.population.segments import DamagedError, Segment

Tell = Callable[[str], None]


class Found(NamedTuple):
    """Where a member was found.

    Attributes:
        segment: which holds it.
        row: its place in there.
        reached: how far it has come, see `jaxnets.population.rows.Rows`.
        active: whether it still trains.
    """

    segment: Segment
    row: int
    reached: int
    active: bool

    def done(self, end: int) -> bool:
        """Whether nothing is left to do to come as far as ``end``."""
        return self.reached >= end or not self.active


class Store:
    """What is saved of members in one folder, which belongs to this process alone.

    Args:
        folder: the folder of segments; made if it is not there.
        tell: called with a sentence where something is wrong.
    """

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.folder = folder
        self.tell = tell
        self._good: dict[Path, Segment] = {}
        self._checked: set[Path] = set()
        self._damaged: list[Path] = []
        self._recent: dict[Path, dict[str, np.ndarray]] = {}
        self._mutex = threading.Lock()  # background threads write
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._generation = 0
        folder.mkdir(exist_ok=True)
        remove_temporary(folder)
        for path in sorted(folder.iterdir()):
            generation = segments.generation_of(path)
            if generation is None:
                continue
            self._generation = max(self._generation, generation)
            try:
                self._good[path] = segments.look(path)
            except DamagedError as error:
                self._give_up(path, error)

    def again(self) -> "Store":
        """The folder as it is now, with what other processes have written."""
        return Store(self.folder, self.tell)

    def find(
        self, members: Sequence[str], epochs: int, every: int, unit: int = 1
    ) -> list[Found | None]:
        """The furthest that is known of each member and leads to ``epochs``.

        A state at the end of an epoch that has no record is of use only if training is to end
        there: to end, it made a record that a longer training does not make. Within an epoch every
        state is of use.

        Args:
            members: identities.
            epochs: how far training is to go.
            every: epochs between two records.
            unit: what an epoch counts in `Found.reached`: 1, or its steps.

        Returns:
            One entry per member; ``None`` for those that begin at the beginning.
        """
        while True:
            best = self._best(epochs * unit, every * unit, unit)
            found = [best.get(member) for member in members]
            used = {one.segment.path: one.segment for one in found if one is not None}
            if all(self._is_good(segment) for segment in used.values()):
                return found

    def load(self, layout: Layout, found: Sequence[Found], places: Sequence[int]) -> Rows:
        """The rows of members that were found.

        Args:
            layout: of their group.
            found: where they are.
            places: their places in the group.

        Returns:
            The rows, in the order of ``found``.
        """
        paths = list(dict.fromkeys(one.segment.path for one in found))
        parts, order = [], []
        for path in paths:
            mine = [i for i, one in enumerate(found) if one.segment.path == path]
            whole = self._unpacked(layout, found[mine[0]].segment)
            part = whole.take([found[i].row for i in mine])
            parts.append(Rows(np.array([places[i] for i in mine], np.int64), part.reached,
                              part.run, part.history, part.seconds))  # fmt: skip
            order += mine
        return join(parts).take(np.argsort(order))

    def write(
        self,
        layout: Layout,
        members: Sequence[str],
        rows: Rows,
        final: bool,
        about: Mapping[str, Any],
        *,
        instead_of: Segment | None = None,
    ) -> Segment:
        """Save rows as a new segment, and take away what it makes superfluous.

        Args:
            layout: of their group.
            members: the identities of all members of the group.
            rows: some of them.
            final: whether nothing is left to do for any of them.
            about: written down with it.
            instead_of: a segment that holds nothing else; it is taken away.

        Returns:
            The segment.

        Raises:
            Exception: whatever goes wrong in writing; nothing is half there then.
        """
        with self._mutex:
            self._generation += 1
            generation = self._generation
        with self._writing:
            segment = segments.write(
                self.folder,
                generation,
                layout.pack(rows),
                members=[members[place] for place in rows.places],
                reached=rows.reached.tolist(),
                active=rows.active.tolist(),
                final=final,
                about=about,
            )
        with self._mutex:
            self._good[segment.path] = segment
            self._checked.add(segment.path)
            if instead_of:
                self._take_away([instead_of])
            self._take_away(self._superfluous())
        return segment

    def tidy(self) -> None:
        """Take away what was found damaged: what it held has been made again; and what whoever was
        killed could not take away any more.
        """
        with self._mutex:
            self._take_away(self._superfluous())
        for path in self._damaged:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._damaged.clear()

    def _best(self, end: int, period: int, unit: int) -> dict[str, Found]:
        best: dict[str, Found] = {}
        with self._mutex:
            known = sorted(self._good.values(), key=lambda segment: segment.generation)
        for segment in known:
            each = zip(segment.members, segment.reached, segment.active, strict=True)
            for row, (member, reached, active) in enumerate(each):
                leads_on = reached < end and (reached % unit or reached % period == 0)
                if reached != end and not leads_on:
                    continue
                if member not in best or best[member].reached <= reached:
                    best[member] = Found(segment, row, reached, active)
        return best

    def _is_good(self, segment: Segment) -> bool:
        if segment.path in self._checked:
            return True
        try:
            segments.check(segment)
        except DamagedError as error:
            del self._good[segment.path]
            self._give_up(segment.path, error)
            return False
        self._checked.add(segment.path)
        return True

    def _give_up(self, path: Path, error: DamagedError) -> None:
        if error.lost:
            self._damaged.append(path)
        self.tell(
            f"{path} is damaged ({error}) and is not used; what it held comes from an older "
            "state, or is trained again."
        )

    def _take_away(self, old: Sequence[Segment]) -> None:
        for segment in old:
            self._good.pop(segment.path, None)
            segments.remove(segment)

    def _superfluous(self) -> list[Segment]:
        """Those on the way of which every member has a final state or two newer ones, as far or
        further: who asks for fewer epochs in between does not lose what had been reached.
        """
        newer: dict[str, list[int]] = {}
        old = []
        for segment in sorted(self._good.values(), key=lambda s: s.generation, reverse=True):
            rows = dict(zip(segment.members, segment.reached, strict=True))  # equal members once
            if not segment.final and all(
                sum(later >= reached for later in newer.get(member, ())) >= 2
                for member, reached in rows.items()
            ):
                old.append(segment)
            for member, reached in rows.items():
                newer.setdefault(member, []).extend([reached] * (2 if segment.final else 1))
        return old

    def _unpacked(self, layout: Layout, segment: Segment) -> Rows:
        with self._reading:
            if segment.path not in self._recent:
                while len(self._recent) > 1:  # members of one segment are asked for in a row
                    del self._recent[next(iter(self._recent))]
                self._recent[segment.path] = segments.read(segment)
            arrays = self._recent[segment.path]
        count = len(segment.members)
        reached = np.array(segment.reached, np.int64)
        try:
            return layout.unpack(arrays, np.arange(count), reached)
        except ValueError as error:
            raise ValueError(f"out: {segment.path} is not of this study: {error}.") from None
