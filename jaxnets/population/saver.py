"""When a group's progress is saved: in the background, and seldom enough to cost nothing."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from jaxnets.population import segments
from jaxnets.population.rows import Layout, Rows, join
from jaxnets.population.segments import Segment
from jaxnets.population.store import Store

SHARE = 30
"""Training goes on for so many times as long as the last save took before the next begins, however
large the states and however slow the disk: a save under way is 3 % of the time at most."""

TOGETHER = 16 * 2**20
"""Bytes up to which members that are done are written again together with the next ones."""

SAVE_EVERY = 10.0
"""Seconds between two saves, if they do not take too long."""


class Owner(NamedTuple):
    """The group that rows belong to.

    Attributes:
        layout: of its states.
        members: the identities of all of its members.
        about: written down with every state.
    """

    layout: Layout
    members: tuple[str, ...]
    about: Mapping[str, Any]


class Finished:
    """Members that are done and not yet saved, of all workers together.

    Args:
        store: where they are to be saved.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mutex, self._writing = threading.Lock(), threading.Lock()
        self._waiting: list[tuple[Owner, Rows]] = []
        self._tails: dict[int, tuple[Owner, Segment, Rows]] = {}

    def __len__(self) -> int:
        return sum(len(rows.places) for _, rows in self._waiting)

    def add(self, owner: Owner, rows: Rows) -> None:
        """They are saved with the next save, whoever begins it."""
        with self._mutex:
            self._waiting.append((owner, rows))

    def take(self) -> list[tuple[Owner, Rows]]:
        """All that wait, to `write` them. Who comes later waits for the next save: what this one
        saves of members on their way is older, and is to be written before.
        """
        with self._mutex:
            taken, self._waiting = self._waiting, []
        return taken

    def write(self, taken: list[tuple[Owner, Rows]]) -> None:
        """Save them. Those that cannot be saved wait again.

        Raises:
            Exception: whatever goes wrong in writing.
        """
        groups: dict[int, tuple[Owner, list[Rows]]] = {}
        for owner, rows in taken:
            groups.setdefault(id(owner), (owner, []))[1].append(rows)
        try:
            for owner, parts in groups.values():
                with self._writing:
                    self._write(owner, parts)
                taken = [entry for entry in taken if entry[0] is not owner]
        finally:
            with self._mutex:
                self._waiting = taken + self._waiting

    def give_up(self) -> int:
        """How many could not be saved; they do not wait any longer."""
        with self._mutex:
            lost, self._waiting = len(self), []
        return lost

    def _write(self, owner: Owner, parts: list[Rows]) -> None:
        """Together with those of the group that were written last, as long as they are few: a long
        run is not to leave a segment behind for every save.
        """
        tail = self._tails.pop(id(owner), None)
        old = None if tail is None else tail[1]
        rows = join(parts if tail is None else [tail[2], *parts])
        rows = rows.take(np.argsort(rows.places))  # whoever was first
        segment = self._store.write(*owner[:2], rows, True, owner.about, instead_of=old)
        if rows.nbytes < TOGETHER:
            self._tails[id(owner)] = owner, segment, rows


class Saver:
    """Saves the progress of one worker, group after group.

    Args:
        store: where to.
        save_every: least number of seconds between two saves; 0: at every chunk, whatever it
            costs, as long as no save is under way.
        finished: members that are done; shared with the other workers.
    """

    def __init__(self, store: Store, save_every: float, finished: Finished | None = None) -> None:
        self._store, self._save_every = store, save_every
        self._finished = Finished(store) if finished is None else finished
        self._writing: tuple[Future[None], bool, float] | None = None
        self._cost, self._last = 0.0, perf_counter()
        self._failed = False
        self._unsaved = 0  # members on their way whose last save is not known to be good
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="save")
        self._thread.submit(segments.prepare)

    def due(self) -> bool:
        """Whether it is time to save again; never while a save is under way."""
        if self._writing is not None and not self._writing[0].done():
            return False
        self._settle()
        if self._save_every == 0:  # for who would rather lose nothing than save time
            return True
        return perf_counter() - self._last >= max(self._save_every, SHARE * self._cost)

    def add(self, owner: Owner, rows: Rows) -> None:
        """Members that are done; they are saved with the next save."""
        self._finished.add(owner, rows)
        self._unsaved = 0

    def save(self, live: tuple[Owner, Rows] | None = None, since: float | None = None) -> None:
        """Begin to save what is done, and members that are on their way.

        Args:
            live: members on their way, all or none of those that are trained at this moment.
            since: when the copying of ``live`` began, by `time.perf_counter`.
        """
        self._settle()
        self._unsaved = 0 if live is None else len(live[1].places)
        self._begin(live, perf_counter() if since is None else since)

    def flush(self) -> bool:
        """Wait for what is being written, and save what is done and not yet saved.

        Returns:
            Whether everything is saved now, those that are on their way as of the last save.
        """
        self._settle()
        if len(self._finished):
            self._begin(None, perf_counter())
            self._settle()
        return not (len(self._finished) or self._unsaved)

    def close(self, save: bool = True) -> None:
        """Wait for what is being written, save what is done, and end."""
        try:
            self._settle()
            if save:
                self.flush()
                self._tell_if_lost()
        finally:
            self._thread.shutdown()

    def _tell_if_lost(self) -> None:
        lost = self._finished.give_up()
        if lost:
            self._store.tell(
                f"{lost} members that are done could not be saved in {self._store.folder}: the "
                "next call will train them again."
            )
        if self._unsaved:
            self._store.tell(
                f"{self._unsaved} members that were on their way could not be saved in "
                f"{self._store.folder}: the next call goes on from what was saved before."
            )

    def _settle(self) -> None:
        """Wait for the save that is under way; what could not be written waits for the next."""
        if self._writing is None:
            return
        job, with_live, since = self._writing
        self._writing = None
        error = job.exception()
        self._cost = self._last - since
        if error is None:
            self._failed = False
            if with_live:
                self._unsaved = 0
            return
        if not self._failed:
            self._failed = True
            self._store.tell(
                f"The state could not be saved in {self._store.folder} ({error}); as long as "
                "training goes on, the next save tries again."
            )

    def _begin(self, live: tuple[Owner, Rows] | None, since: float) -> None:
        job = self._thread.submit(self._write, self._finished.take(), live)
        self._writing = job, live is not None, since

    def _write(self, done: list[tuple[Owner, Rows]], live: tuple[Owner, Rows] | None) -> None:
        try:
            self._finished.write(done)
            if live is not None:
                self._store.write(*live[0][:2], live[1], False, live[0].about)
        finally:
            self._last = perf_counter()
