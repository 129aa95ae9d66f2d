"""The members of one dispatch, from wherever they are to their last epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from time import perf_counter
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets.population.halt import Halt
from jaxnets.population.lanes import Span
from jaxnets.population.plan import Plan, Program
from jaxnets.population.progress import Tally
from jaxnets.population.rows import Rows, filled, to_host, typed
from jaxnets.population.saver import Owner, Saver
from jaxnets.population.stopping import StopRequest
from jaxnets.train import Fault, Run


class Keeping(NamedTuple):
    """How the progress of a group is kept.

    Attributes:
        saver: of the population.
        owner: of the group's states.
        stop: whether somebody has asked to stop.
        where: the folder, for messages.
    """

    saver: Saver
    owner: Owner
    stop: StopRequest
    where: object


@dataclass(frozen=True)
class Ended:
    """Members after their last epoch, on the host. The leading axis counts them.

    Attributes:
        kept: parameters and other collections of every member, stacked along a leading axis.
        epochs: int32 ``(members,)``, epochs completed.
        best_epoch: int32 ``(members,)``, the epochs after which the kept weights were taken.
        steps: int32 ``(members,)``, steps taken; of a diverged member, the one that failed.
        fault: int32 ``(members,)``, a `jaxnets.train.Fault`.
        history: float32 ``(members, records)`` by name; NaN where a member no longer trained.
    """

    kept: tuple[Any, Any]
    epochs: np.ndarray
    best_epoch: np.ndarray
    steps: np.ndarray
    fault: np.ndarray
    history: Mapping[str, np.ndarray]

    def by_name(self) -> dict[str, Any]:
        """The attributes above, those of a subclass left out."""
        return {entry.name: getattr(self, entry.name) for entry in fields(Ended)}


@dataclass(frozen=True)
class Piece(Ended):
    """The members of one dispatch; padding is gone.

    Attributes:
        places: in the group.
        seconds: of training, of all members together.
    """

    places: np.ndarray
    seconds: float

    @classmethod
    def of(cls, rows: Rows, records: int) -> "Piece":
        """What counts of rows; ``records`` is the length of the histories."""
        run = rows.run
        return cls(
            places=rows.places,
            kept=run.kept,
            epochs=np.asarray(run.epoch),
            best_epoch=np.asarray(run.kept_epoch),
            steps=np.asarray(run.train.step),
            fault=np.asarray(run.train.fault),
            history={name: filled(array, records) for name, array in rows.history.items()},
            seconds=float(rows.seconds.sum()),
        )


class _Chunk(NamedTuple):
    """A chunk that is under way.

    Attributes:
        history: what it will have recorded.
        active: which lanes will train on.
        first, last: epochs of each member before and after it.
    """

    history: Any
    active: Any
    first: np.ndarray
    last: np.ndarray


class PieceRun:
    """Trains members side by side to their last epoch, until none of them is active, or until so
    few are that they leave for a dispatch in which others fill the free places.

    Args:
        plan: the population's.
        compiled: the group's programs.
        places: int ``(members,)``, at most as many as the program has lanes.
        saved: the states of the first of them, in this order; the others begin at the beginning.
        tally: told of every chunk.
        keeping: how progress is kept, if it is.
        halt: asked after every chunk whether to go on.
    """

    def __init__(
        self,
        plan: Plan,
        compiled: Any,
        places: np.ndarray,
        saved: Rows | None,
        tally: Tally | None,
        keeping: Keeping | None,
        halt: Halt,
    ) -> None:
        self.plan, self.compiled, self.places = plan, compiled, places
        self.unit = self.unit_of(compiled.program)
        self.tally, self.keeping, self.halt = tally, keeping, halt
        self.started = perf_counter()
        program, real = compiled.program, len(places)
        self.at = program.order[:real]
        # Padding repeats the last member and trains it for no epochs.
        everyone = np.full(program.width, places[-1])
        everyone[self.at] = places
        self.lanes = compiled.lanes(everyone)
        self.run: Any = compiled.begin(self.lanes)
        self.position = np.zeros(real, np.int64)
        self.before = np.zeros(real)
        self.history = {
            name: np.full((real, len(plan.spec.records)), np.nan, np.float32)
            for name in program.group.recipe.records(plan.spec.data.valid is not None)
        }
        if saved is not None:
            self._resume(saved)

    @staticmethod
    def unit_of(program: Program) -> int:
        """How many steps of a position, see `Rows`, an epoch is: positions are epochs here."""
        return 1

    def train(self, others: bool = False) -> tuple[Piece, Rows | None]:
        """Chunk after chunk; each is looked at while the next is under way.

        Args:
            others: whether others wait for a place. Then those that still train leave as soon as
                a quarter of the places is free: lanes side by side cost what they cost, whether
                their members train or not. (`python -m benchmarks.leaving`; to leave costs, too.)

        Returns:
            The members that have come to their end, and the states of those that have left.

        Raises:
            Stopped: somebody has asked to stop, and everything is saved.
            Halted: another worker has had to end.
        """
        epochs, chunk = self.plan.spec.epochs, self.compiled.program.chunk_epochs
        few = len(self.places) * 3 // 4 if others else 0
        waiting: _Chunk | None = None
        while (self.position < epochs).any():
            if self.keeping is not None and self._must_save(self.keeping):
                if waiting is not None and self._look(waiting) <= few:
                    waiting = None
                    break
                waiting = None
                self._save(self.keeping)
            self.halt.raise_if_made()
            upto = np.minimum(self.position + chunk, epochs)
            self.run, history = self.compiled(self.run, self.lanes, self._span(upto))
            # Looking at a chunk waits for it, so the next one is under way before the last is
            # looked at. `active` is a new array: the state itself is given away to the next chunk.
            under_way = _Chunk(history, self._still_active(), self.position, upto)
            self.position = upto
            enough = waiting is None or self._look(waiting) > few
            waiting = under_way
            if not enough:
                break
        if waiting is not None:
            self._look(waiting)
        return self._finish()

    def _resume(self, saved: Rows) -> None:
        """Put saved states in the place of initial ones."""
        count = len(saved.places)
        state = to_host(self.run, np.arange(self.compiled.program.width))

        def put(fresh: np.ndarray, rows: np.ndarray) -> np.ndarray:
            fresh[self.at[:count]] = rows
            return fresh

        state = typed(jax.tree.map(put, state, saved.run), self.run)
        # Not aliased: the program writes into the state that it is given.
        self.run = self.compiled.spread(state, may_alias=False)
        self.position[:count] = saved.reached
        self.before[:count] = saved.seconds
        for name, array in saved.history.items():
            self.history[name][:count] = filled(array, len(self.plan.spec.records))

    def _span(self, upto: np.ndarray) -> Span:
        span = Span(*np.zeros((2, self.compiled.program.width), np.int32))
        span.first[self.at], span.last[self.at] = self.position, upto
        return span

    def _look(self, chunk: _Chunk) -> int:
        """Take one chunk's history to the host; how many members go on."""
        every = self.plan.spec.history_every
        # A lane that is at its end already stays out: it has no part in this chunk.
        begin, end = chunk.first // every, -(-chunk.last // every)
        lanes = np.flatnonzero(chunk.first < chunk.last)
        for name, values in chunk.history.items():
            rows, curve = np.asarray(values)[self.at], self.history[name]
            for lane in lanes:
                curve[lane, begin[lane] : end[lane]] = rows[lane, : end[lane] - begin[lane]]
        if self.tally is not None:
            self.tally.advance(int((chunk.last - chunk.first).sum()))
        going = np.asarray(chunk.active)[self.at] & (chunk.last < self.plan.spec.epochs)
        return int(going.sum())

    def _still_active(self) -> Any:
        return _ACTIVE(self.run.train.fault, self.run.stopped)

    def _must_save(self, keeping: Keeping) -> bool:
        return keeping.stop.number is not None or keeping.saver.due()

    def _save(self, keeping: Keeping) -> None:
        since, begun = perf_counter(), np.flatnonzero(self.position)
        live = (keeping.owner, self._rows().take(begun)) if begun.size else None
        keeping.saver.save(live, since)
        if keeping.stop.number is not None:
            keeping.stop.raise_if_made(keeping.where, saved=keeping.saver.flush())

    def _rows(self) -> Rows:
        """All members as they are now, on the host."""
        real, run = len(self.places), to_host(self.run, self.at)
        records = -(-int(self.position.max()) // (self.unit * self.plan.spec.history_every))
        return Rows(
            places=self.places,
            reached=self._reached(run),
            run=run,
            history={name: curve[:, :records].copy() for name, curve in self.history.items()},
            seconds=self.before + self._seconds() / real,
        )

    def _reached(self, run: Run) -> np.ndarray:
        """How far each has come, see `Rows`. Others may have taken those that train no more far
        beyond the place where they ended.
        """
        epochs, every = self.plan.spec.epochs, self.plan.spec.history_every
        failed, epoch = np.asarray(run.train.fault != Fault.NONE), np.asarray(run.epoch)
        ended = np.where(failed, np.minimum((epoch // every + 1) * every, epochs), epoch)
        return np.where(failed | np.asarray(run.stopped), ended * self.unit, self.position)

    def _finish(self) -> tuple[Piece, Rows | None]:
        spec = self.plan.spec
        jax.block_until_ready(self.run)
        before_the_end = self.position < spec.epochs * self.unit
        going = np.asarray(self._still_active())[self.at] & before_the_end
        ended, left = np.flatnonzero(~going), np.flatnonzero(going)
        if self.tally is not None:
            missing = spec.epochs - self.position[ended] // self.unit
            self.tally.finish(len(ended), int(missing.sum()))
        if self.keeping is None and not left.size:
            return self._results(), None
        rows = self._rows()
        done = rows.take(ended) if left.size else rows
        if self.keeping is not None and ended.size:
            self.keeping.saver.add(self.keeping.owner, done)
        return Piece.of(done, len(spec.records)), rows.take(left) if left.size else None

    def _seconds(self) -> float:
        """Since it began; where pieces are trained beside each other, its part of them."""
        program = self.compiled.program
        beside = min(program.workers, program.pieces)
        return (perf_counter() - self.started) / beside

    def _results(self) -> Piece:
        """Of all members what `Piece.of` takes from their rows, and no more of their states."""
        run = self.run
        counts = run.epoch, run.kept_epoch, run.train.step, run.train.fault
        kept, (epochs, best_epoch, steps, fault) = to_host((run.kept, counts), self.at)
        seconds = float(self.before.sum()) + self._seconds()
        return Piece(kept, epochs, best_epoch, steps, fault, self.history, self.places, seconds)


_ACTIVE: Callable[[Any, Any], Any] = jax.jit(lambda fault, stopped: (fault == 0) & ~stopped)
