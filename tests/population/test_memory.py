"""The plan asks first; and when the device refuses all the same, the program is halved, and that is
said and recorded."""

import json
import re
import types
from pathlib import Path
from typing import Any

import jax
import pytest

import jaxnets as jn
from jaxnets.population import memory, plan
from jaxnets.population import run as running
from jaxnets.population.program import Compiled
from tests.population import kept
from tests.population.bars import Bar, full, kept_in
from tests.small import DATA, LOSS, ROOT

NET = jn.nn.MLP([], outputs=3)
WHO = jn.grid(network=NET, seed=range(9), learning_rate=0.1)
TURNS, LANES = 4, 4


def refuse() -> None:
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory, 3 bytes.\nDetails")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    kept.small_chunks(monkeypatch, turns=TURNS)


def limit(patch: pytest.MonkeyPatch, members: int, after: int = 0, at: str = "run") -> list[int]:
    """A device with memory for so many members; it notices after so many dispatches. Returns how
    many were dispatched."""
    count, call, compile_it = [0], Compiled.__call__, running._compile

    def check(program: plan.Program) -> None:
        if program.lanes * program.turns > members and count[0] > after:
            refuse()

    def dispatch(self: Compiled, *arguments: Any) -> Any:
        count[0] += 1
        if at == "run":
            check(self.program)
        return call(self, *arguments)

    def compiled(population: jn.Plan, program: plan.Program, data: Any) -> Any:
        count[0] += 1
        check(program)
        return compile_it(population, program, data)

    patch.setattr(Compiled, "__call__", dispatch)
    if at == "compile":
        patch.setattr(running, "_compile", compiled)
    return count


def train(out: Path | None = None, who: Any = WHO, **options: Any) -> jn.Runs:
    return kept.train(out, who, **options)


def layout(runs: jn.Runs) -> tuple[int, int]:
    (program,) = runs.plan.programs
    assert runs.groups[0].program is program
    return program.lanes, program.turns


@pytest.mark.parametrize("at", ["run", "compile"])
def test_who_takes_turns_takes_fewer(monkeypatch: pytest.MonkeyPatch, at: str, capsys: Any):
    expected = train()
    limit(monkeypatch, 1, at=at)
    with pytest.warns(RuntimeWarning, match="no memory for 1 members") as said:
        runs = train(progress=True)
    assert [re.findall(r"(\d) in turn", str(one.message)) for one in said] == [
        ["4", "2"], ["2", "1"],
    ]  # fmt: skip
    assert "the same bits" in str(said[0].message) and "3 bytes" in str(said[0].message)
    assert layout(expected) == (1, 4) and layout(runs) == (1, 1)
    assert kept.bits([g.kept for g in runs.groups]) == kept.bits([g.kept for g in expected.groups])
    assert runs.history.identical(expected.history)
    assert "9/9 members" in (bar := capsys.readouterr().err) and "63/63 epochs" in bar


def test_then_fewer_are_side_by_side(monkeypatch: pytest.MonkeyPatch):
    limit(monkeypatch, 2)
    with pytest.warns(RuntimeWarning) as said:
        runs = train(lanes=LANES)
    assert layout(runs) == (2, 1) and "other last bits" in str(said[-1].message)
    monkeypatch.setattr(plan, "TURNS", 1)
    kept.check_same(runs, train(lanes=2))
    assert kept.bits(runs.replay(5)[0].params) == kept.bits(runs[5].params)


