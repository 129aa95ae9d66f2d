"""Those who train: one after the other the pieces of all groups, each as soon as it has time."""

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jaxnets.population.halt import Halt, Halted
from jaxnets.population.piece import Piece
from jaxnets.population.saver import Saver
from jaxnets.population.training import Training
from jaxnets.settings import carried

HEARD = 0.1
"""Seconds after which the main thread looks up from its waiting: the system may give a signal to
any thread, but only the main thread acts on it, and not while it waits."""


class Event(NamedTuple):
    """What a worker has to say.

    Attributes:
        training: of which group.
        what: members that have come to their end; or what has gone wrong.
    """

    training: Training
    what: Piece | BaseException


class Crew:
    """Workers on some groups. One alone is the thread that asks; several have threads of their
    own, with the settings of the thread that asks.

    Args:
        trainings: the groups, in the order in which they are begun.
        savers: of each worker; ``None`` where nothing is saved.
    """

    def __init__(self, trainings: Sequence[Training], savers: Sequence[Saver | None]) -> None:
        self._trainings = [training for training in trainings if not training.complete]
        self._halt = Halt()
        self._said: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        if len(savers) == 1:
            self._events = self._work(savers[0])
            return
        self._events = self._listen()
        report = carried(self._report)
        for number, saver in enumerate(savers):
            thread = threading.Thread(target=report, args=(saver,), name=f"train-{number}")
            self._threads.append(thread)

    def begin(self) -> None:
        """Let them work. Whatever comes from here on, `end` ends those that have begun."""
        for thread in self._threads:
            thread.start()

    def hear(self) -> Event:
        """The next thing that somebody says, waited for."""
        return next(self._events)

    def end(self, soon: bool = True) -> list[Event]:
        """Begin no other piece, and wait until all have ended.

        Args:
            soon: whether chunks that are under way are the last; else pieces are.

        Returns:
            What has been said meanwhile.
        """
        self._halt.enough = True
        self._halt.now |= soon
        for thread in self._threads:
            while thread.is_alive():
                thread.join(HEARD)
        said = []
        while not self._said.empty():
            said.append(self._said.get())
        return [event for event in said if event is not None]

    def _listen(self) -> Iterator[Event]:
        working = len(self._threads)
        while working:
            try:
                event = self._said.get(timeout=HEARD)
            except queue.Empty:
                continue
            if event is None:
                working -= 1
            else:
                yield event

    def _report(self, saver: Saver | None) -> None:
        for event in self._work(saver):
            self._said.put(event)
        self._said.put(None)

    def _work(self, saver: Saver | None) -> Iterator[Event]:
        for training in self._trainings:
            try:
                for piece in training.pieces(saver, self._halt):
                    yield Event(training, piece)
            except (GeneratorExit, Halted):
                return
            except BaseException as error:
                yield Event(training, error)
                return
