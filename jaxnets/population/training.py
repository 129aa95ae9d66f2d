"""The members of one group that are missing: handed out piece by piece to whoever has time."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait

import numpy as np

from jaxnets.population.engine import Engine
from jaxnets.population.group import Keep, Known
from jaxnets.population.group_result import Gathering, GroupResult
from jaxnets.population.halt import Halt
from jaxnets.population.piece import Keeping, Piece, PieceRun
from jaxnets.population.progress import Tally
from jaxnets.population.rows import Rows, join
from jaxnets.population.saver import Owner, Saver
from jaxnets.population.ways import way_of
from jaxnets.settings import with_nans

COMPILE_SECONDS = "compile_seconds"

Compiling = Future[tuple[Engine, float]]


class Training:
    """Trains a group. Several workers may take pieces of it at the same time.

    Lanes of members that have stopped are given to others at the end of a chunk: those that still
    train leave them together as soon as they are few, and the next that wait come along. It is the
    same program, in which no lane depends on another, so that bits do not depend on it; a program
    of fewer lanes would be another one.

    Args:
        known: the group, and what is saved of it.
        compiling: its program on the way; not needed if nothing is missing.
        tally: told of every chunk.
        keep: where progress is kept; ``None``: nowhere.
    """

    def __init__(
        self, known: Known, compiling: Compiling | None, tally: Tally | None, keep: Keep | None
    ) -> None:
        self.known, self.tally = known, tally
        self._compiling, self._keep = compiling, keep
        self._gathering, self._ended = Gathering(known.program), 0
        self._waiting, self._left = known.missing, list[Rows]()
        self._share: int | None = None
        self._mutex = threading.Lock()
        self._owner: Owner | None = None

    @property
    def complete(self) -> bool:
        """Whether all that were missing have come to their end."""
        return self._ended == self.known.missing.size

    def wait(self) -> None:
        """Until the program is there, or has failed to come.

        Raises:
            Stopped: somebody has asked to stop.
        """
        if self._compiling is not None:
            self._wait(self._compiling, Halt())

    def compiled(self, halt: Halt) -> Engine:
        """The program, when it is there.

        Raises:
            Stopped: somebody has asked to stop.
            Halted: another worker has come to an unexpected end.
        """
        assert self._compiling is not None
        self._wait(self._compiling, halt)
        return self._compiling.result()[0]

    def pieces(self, saver: Saver | None, halt: Halt) -> Iterator[Piece]:
        """Train piece after piece, as long as members wait.

        Args:
            saver: this worker's own; ``None``: nothing is saved.
            halt: asked after every chunk.

        Yields:
            Members that have come to their end. The others of a piece have left it, and wait.
        """
        compiled = self.compiled(halt)
        while not halt.enough and (piece := self._trained(compiled, saver, halt)) is not None:
            yield piece

    def add(self, piece: Piece) -> None:
        """Members that have come to their end."""
        self._gathering.add(piece)
        self._ended += len(piece.places)

    def result(self) -> GroupResult:
        """All members of the group, when it is complete."""
        known, seconds = self.known, self._compile_seconds()
        if self._keep is not None:
            for places in known.by_segment():
                self._gathering.add(Piece.of(self._load(places), len(known.plan.spec.records)))
        return self._gathering.result(compile_seconds=seconds, older=known.older)

    def _wait(self, compiling: Compiling, halt: Halt) -> None:
        while not compiling.done():
            if self._keep is not None:
                self._keep.stop.raise_if_made(self._keep.store.folder.parent)
            halt.raise_if_made()
            wait([compiling], timeout=0.2)

    def _trained(self, compiled: Engine, saver: Saver | None, halt: Halt) -> Piece | None:
        """The next piece, and nothing of it is left on the devices; ``None`` if nobody waits."""
        with with_nans():
            run = self._next(compiled, saver, halt)
            if run is None:
                return None
            piece, left = run.train(others=self._waiting.size > 0)
        if left is not None:
            with self._mutex:
                self._left.append(left)
        return piece

    def _next(self, compiled: Engine, saver: Saver | None, halt: Halt) -> PieceRun | None:
        with self._mutex:
            left = self._left.pop() if self._left else None
            new = self._take(0 if left is None else len(left.places))
        if left is None and not new.size:
            return None
        saved = new[[self.known.found[place] is not None for place in new]]
        states = [rows for rows in (left, self._load(saved) if saved.size else None) if rows]
        places = new if left is None else np.concatenate([left.places, new])
        piece = way_of(self.known.plan.spec.data).piece
        rows = join(states) if states else None
        return piece(
            self.known.plan, compiled, places, rows, self.tally, self._keeping(saver), halt
        )

    def _take(self, held: int) -> np.ndarray:
        """The next that wait, beside some that have left: as many as there is room for; where
        fewer wait than would keep all workers busy, all take equally many.
        """
        program = self.known.program
        room = program.width - held
        if self._waiting.size <= program.width * program.workers:
            if self._share is None:
                self._share = program.share(self._waiting.size)
            room = min(room, self._share)
        new, self._waiting = np.split(self._waiting, [room])
        return new

    def _load(self, places: np.ndarray) -> Rows:
        assert self._keep is not None
        return self.known.load(self._keep.store, places)

    def _keeping(self, saver: Saver | None) -> Keeping | None:
        if self._keep is None or saver is None:
            return None
        with self._mutex:
            if self._owner is None:
                about = {COMPILE_SECONDS: self._compile_seconds()}
                self._owner = Owner(self.known.layout, self.known.members, about)
        return Keeping(saver, self._owner, self._keep.stop, self._keep.store.folder.parent)

    def _compile_seconds(self) -> float:
        """What compiling took, now or when the saved states were trained."""
        now = 0.0 if self._compiling is None else self._compiling.result()[1]
        return now if self._keep is None else max(now, self.known.about(COMPILE_SECONDS))
