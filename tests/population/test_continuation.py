"""Law 4: stopped anywhere and continued, or extended, a population has the bits of one sitting."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import optax
import pytest

import jaxnets as jn
from jaxnets.population import run as running
from jaxnets.population import segments
from jaxnets.population.identity import members as identities
from jaxnets.population.stopping import Stopped, stop_on_signals
from tests.population import kept
from tests.population.kept import (
    at_dispatch,
    check_same,
    check_same_states,
    interrupt,
    members,
    train,
)
from tests.small import compilations

PLAIN = jn.nn.MLP([], outputs=3)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    kept.small_chunks(monkeypatch)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, jn.Runs]:
    out = tmp_path_factory.mktemp("kept") / "undisturbed"
    with pytest.MonkeyPatch.context() as patch:
        kept.small_chunks(patch)
        return out, train(out)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many members were trained, call by call."""
    counts: list[int] = []

    begin = running._begin

    def counted(pool, known, data):
        counts.append(len(known.missing))
        return begin(pool, known, data)

    monkeypatch.setattr(running, "_begin", counted)
    return counts


def test_nothing_is_different_with_a_folder(undisturbed: tuple[Path, jn.Runs]):
    out, runs = undisturbed
    check_same(train(), runs)
    assert runs.history["diverged"].values.tolist() == [False, True, False, True]
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", ".manifest.json", "manifest.json", "state"
    ]  # fmt: skip
    assert all(segments.look(path).final for path in (out / "state").iterdir())


def test_a_finished_run_is_read(undisturbed: tuple[Path, jn.Runs], trained: list[int]):
    with compilations() as compiled:
        check_same(train(undisturbed[0]), undisturbed[1])
    assert trained == [0] and compiled == []


@pytest.mark.parametrize(("leaving", "dispatches"), [(False, 8), (True, 5)])
def test_stopped_at_any_chunk_and_continued(
    undisturbed: tuple[Path, jn.Runs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    leaving: bool, dispatches: int,
):  # fmt: skip
    """The member that learns leaves the one that diverges, and the next come along; or not."""
    if leaving:
        kept.save_every_chunk(monkeypatch)  # how soon a chunk is looked at decides who leaves when
    else:
        kept.never_leaving(monkeypatch)
    expected = kept.states(*undisturbed)
    with monkeypatch.context() as patch:
        chunks, epochs = at_dispatch(patch, 0, interrupt), 4 * kept.EPOCHS
        train(tmp_path / "counted")
    assert chunks[0] == dispatches and (leaving or chunks[1] == epochs)
    for number in range(1, chunks[0] + 1):
        out = tmp_path / str(number)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as caught:
            before = at_dispatch(patch, number, interrupt)
            train(out)
        # With nothing left to do it is finished first; then the signal acts as ever.
        assert isinstance(caught.value, Stopped) == (number < chunks[0])
        with monkeypatch.context() as patch:
            again = at_dispatch(patch, 0, interrupt)
            runs = train(out)
        assert before[1] + again[1] <= epochs, "nothing is run twice"
        check_same(runs, undisturbed[1])
        check_same_states(kept.states(out, runs), expected)


@pytest.mark.parametrize(("lanes", "turns"), [(1, 1), (2, 1), (1, 2)])
def test_stopped_at_every_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lanes: int, turns: int
):
    """Also with more members than fit, padding, and members at different epochs side by side."""
    kept.small_chunks(monkeypatch, turns)
    who = members(3, network=kept.NET if lanes * turns == 1 else PLAIN)[:5]
    expected = train(None, who, lanes=lanes)
    for sitting in range(30):
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            at_dispatch(patch, 1 + sitting % 2, interrupt)
            runs = train(tmp_path, who, lanes=lanes)
            break
    assert sitting >= 3
    check_same(runs, expected)


EXTENDED = {
    "seeds": ({"who": members(3)}, 2),
    "rates": ({"who": members(2, (0.2, *kept.RATES))}, 2),
    "networks": ({"who": members() + members(1, (0.1,), PLAIN)}, 1),
    "epochs": ({"epochs": 12}, 0),
    "fewer epochs": ({"epochs": 4}, 2),  # the others diverged before
    "fewer members": ({"who": members(1)}, 0),
    "another order": ({"who": members()[::-1]}, 0),
    "all of it": ({"who": members(3, (*kept.RATES, 0.1)), "epochs": 12}, 5),
}


