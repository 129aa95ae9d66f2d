"""Let systems take turns: each in a process of its own, one at a time, round after round.

A system makes itself ready (imports, compiles, tries its variants) before the next one starts, and
sleeps while another one has its turn: a busy machine slows all of them alike.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.problems import stored
from benchmarks.protocol import Job, Moments, line
from benchmarks.systems import SYSTEMS

Tell = Callable[[str], None]
ROOT = Path(__file__).parents[1]


@dataclass
class Row:
    """What a job has shown so far.

    Attributes:
        job: which.
        variant: how it was run, where there was a choice.
        tried: model-steps per second of every variant when it was tried, or why it failed.
        first_seconds: the first training, with everything that is done once.
        seconds: of one training, one value per round.
        losses: of all trainings on the clock.
        updates, parameters: of one network.
        peak_bytes: the most memory of the system's process.
        failed: why there is nothing to see.
    """

    job: Job
    variant: str = ""
    tried: dict[str, float | str] = field(default_factory=dict)
    first_seconds: float = 0.0
    seconds: list[float] = field(default_factory=list)
    losses: Moments = field(default_factory=lambda: Moments(0, [], []))
    updates: int = 0
    parameters: int = 0
    peak_bytes: int = 0
    failed: str = ""

    @property
    def rates(self) -> list[float]:
        """Model-steps per second, one value per round."""
        return [self.updates * self.job.members / seconds for seconds in self.seconds]

    @property
    def rate(self) -> float:
        """The median rate; 0 if there is none."""
        return median(self.rates) if self.seconds else 0.0

    @property
    def compile_seconds(self) -> float:
        """How much longer the first training took than the others."""
        return max(0.0, self.first_seconds - median(self.seconds)) if self.seconds else 0.0


class Silence(Exception):
    """A process that did not answer."""


class System:
    """A system's process.

    Args:
        jobs: all of this system, data files named.
        tuning_seconds: see `benchmarks.worker`.
        limit: seconds to wait for any answer.
    """

    def __init__(self, jobs: Sequence[Job], tuning_seconds: float, limit: float) -> None:
        self._limit = limit
        environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        environment.update(SYSTEMS[jobs[0].system].environment)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, cwd=ROOT, env=environment,
        )  # fmt: skip
        self._answers: queue.Queue[str] = queue.Queue()
        self._said: list[str] = []
        reads = (self._read_answers, self._read_errors)
        self._readers = [threading.Thread(target=read, daemon=True) for read in reads]
        for reader in self._readers:
            reader.start()
        with contextlib.suppress(Silence):  # a process that has ended already is heard of below
            self._send({"jobs": [asdict(job) for job in jobs], "tuning_seconds": tuning_seconds})

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for answer in self._process.stdout:
            self._answers.put(answer)
        self._answers.put("")

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for said in self._process.stderr:
            self._said = [*self._said[-20:], said.strip()]

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line(message))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Silence(self._last_words()) from None

    def ask(self, job: int, seed: int, least_seconds: float) -> dict[str, Any]:
        """One turn."""
        self._send({"job": job, "seed": seed, "least_seconds": least_seconds})
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer.

        Raises:
            Silence: none came in time, or the process has ended.
        """
        try:
            answer = self._answers.get(timeout=self._limit)
        except queue.Empty:
            self.close()
            raise Silence(f"no answer within {self._limit:.0f} s") from None
        if not answer:
            raise Silence(self._last_words())
        found: dict[str, Any] = json.loads(answer)
        return found

    def _last_words(self) -> str:
        code = self._process.wait(timeout=30)
        return f"ended with status {code}: {' '.join(self._said[-1:])}"[:300]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def measure(
    jobs: Sequence[Job],
    *,
    rounds: int = 5,
    least_seconds: float = 0.5,
    tuning_seconds: float = 0.4,
    limit: float = 600.0,
    tell: Tell = lambda _: None,
) -> list[Row]:
    """Measure all jobs in alternating rounds.

    Args:
        jobs: the rows; those of one system share its process.
        rounds: turns of every row. Every second round goes backwards.
        least_seconds: a turn repeats its training until so many seconds are over.
        tuning_seconds: so long each variant may show its speed.
        limit: seconds after which a system that does not answer is given up.
        tell: told what is going on.

    Returns:
        One row per job, in their order.
    """
    rows = [Row(job) for job in jobs]
    systems: dict[str, System] = {}
    turns: list[tuple[Row, str, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name in dict.fromkeys(job.system for job in jobs):
                own = [row for row in rows if row.job.system == name]
                tell(f"{SYSTEMS[name].label}: getting ready")
                named = [_with_data(row.job, Path(folder)) for row in own]
                systems[name] = System(named, tuning_seconds, limit)
                for number, row in enumerate(own):
                    _make_ready(systems[name], row)
                    tell(f"  {row.failed or f'first training {row.first_seconds:.1f} s'}")
                    if not row.failed:
                        turns.append((row, name, number))
            for number in range(rounds):
                tell(f"round {number + 1} of {rounds}")
                for row, name, place in turns[:: -1 if number % 2 else 1]:
                    if not row.failed:
                        _take_turn(systems[name], row, place, 1000 * (number + 1), least_seconds)
        finally:
            for system in systems.values():
                system.close()
    return rows


def _with_data(job: Job, folder: Path) -> Job:
    return replace(job, data=str(stored(job.problem, folder)))


def _make_ready(system: System, row: Row) -> None:
    try:
        answer = system.answer()
    except Silence as silence:
        row.failed = str(silence)
        return
    row.failed = answer.get("failed", "")
    if not row.failed:
        row.variant, row.tried = answer["ready"], answer["tried"]
        row.first_seconds = answer["first_seconds"]


def _take_turn(system: System, row: Row, place: int, seed: int, least_seconds: float) -> None:
    try:
        answer = system.ask(place, seed, least_seconds)
    except Silence as silence:
        answer = {"failed": str(silence)}
    row.failed = answer.get("failed", "")
    if row.failed:
        return
    row.seconds.append(answer["seconds"] / answer["trainings"])
    row.losses = row.losses.joined(Moments(**answer["losses"]))
    row.updates, row.parameters = answer["updates"], answer["parameters"]
    row.peak_bytes = answer["peak_bytes"]
