"""Let systems take turns: each in a process of its own, one at a time, round after round.

A system makes itself ready (imports, compiles, tries its variants) before the next one starts, and
sleeps while another one has its turn; what slows the machine for a while falls on all.
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
    """What a job has shown so far, run in one way.

    Attributes:
        job: which.
        variant: how it was run, where there was a choice.
        tried: model-steps per second of every variant when it was tried, or why it failed.
        first_seconds: the first training, with everything that is done once.
        seconds: of one training, one value per round.
        losses: of all trainings on the clock.
        updates, parameters: of one network.
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
        except (BrokenPipeError, ValueError):  # ValueError: closed, after it had been given up
            raise Silence(self._last_words()) from None

    def ask(self, job: int, finalist: int, seed: int, least_seconds: float) -> dict[str, Any]:
        """One turn."""
        self._send({
            "job": job, "finalist": finalist, "seed": seed, "least_seconds": least_seconds,
        })  # fmt: skip
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
            self._answers.put("")  # it is the last one, for whoever asks again
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
        One row per job, in their order: of the ways that took turns, the one with the best median.
    """
    candidates: dict[int, list[Row]] = {}
    systems: dict[str, System] = {}
    turns: list[_Turn] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name in dict.fromkeys(job.system for job in jobs):
                own = [place for place, job in enumerate(jobs) if job.system == name]
                tell(f"{SYSTEMS[name].label}: getting ready")
                named = [_with_data(jobs[place], Path(folder)) for place in own]
                systems[name] = system = System(named, tuning_seconds, limit)
                for number, place in enumerate(own):
                    candidates[place] = rows = _ready(system, jobs[place])
                    for finalist, row in enumerate(rows):
                        tell(f"  {row.failed or f'first training {row.first_seconds:.1f} s'}")
                        turns.append(_Turn(row, system, number, finalist))
            for number in range(rounds):
                tell(f"round {number + 1} of {rounds}")
                for turn in turns[:: -1 if number % 2 else 1]:
                    if not turn.row.failed:
                        turn.take(1000 * (number + 1), least_seconds)
        finally:
            for system in systems.values():
                system.close()
    return [max(candidates[place], key=_worth) for place in range(len(jobs))]


def _with_data(job: Job, folder: Path) -> Job:
    return replace(job, data=str(stored(job.problem, folder)))


def _ready(system: System, job: Job) -> list[Row]:
    """One row for each way that is worth turns; a failed one if there is none."""
    try:
        answer = system.answer()
    except Silence as silence:
        answer = {"failed": str(silence)}
    if "failed" in answer:
        return [Row(job, failed=answer["failed"])]
    return [
        Row(job, label, tried=answer["tried"], first_seconds=seconds)
        for label, seconds in answer["finalists"]
    ]


@dataclass(frozen=True)
class _Turn:
    """A row, and how to ask its system for a turn of it."""

    row: Row
    system: System
    job: int
    finalist: int

    def take(self, seed: int, least_seconds: float) -> None:
        """Train once more, on the clock."""
        row = self.row
        try:
            answer = self.system.ask(self.job, self.finalist, seed, least_seconds)
        except Silence as silence:
            answer = {"failed": str(silence)}
        row.failed = answer.get("failed", "")
        if row.failed:
            return
        row.seconds.append(answer["seconds"] / answer["trainings"])
        row.losses = row.losses.joined(Moments(**answer["losses"]))
        row.updates, row.parameters = answer["updates"], answer["parameters"]


def _worth(row: Row) -> tuple[bool, float]:
    return not row.failed, row.rate