@pytest.mark.parametrize("name", EXTENDED)
def test_extended(name: str, tmp_path: Path, trained: list[int]):
    """Only what is new is trained, and everything has the bits of a run that asked for it at once;
    what was there before is found again."""
    options, new = EXTENDED[name]
    before = train(tmp_path, epochs=6)
    assert trained == [4]
    if options.get("epochs", 6) > 6:  # those that had not stopped go on
        new += int(kept.states(tmp_path, before)[0].active.sum())
    trained.clear()
    options = {"epochs": 6} | options
    check_same(train(tmp_path, **options), train(**options))
    assert sum(trained) == new + len(options.get("who", members()))
    trained.clear()
    check_same(train(tmp_path, epochs=6), before)
    assert trained == [0]


def test_fewer_epochs_in_between_take_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A longer run was stopped; somebody looks at what a shorter one gives; the longer one goes on
    from where it was.
    """
    who = members(rates=(0.05,))  # whoever diverges is found at its end by everybody

    def reached() -> int:
        return max(max(segments.look(path).reached) for path in (tmp_path / "state").iterdir())

    expected = train(who=who, epochs=12)
    with monkeypatch.context() as patch:
        at_dispatch(patch, 5, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, who, epochs=12)
    far = reached()
    assert far >= 8
    train(tmp_path, who, epochs=4)
    assert reached() == far
    check_same(train(tmp_path, who, epochs=12), expected)


def test_a_record_that_a_longer_run_would_not_make(tmp_path: Path, trained: list[int]):
    """Seven epochs end between two records; the state at their end is of no use for nine. Two of
    the four diverged before.
    """
    train(tmp_path)
    check_same(train(tmp_path, epochs=9), train(epochs=9))
    assert trained[:2] == [4, 2]
    check_same(train(tmp_path), train())
    assert trained[3] == 0


def test_one_that_stopped_at_such_a_record_trains_on(tmp_path: Path, trained: list[int]):
    """One that stopped before does not."""
    who = members(1, (0.05,), PLAIN)
    options = {"patience": 1, "mode": "max", "who": who}  # as if it got worse all the time
    train(tmp_path, epochs=3, **options)
    longer = train(tmp_path, epochs=5, **options)
    assert longer.history["epochs"].values.tolist() == [4]
    check_same(longer, train(epochs=5, **options))
    train(tmp_path, epochs=9, **options)
    assert trained == [1, 1, 1, 0]


def test_members_on_their_way_and_new_ones_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One lane has two epochs behind it, the other none."""
    who = members(3, (0.05,))
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        at_dispatch(patch, 1, interrupt)
        train(tmp_path, who[:1])
    check_same(train(tmp_path, who), train(None, who))


def test_keys_in_the_state_of_an_optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    noisy = optax.chain(optax.add_noise(0.1, 0.5, key=3), optax.sgd(0.1))
    who = jn.member(PLAIN)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        at_dispatch(patch, 2, interrupt)
        train(tmp_path, who, optimizer=noisy)
    check_same(train(tmp_path, who, optimizer=noisy), train(None, who, optimizer=noisy))


def test_killed_and_locked_out(undisturbed: tuple[Path, jn.Runs], tmp_path: Path):
    out, number = tmp_path / "out", 4
    program = [sys.executable, "-m", "tests.population.kept", str(out), str(number)]
    environment = os.environ | kept.SETTINGS | {"PYTHONHASHSEED": "5", "PYTHONPATH": "."}
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        program, stdout=subprocess.PIPE, text=True, cwd=root, env=environment
    )
    try:
        assert process.stdout is not None
        names = process.stdout.readline().split()
        with pytest.raises(BlockingIOError, match=f"another process is at work in {out}"):
            train(out)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (out / "state" / f"{segments.TEMPORARY}half").mkdir()
    runs = undisturbed[1]
    assert names == list(identities(runs.plan.spec, runs.plan.programs[0])), "in every process"
    at_rest = [segments.look(path) for path in (out / "state").glob("0*")]
    assert {segment.final for segment in at_rest} == {True, False}
    check_same(train(out), runs)
    check_same_states(kept.states(out, runs), kept.states(*undisturbed))
    assert not list(out.rglob(f"{segments.TEMPORARY}*"))


