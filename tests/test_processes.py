"""Several processes at one study, on the loopback: the same folder as that of one, and one that
goes is noticed."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the benchmarks lie beside the package

from benchmarks.faults.study import differences
from jaxnets import processes
from jaxnets.processes import SILENCE, DisagreementError, LostProcessError, Processes

STUDY = [
    "depth-width", "--dataset", "moons", "--depths", "1", "--params", "300", "--batch-size",
    "50", "--learning-rates", "0.03", "--seeds", "4", "--epochs", "1000", "--devices", "1",
    "--save-every", "0",
]  # fmt: skip
ENVIRONMENT = {SILENCE: "15", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "MPLBACKEND": "Agg"}
ALONE: list[list[str]] = [[]]

Started = subprocess.Popen[str]


def start(out: Path, parts: list[list[str]]) -> list[Started]:
    """The study, in as many processes as there are lists of further arguments."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = []
    for index, more in enumerate(parts):
        job = ["--coordinator", f"127.0.0.1:{port}", "--processes", f"{len(parts)}",
               "--process", f"{index}"]  # fmt: skip
        command = [sys.executable, "-m", "jaxnets", *STUDY, "--out", str(out)]
        begun.append(
            subprocess.Popen(
                [*command, *(job if len(parts) > 1 else []), *more],
                env=os.environ | ENVIRONMENT,
                cwd=Path(__file__).parents[1],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return begun


def end(begun: list[Started]) -> list[tuple[int, str]]:
    """Their exit statuses, and what they said on standard error."""
    try:
        said = [process.communicate(timeout=120)[1] for process in begun]
        return [(process.returncode, text) for process, text in zip(begun, said, strict=True)]
    finally:
        for process in begun:
            process.kill()
            process.wait()


def kill(number: int, out: Path) -> list[tuple[int, str]]:
    """Two processes, one of which is killed as soon as something has been saved."""
    begun = start(out, 2 * ALONE)
    try:
        for _ in range(6000):
            if any(path.name[0] != "." for path in out.glob("state/*")):
                break
            time.sleep(0.01)
        assert [process.poll() for process in begun] == [None, None], "too late to kill anybody"
    finally:
        begun[number].send_signal(signal.SIGKILL)
    return end(begun)


def test_two_are_as_good_as_one_and_one_that_is_killed_is_noticed(tmp_path: Path):
    one, two, killed, headless = (tmp_path / name for name in ("one", "two", "killed", "headless"))
    assert end(start(one, ALONE)) == [(0, "")]
    assert [status for status, _ in end(start(two, 2 * ALONE))] == [0, 0]
    assert differences(two, one) == []
    for status, said in end(start(one, 2 * [["--batch-size", "40"]])):
        assert status == 2 and "Traceback" not in said and "preempted" not in said, said
        assert "holds another study: question.batch_size is 50 there and 40 now" in said

    (status, said), (gone, _) = kill(1, killed)
    assert (status, gone) == (75, -signal.SIGKILL)
    assert "jaxnets: process 1 of 2 is gone; what process 0 has done is saved." in said
    assert "Start all of them again" in said and "Traceback" not in said
    assert not json.loads((killed / "manifest.json").read_text())["finished"]

    # Without the first one JAX itself ends the others, if they do not see it before.
    (gone, _), (status, said) = kill(0, headless)
    assert gone == -signal.SIGKILL and status in (75, -signal.SIGABRT)
    assert ("process 0 of 2 is gone" if status == 75 else "leader task was preempted") in said

    for folder in (killed, headless):
        assert end(start(folder, ALONE)) == [(0, "")]
        assert differences(folder, one) == []


def test_processes_that_are_asked_for_different_things_are_refused(tmp_path: Path):
    for status, said in end(start(tmp_path, [[], ["--batch-size", "40"]])):
        assert status == 2 and "processes: expected all of them to be asked for the same" in said
        assert "Traceback" not in said
    assert not [path.name for path in tmp_path.iterdir() if path.name[0] != "."]


@pytest.mark.parametrize("number", [0, 1])
def test_one_that_is_refused_does_not_leave_the_other_waiting(tmp_path: Path, number: int):
    wrong: list[list[str]] = [[], []]
    wrong[number] = ["--batch-size", "100000"]
    statuses = end(start(tmp_path, wrong))
    assert [status for status, _ in statuses] == ([2, 75] if number == 0 else [75, 2])
    assert "batch_size" in statuses[number][1]
    said = statuses[1 - number][1]
    assert f"process {number} of 2 has ended and said why" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("localhost:1", None, None),
            "expected all three or none of them, got 'localhost:1', None",
        ),
        ((None, 2, 0), "expected all three or none of them, got None, 2 and 0"),
        (("localhost:1", 2, 2), "process: expected 0 to 1, one less than processes, got 2"),
        (("localhost:1", 2, -1), "process: expected 0 to 1"),
        (("localhost:1", 0, 0), "processes: expected at least 1, got 0"),
        (("localhost", 2, 0), "coordinator: expected host:port, got 'localhost'"),
    ],
)
def test_bad_arguments(given: tuple[Any, Any, Any], message: str):
    with pytest.raises(ValueError, match=message):
        processes.join(*given)


