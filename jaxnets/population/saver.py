"""When a group's progress is saved: in the background, and seldom enough to cost nothing."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Any, NamedTuple

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


class Saver:
    """Saves the progress of a population, group after group.

    Args:
        store: where to.
        save_every: least number of seconds between two saves; 0: at every chunk, whatever it
            costs, as long as no save is under way.
    """

    def __init__(self, store: Store, save_every: float) -> None:
        self._store, self._save_every = store, save_every
        self._done: list[tuple[Owner, Rows]] = []
        self._writing: tuple[Future[None], list[tuple[Owner, Rows]], bool, float] | None = None
        self._cost, self._last = 0.0, perf_counter()
        self._failed = False
        self._unsaved = 0  # members on their way whose last save is not known to be good
        self._tail: tuple[Owner, Segment, Rows] | None = None
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
        self._done.append((owner, rows))
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
        if self._done:
            self._begin(None, perf_counter())
            self._settle()
        return not (self._done or self._unsaved)

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
        lost = sum(len(rows.places) for _, rows in self._done)
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
        job, done, with_live, since = self._writing
        self._writing = None
        error = job.exception()
        self._cost = self._last - since
        if error is None:
            self._failed = False
            if with_live:
                self._unsaved = 0
            return
        self._done = done + self._done
        if not self._failed:
            self._failed = True
            self._store.tell(
                f"The state could not be saved in {self._store.folder} ({error}); as long as "
                "training goes on, the next save tries again."
            )

    def _begin(self, live: tuple[Owner, Rows] | None, since: float) -> None:
        done, self._done = self._done, []
        job = self._thread.submit(self._write, done, live)
        self._writing = job, done, live is not None, since

    def _write(self, done: list[tuple[Owner, Rows]], live: tuple[Owner, Rows] | None) -> None:
        try:
            groups: dict[int, tuple[Owner, list[Rows]]] = {}
            for owner, rows in done:
                groups.setdefault(id(owner), (owner, []))[1].append(rows)
            for owner, parts in groups.values():
                self._write_done(owner, parts)
                done[:] = [entry for entry in done if entry[0] is not owner]
            if live is not None:
                self._store.write(*live[0][:2], live[1], False, live[0].about)
        finally:
            self._last = perf_counter()

    def _write_done(self, owner: Owner, parts: list[Rows]) -> None:
        """Together with those that were written last, as long as they are few: a long run is not
        to leave a segment behind for every save.
        """
        tail, old, self._tail = self._tail, None, None
        if tail is not None and tail[0] is owner:
            old, parts = tail[1], [tail[2], *parts]
        rows = join(parts)
        segment = self._store.write(*owner[:2], rows, True, owner.about, instead_of=old)
        if rows.nbytes < TOGETHER:
            self._tail = owner, segment, rows