# Stopping.


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, status: int
):
    kept.never_leaving(monkeypatch)
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    at_dispatch(monkeypatch, 2, lambda: signal.raise_signal(number))
    with pytest.raises(Stopped, match=f"saved in {tmp_path}: run the same again") as caught:
        train(tmp_path)
    assert caught.value.status == status
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert segments.look(max((tmp_path / "state").iterdir())).reached == (4, 2)


def test_the_second_signal_acts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def twice() -> None:
        interrupt()
        interrupt()

    at_dispatch(monkeypatch, 2, twice)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(tmp_path)
    assert not isinstance(caught.value, Stopped)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_comes_too_late_is_not_lost():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with stop_on_signals() as request:
            os.kill(os.getpid(), signal.SIGTERM)
            assert request.number == signal.SIGTERM and not heard
        assert heard == [signal.SIGTERM]
        with pytest.raises(Stopped), stop_on_signals() as request:
            os.kill(os.getpid(), signal.SIGTERM)
            request.raise_if_made("there")
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_stopped_while_compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ready, compile_it = threading.Event(), running._compile

    def slow(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        assert ready.wait(60)
        return compile_it(*arguments)

    monkeypatch.setattr(running, "_compile", slow)
    start = time.perf_counter()
    with pytest.raises(Stopped):
        train(tmp_path)
    ready.set()
    assert time.perf_counter() - start < 20


def test_signals_are_left_alone_outside_the_main_thread():
    asked = []

    def look() -> None:
        with stop_on_signals() as stop:
            asked.append((signal.getsignal(signal.SIGINT), stop.number))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert asked == [(signal.default_int_handler, None)]


# What goes wrong.


def test_a_full_disk_is_said_once_and_tried_again(
    undisturbed: tuple[Path, jn.Runs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save, calls = segments._save, []

    def full(path, arrays):
        calls.append(path)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        save(path, arrays)

    monkeypatch.setattr(segments, "_save", full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_same(train(tmp_path), undisturbed[1])
    [warning] = [w for w in caught if issubclass(w.category, RuntimeWarning)]
    assert "could not be saved" in str(warning.message) and "No space left" in str(warning.message)
    assert len(calls) > 1
    check_same_states(kept.states(tmp_path, undisturbed[1]), kept.states(*undisturbed))


DIFFERENT = {
    "key": ({"key": 1}, "key.data is [0, 11] there and [0, 1] now"),
    "loss": ({"loss": lambda o, b: o[:, 0]}, 'loss.name is "jaxnets.losses.soft'),
    "optimizer": ({"optimizer": "sgd"}, 'optimizer is ["momentum", [], null] there and ["sgd"'),
    "batch": ({"batch_size": 5}, "batch_size is 4 there and 5 now"),
    "patience": ({"patience": None}, "patience is 5 there and null now"),
    "records": ({"history_every": 1}, "history_every is 2 there and 1 now"),
    "lanes": ({"lanes": 3}, "lanes is null there and 3 now"),
    "precision": ({"precision": "high"}, 'precision is "highest" there and "high" now'),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_population_is_refused(
    undisturbed: tuple[Path, jn.Runs], monkeypatch: pytest.MonkeyPatch, name: str
):
    options, message = DIFFERENT[name]
    if name == "key":
        monkeypatch.setattr(kept, "ROOT", jn.rng.jax.random.key(1))
        options = {}
    before = {path: path.stat().st_mtime_ns for path in undisturbed[0].rglob("*")}
    with pytest.raises(ValueError) as caught:
        train(undisturbed[0], **options)
    assert f"{undisturbed[0]} holds another study: {message}" in str(caught.value)
    assert before == {path: path.stat().st_mtime_ns for path in undisturbed[0].rglob("*")}