def test_one_alone_is_too_much(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    limit(monkeypatch, 0)
    with (
        pytest.warns(RuntimeWarning),
        pytest.raises(MemoryError, match=r"single member \(RESOURCE.*3 bytes.*smaller batch_size"),
    ):
        train(tmp_path)


def test_what_was_saved_is_not_trained_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Four of nine members per dispatch; the device refuses the third chunk of the second four."""
    expected = train()
    with monkeypatch.context() as patch:
        kept.save_every_chunk(patch)
        before = limit(patch, 2, after=4 + 2)
        with pytest.warns(RuntimeWarning, match="the same bits"):
            runs = train(tmp_path)
    assert layout(runs) == (1, 2)
    assert runs.history.identical(expected.history)
    # 4 chunks for four members, then 2 and a refused one; the rest by twos, of which the first four
    # members have 2 chunks behind them (12 if they began again).
    assert before[0] == 4 + 3 + 8
    [session] = json.loads((tmp_path / "manifest.json").read_text())["sessions"]
    assert session["halved"] == [{"network": NET_NAME, "lanes": [1, 1], "turns": [4, 2]}]


def test_members_of_a_wider_program_are_replayed_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(plan, "TURNS", 2)
    with monkeypatch.context() as patch:
        limit(patch, 2, after=4 + 1)
        with pytest.warns(RuntimeWarning, match=r"the same bits|other last bits"):
            runs = train(tmp_path, lanes=LANES)
    older = runs.groups[0].older
    assert layout(runs) == (2, 1) and len(older) == 8 and set(older.values()) == {4}
    for member in (min(older), next(i for i in range(9) if i not in older)):
        assert kept.bits(runs.replay(member)[0].params) == kept.bits(runs[member].params)
    with monkeypatch.context() as patch:
        limit(patch, 2)
        with pytest.warns(RuntimeWarning):
            again = train(tmp_path, lanes=LANES)
    assert again.history.identical(runs.history) and again.groups[0].older == older


def test_the_bar_counts_what_was_saved_before_the_device_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """Twice: in the second chunk, and when four members are done."""
    found = make_plan(epochs=kept.EPOCHS)
    bar, count, call = Bar(found), [0], Compiled.__call__

    def dispatch(self: Compiled, *arguments: Any) -> Any:
        count[0] += 1
        if count[0] in (2, 2 + kept.EPOCHS + 2):
            refuse()
        return call(self, *arguments)

    monkeypatch.setattr(Compiled, "__call__", dispatch)
    told: list[str] = []
    with kept_in(tmp_path, found) as keep:
        keep.store.tell = told.append
        list(running.execute(found, bar, keep))
    assert len(told) == 2 and found.programs[0].turns == TURNS
    assert bar.stands == full(found)


def test_no_room_for_the_data(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "place", lambda *_: refuse())
    with pytest.raises(MemoryError, match=r"^data: the device has no room .*3 bytes"):
        train()


def test_the_data_are_placed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    placed, place = [], running.place
    monkeypatch.setattr(running, "place", lambda *given: placed.append(given) or place(*given))
    for _ in range(2):  # the second time there is nothing to be trained
        train(tmp_path, who=[jn.member(NET), jn.member(jn.nn.MLP([2], outputs=3))])
    assert len(placed) == 1


def test_a_host_that_has_no_memory_is_no_device(monkeypatch: pytest.MonkeyPatch):
    """No program is made smaller, which would be other bits."""

    def fail() -> None:
        raise MemoryError("of the host")

    kept.at_dispatch(monkeypatch, 2, fail)
    with pytest.raises(MemoryError, match=r"^of the host$"):
        train(lanes=LANES)


def test_other_errors_are_what_they_are(monkeypatch: pytest.MonkeyPatch):
    def fail() -> None:
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    kept.at_dispatch(monkeypatch, 2, fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        train()


# Asking first.


def make_plan(**options: Any) -> jn.Plan:
    spec = jn.make_spec(ROOT, DATA, WHO, loss=LOSS, batch_size=4, **{"epochs": 2} | options)
    return jn.make_plan(spec)


def test_a_host_without_memory(monkeypatch: pytest.MonkeyPatch):
    found = make_plan()
    assert found.remark == ""
    monkeypatch.setattr(memory, "host_bytes", lambda: 1.0 * found.data_bytes)
    with pytest.warns(RuntimeWarning, match="are available: take fewer members") as said:
        text = str(make_plan())
    assert str(said[0].message).split(",")[0] in " ".join(text.split())
    monkeypatch.setattr(memory, "host_bytes", lambda: 1.0 * found.data_bytes - 1)
    with pytest.raises(ValueError, match="data: expected what fits into memory"):
        make_plan()


@pytest.mark.parametrize(
    ("limit", "used", "stat", "expected"),
    [
        ("1000", "900", "anon 100\ninactive_file 600\n", 700),  # pages of files are given away
        ("1000", "900", "", 100),
        ("1000", "1100", "", 0),
        ("max", "900", "", 5 * 1024),
        ("", "", "", 5 * 1024),
    ],
)
def test_what_a_host_has(
    monkeypatch: pytest.MonkeyPatch, limit: str, used: str, stat: str, expected: int
):
    cgroup = {"max": limit, "current": used, "stat": stat}
    files = {f"/sys/fs/cgroup/memory.{name}": text for name, text in cgroup.items()}
    files["/proc/meminfo"] = "MemTotal: 9 kB\nMemAvailable:    5 kB\n"
    monkeypatch.setattr(memory, "_read", files.__getitem__)
    assert memory.host_bytes() == expected
    monkeypatch.setattr(memory, "_read", lambda path: "")
    assert memory.host_bytes() == float("inf")


def test_a_device_says_how_much_it_has():
    def device(stats: Any) -> Any:
        return types.SimpleNamespace(memory_stats=lambda: stats)

    room = memory.room_for_states(device({"bytes_limit": 10_000}), 1000)
    assert room == pytest.approx((0.9 * 10_000 - 1000) / memory.WORKING)
    assert memory.room_for_states(device({"bytes_limit": 10}), 1000) == 0
    assert memory.room_for_states(device(None), 5) == float("inf")
    assert plan._lanes("gpu", 10, 80) == 8 and plan._lanes("gpu", 10, 79.9) == 4
    assert plan._lanes("gpu", 10, 0) == 1 and plan._lanes("cpu", 10, 80) == 1


NET_NAME = WHO[0].network.name
