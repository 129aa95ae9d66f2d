"""Several workers: beside each other, with the bits of one alone, and all of them end together."""

import threading
from pathlib import Path
from typing import Any

import jax
import pytest

import jaxnets as jn
from jaxnets.population import run as running
from jaxnets.population.program import Compiled
from jaxnets.population.stopping import Stopped
from tests.population import kept
from tests.population.bars import Bar, full, kept_in
from tests.population.kept import ONE, at_dispatch, check_same, check_same_states, train
from tests.small import DATA, LOSS, ROOT

SMALL, LARGE = kept.NET, jn.nn.MLP([9], outputs=3)
TWO = jax.local_devices()[:2]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs per chunk, two members per piece."""
    kept.small_chunks(monkeypatch)


@pytest.fixture(autouse=True)
def nobody_is_left() -> Any:
    yield
    assert not [one for one in threading.enumerate() if one.name.startswith("train-")]


def many() -> list[jn.Member]:
    """Of two networks, in turn, some that learn and some that diverge."""
    return jn.grid(network=[SMALL, LARGE], seed=range(5), learning_rate=list(kept.RATES))


def test_dispatches_are_under_way_at_the_same_time():
    """Two members wait for each other in their first step."""
    meeting, met, errors = threading.Barrier(2, timeout=60), threading.Event(), []

    def meet() -> None:
        if met.is_set():
            return
        try:
            meeting.wait()
        except threading.BrokenBarrierError as error:
            errors.append(error)
        met.set()

    def loss(outputs: jax.Array, batch: Any) -> jax.Array:
        jax.debug.callback(meet)
        return ((outputs - batch.x) ** 2).mean(-1)

    who = jn.grid(network=jn.nn.MLP([], outputs=3), seed=range(2))
    jn.fit(ROOT, DATA, who, loss=loss, epochs=1, batch_size=10, keep="last", devices=TWO)
    assert met.is_set() and not errors


@pytest.mark.parametrize("how", [{}, {"lanes": 3}, {"patience": 2}], ids=str)
def test_the_bits_are_those_of_one_worker(how: dict[str, Any]):
    who = many()
    runs = train(None, who, devices=TWO, **how)
    assert [program.workers for program in runs.plan.programs] == [2, 2]
    check_same(runs, train(None, who, devices=ONE, **how))
    check_same(runs.replay(3), train(None, who[3:4], devices=ONE, **how))


def test_long_members_come_first_and_results_in_the_order_of_the_plan(
    monkeypatch: pytest.MonkeyPatch,
):
    began, call = [], Compiled.__call__

    def dispatch(self: Compiled, *arguments: Any) -> Any:
        began.append(self.program.parameters)
        return call(self, *arguments)

    monkeypatch.setattr(Compiled, "__call__", dispatch)
    runs = train(None, many(), devices=ONE)
    small, large = (group.program.parameters for group in runs.groups)
    assert small < large and set(began) == {small, large}
    assert began == sorted(began, reverse=True)


@pytest.mark.parametrize("number", [1, 3, 9])
def test_stopped_and_continued(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    expected = train(tmp_path / "undisturbed", many(), devices=TWO)
    with monkeypatch.context() as patch, pytest.raises(Stopped, match="what was reached is saved"):
        asked = threading.Event()

        def ask() -> None:
            kept.interrupt()
            asked.set()

        at_dispatch(patch, number, ask)
        kept.slowly(patch, asked)
        train(tmp_path / "stopped", many(), devices=TWO)
    assert any((tmp_path / "stopped" / "state").iterdir())
    runs = train(tmp_path / "stopped", many(), devices=TWO)
    check_same(runs, expected)
    check_same_states(
        kept.states(tmp_path / "stopped", runs), kept.states(tmp_path / "undisturbed", expected)
    )


def test_without_a_folder_an_interruption_ends_all_of_them(monkeypatch: pytest.MonkeyPatch):
    asked = threading.Event()
    count = at_dispatch(monkeypatch, 3, lambda: (kept.interrupt(), asked.set()))
    kept.slowly(monkeypatch, asked)
    kept.never_leaving(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(None, many(), devices=TWO, epochs=80, patience=None)
    assert 3 <= count[0] <= 8, "the first pieces alone have forty chunks each"


def test_an_interruption_before_all_have_begun(monkeypatch: pytest.MonkeyPatch):
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "train-1":
            raise KeyboardInterrupt
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        train(None, many(), devices=TWO)
    # `nobody_is_left`


@pytest.mark.parametrize("saved", [False, True])
def test_what_goes_wrong_in_one_is_raised_and_ends_all(
    saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail() -> None:
        raise ZeroDivisionError("of one worker")

    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError, match="of one worker"):
        at_dispatch(patch, 4, fail)
        train(tmp_path if saved else None, many(), devices=TWO)
    if saved:
        check_same(train(tmp_path, many(), devices=TWO), train(None, many(), devices=TWO))


@pytest.mark.parametrize("saved", [False, True])
def test_a_device_without_memory(saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One group has to begin again, and the members of the other one do not notice."""
    who = many()
    spec = jn.make_spec(ROOT, DATA, who, loss=LOSS, optimizer="momentum", batch_size=4, epochs=7,
                        history_every=2)  # fmt: skip
    plan = jn.make_plan(spec, devices=TWO)
    expected = list(running.execute(plan))
    count, call, mutex = [0], Compiled.__call__, threading.Lock()

    def dispatch(self: Compiled, *arguments: Any) -> Any:
        with mutex:
            count[0] += 1
            late = count[0] > 6
        group = self.program.group.rows
        if late and self.program.turns > 1 and group == plan.programs[1].group.rows:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory.")
        return call(self, *arguments)

    monkeypatch.setattr(Compiled, "__call__", dispatch)
    bar = Bar(plan)
    if saved:
        with kept_in(tmp_path, plan) as keep:
            told: list[str] = []
            keep.store.tell = told.append
            found = list(running.execute(plan, bar, keep))
            assert len(told) == 1
    else:
        with pytest.warns(RuntimeWarning, match="the same bits"):
            found = list(running.execute(plan, bar))
    assert [group.program.turns for group in found] == [2, 1]
    assert bar.stands == full(plan)
    for a, b in zip(found, expected, strict=True):
        assert kept.bits((a.kept, a.steps, dict(a.history))) == kept.bits(
            (b.kept, b.steps, dict(b.history))
        )