def test_a_step_of_slurm_is_a_job(monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": "1",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_NODELIST": "node[1-2]",
    }.items():
        monkeypatch.setenv(name, value)

    def refuse(*given: Any) -> None:
        assert given == (None, None, None)
        raise RuntimeError("nobody answers")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with pytest.raises(ConnectionError, match="no job with the other processes: nobody"):
        processes.join(None, None, None)


@pytest.mark.parametrize("value", ["soon", "0", "1", "nan"])
def test_a_bad_silence(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv(SILENCE, value)
    with pytest.raises(ValueError, match=f"{SILENCE}: expected more than 1 seconds, got '{value}'"):
        processes.join("localhost:1", 2, 0)


def test_a_process_that_nobody_has_started_with_others_is_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    assert not processes.join(None, None, None)
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert not processes.join(None, None, None)
    monkeypatch.setenv("SLURM_NTASKS", "2")  # the script around srun is not one of a step's
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.delenv("SLURM_STEP_NODELIST", raising=False)
    assert not processes.join(None, None, None)
    assert Processes.current() is None
    processes.leave()


class Board:
    """What JAX's coordinator keeps, without one."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def key_value_set(self, key: str, word: str, allow_overwrite: bool = False) -> None:
        self.words[key] = word

    def key_value_try_get(self, key: str) -> str:
        if key not in self.words:
            raise jax.errors.JaxRuntimeError(f"NOT_FOUND: {key}")
        return self.words[key]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Processes, Processes]]:
    monkeypatch.setenv(SILENCE, "1.2")
    monkeypatch.setattr(processes, "POLL", 0.01)
    board = Board()
    yield Processes(0, 2, board, 7), Processes(1, 2, board, 7)


def test_who_says_nothing_and_has_no_heart_is_gone(pair: tuple[Processes, Processes]):
    first, second = pair
    second.say("word", "hello")
    assert first.hear("word", 1) == "hello" and first.leads and not second.leads
    begin = time.monotonic()
    with pytest.raises(LostProcessError, match="process 1 of 2 is gone; what process 0"):
        first.meet("end")
    assert time.monotonic() - begin >= 1.2
    begin = time.monotonic()  # nobody waits for it a second time, nor is told that it said why
    with pytest.raises(LostProcessError, match="process 1 of 2 is gone; what process 0"):
        first.hear("more", 1)
    assert time.monotonic() - begin < 1.0


def test_a_process_that_was_held_up_itself_does_not_take_the_others_for_gone(
    pair: tuple[Processes, Processes], monkeypatch: pytest.MonkeyPatch
):
    """As when a machine has been suspended: more than the silence passes within one look."""
    first, second = pair
    look, looks = Processes._look, itertools.count()

    def slow(self: Processes, key: str) -> str | None:
        number = next(looks)
        if number == 5:
            time.sleep(1.5)
        elif number > 20:
            second.say("word", "late")
        return look(self, key)

    monkeypatch.setattr(Processes, "_look", slow)
    assert first.hear("word", 1) == "late"


def test_a_beat_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "BEAT", 0.01)
    left = threading.Event()
    monkeypatch.setattr(processes, "_LEFT", left)
    beats: list[str] = []
    enough = threading.Event()

    class Coordinator:
        def key_value_set(self, key: str, word: str, allow_overwrite: bool) -> None:
            beats.append(word)
            if len(beats) == 2:
                raise jax.errors.JaxRuntimeError("UNAVAILABLE: a bad moment")
            if len(beats) > 3:
                enough.set()

    processes._start_heart(Coordinator(), 1)
    assert enough.wait(10)
    left.set()
    [heart] = [thread for thread in threading.enumerate() if thread.name == "heart"]
    heart.join(10)
    assert not heart.is_alive()


def test_who_is_asked_for_something_else_is_named(pair: tuple[Processes, Processes]):
    first, second = pair
    second.say("question", "b")
    second.say("question heard")
    with pytest.raises(DisagreementError, match="process 1 is asked for something else"):
        first.agree("question", "a")
    second.say("question", "a")
    first.agree("question", "a")


def test_a_coordinator_that_fails_is_not_silence(pair: tuple[Processes, Processes]):
    def fail(word: str) -> Callable[[str], str]:
        def try_get(key: str) -> str:
            raise jax.errors.JaxRuntimeError(f"{word}: {key}")

        return try_get

    pair[1].client.key_value_try_get = fail("UNAVAILABLE")
    with pytest.raises(LostProcessError, match="process 0 of 2 is gone; what process 1 has done"):
        pair[1].hear("word", 0)
    pair[1].client.key_value_try_get = fail("INTERNAL")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        pair[1].hear("word", 0)
