"""Several processes at one population, on one machine or many, through JAX's own coordinator.

Members depend on nothing but themselves, so the processes share out the members and exchange no
numbers: only words, that they are asked for the same thing and that each is done. What they have
trained meets in the folder that all of them see.

One that is killed is noticed by the others, which stop and say so (`LostProcessError`). If it is
the first one, JAX's coordinator goes with it, and most often JAX itself ends the others: "... the
leader task was preempted/died ...". What has been saved is good in both cases, and any number of
processes can go on from it.
"""

import contextlib
import functools
import itertools
import os
import threading
import time
from dataclasses import dataclass
from typing import Any

import jax

POLL, BEAT = 0.2, 1.0
"""Seconds between two looks at the others, and between two signs of life."""

SILENCE = "JAXNETS_SILENCE"
"""The environment variable that says after how many seconds without a sign of life a process counts
as gone; 30 if it is not set."""

_HEART, _OUT = "jaxnets/heart", "jaxnets/out"
"""Where each says that it lives, and that it leaves the job; or where another one says for it that
it is gone, so that nobody else has to find that out by waiting."""

_GONE = (
    "process {} of {} is gone; what process {} has done is saved. Start all of them again to go on "
    "from there."
)

_LEFT_BY_ITSELF = "left"

_TASKS = itertools.count()

_ENDED = (
    "process {} of {} has ended and said why; what process {} has done is saved. Start all of them "
    "again to go on from there."
)

_LEFT = threading.Event()
"""This process has left its job: its heart stops."""


class DisagreementError(ValueError):
    """The processes of a job are not asked for the same."""


class LostProcessError(RuntimeError):
    """Another process of the same job is gone or has ended; what this one has done is saved."""


def join(coordinator: str | None, processes: int | None, process: int | None) -> bool:
    """Join the other processes of a job. Call it before anything else uses JAX.

    Args:
        coordinator: ``host:port`` of the first process; ``None``: found out from SLURM, if this
            process is one of several of a step of it (``srun``).
        processes: how many there are.
        process: the number of this one, from 0.

    Returns:
        Whether there is such a job.

    Raises:
        ValueError: only some of the three are given, or they do not fit each other.
        ConnectionError: JAX is in use already, or the others do not answer.
    """
    _silence()
    given = [coordinator, processes, process]
    if any(value is not None for value in given):
        if any(value is None for value in given):
            raise ValueError(
                "coordinator, processes, process: expected all three or none of them, got "
                f"{coordinator!r}, {processes!r} and {process!r}."
            )
        if processes is not None and processes < 1:
            raise ValueError(f"processes: expected at least 1, got {processes}.")
        if processes is not None and process is not None and not 0 <= process < processes:
            raise ValueError(
                f"process: expected 0 to {processes - 1}, one less than processes, got {process}."
            )
        if ":" not in str(coordinator):
            raise ValueError(f"coordinator: expected host:port, got {coordinator!r}.")
    elif not _scheduled():
        return False
    # A process that is gone is for us to notice and to explain, not to die of.
    jax.config.update("jax_enable_recoverability", True)
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except RuntimeError as error:
        raise ConnectionError(f"coordinator: no job with the other processes: {error}") from error
    _start_heart(*_coordinator())
    return True


def _coordinator() -> tuple[Any, int]:
    """JAX's client of the coordinator, which is not public, and the number of this process."""
    from jax._src import distributed

    return distributed.global_state.client, distributed.global_state.process_id


def _silence() -> float:
    """See `SILENCE`."""
    given = os.environ.get(SILENCE, "30")
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not seconds > BEAT:
        raise ValueError(f"{SILENCE}: expected more than {BEAT:g} seconds, got {given!r}.")
    return seconds


def _scheduled() -> bool:
    """Whether SLURM has started several of us: by ``srun``, not by the script around it, which sees
    the same numbers but the names of a step, by which JAX finds the others.
    """
    step = {"SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST"}
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1 and step <= os.environ.keys()


@dataclass(frozen=True)
class Processes:
    """The processes of a job, as one of them sees them.

    Attributes:
        index: of this one.
        count: of all.
        client: of JAX's coordinator.
        task: what they are doing together; each task has words of its own.
    """

    index: int
    count: int
    client: Any
    task: int

    @classmethod
    def current(cls) -> "Processes | None":
        """Those of this job, for a new task; ``None`` if this process is alone."""
        if jax.process_count() == 1:
            return None
        client, index = _coordinator()
        _start_heart(client, index)
        return cls(index, jax.process_count(), client, next(_TASKS))

    @property
    def leads(self) -> bool:
        """Whether this one writes what is to be written once."""
        return self.index == 0

    def say(self, name: str, word: str = "done") -> None:
        """Let the others know."""
        self.client.key_value_set(self._key(name, self.index), word)

    def hear(self, name: str, index: int) -> str:
        """Wait for what another process says.

        Raises:
            LostProcessError: it has ended or is gone, or the first one and the coordinator with it.
        """
        # Looks are counted, not seconds: if this process itself is held up (a machine that was
        # suspended, a coordinator that was slow), the others have not been silent.
        beat, silent, patience = "", 0, _silence() / POLL
        while True:
            out = self._look(f"{_OUT}/{index}")  # it may have said the word before
            word = self._look(self._key(name, index))
            if word is not None:
                return word
            if out is not None:
                why = _ENDED if out == _LEFT_BY_ITSELF else _GONE
                raise LostProcessError(why.format(index, self.count, self.index))
            now = self._look(f"{_HEART}/{index}") or ""
            beat, silent = now, silent + 1 if now == beat else 0
            if silent > patience:
                self._put_out(index, "gone")
                raise LostProcessError(_GONE.format(index, self.count, self.index))
            time.sleep(POLL)

    def meet(self, name: str) -> None:
        """Wait until all of them have come as far as this.

        Raises:
            LostProcessError: one of them is gone.
        """
        self.say(name)
        for index in range(self.count):
            self.hear(name, index)

    def agree(self, name: str, word: str) -> None:
        """Make sure that all of them are asked for the same.

        Raises:
            DisagreementError: they are not.
            LostProcessError: one of them is gone.
        """
        self.say(name, word)
        words = [self.hear(name, index) for index in range(self.count)]
        self.say(f"{name} heard")
        if self.leads:  # the coordinator goes with the leader: it stays until all have heard
            for index in range(self.count):
                self.hear(f"{name} heard", index)
        for index, theirs in enumerate(words):
            if theirs != word:
                raise DisagreementError(
                    "processes: expected all of them to be asked for the same, but process "
                    f"{index} is asked for something else than process {self.index}."
                )

    def _put_out(self, index: int, why: str) -> None:
        self.client.key_value_set(f"{_OUT}/{index}", why, allow_overwrite=True)

    def _key(self, name: str, index: int) -> str:
        return f"jaxnets/{self.task}/{name}/{index}"

    def _look(self, key: str) -> str | None:
        try:
            return str(self.client.key_value_try_get(key))
        except jax.errors.JaxRuntimeError as error:
            if "NOT_FOUND" in str(error):
                return None
            if "UNAVAILABLE" in str(error):  # the leader has gone, and the coordinator with it
                raise LostProcessError(_GONE.format(0, self.count, self.index)) from error
            raise


def leave() -> None:
    """The end of the job, if there is one, whatever this process ends with: the others hear of it,
    and the leader stays until they have left, too, because JAX ends a process whose coordinator
    goes. It does not stay longer than it takes to notice that one is gone.
    """
    if not jax.distributed.is_initialized():
        return
    client, index = _coordinator()
    job = Processes(index, jax.process_count(), client, next(_TASKS))
    with contextlib.suppress(LostProcessError):
        job._put_out(index, _LEFT_BY_ITSELF)
        for _ in range(int(_silence() / POLL) if job.leads else 0):
            if all(job._look(f"{_OUT}/{other}") for other in range(job.count)):
                break
            time.sleep(POLL)
        time.sleep(2 * BEAT if job.leads else 0)
    _LEFT.set()
    jax.distributed.shutdown()


@functools.cache
def _start_heart(client: Any, index: int) -> None:
    """Let the others hear that this process lives, for as long as it does."""

    def beat() -> None:
        for number in itertools.count():
            # A beat that fails may be the coordinator's bad moment; if it has gone, JAX says so.
            with contextlib.suppress(Exception):
                client.key_value_set(f"{_HEART}/{index}", str(number), allow_overwrite=True)
            if _LEFT.wait(BEAT):
                return

    threading.Thread(target=beat, name="heart", daemon=True).start()
