"""The campaigns themselves: what they compare, where they strike, and what they object to."""

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks import record
from benchmarks.faults import __main__ as command
from benchmarks.faults import damage, kills, larger, malformed, saving, soak, study
from jaxnets.population import segments

SUMMARY = "depth,test_loss,compile_seconds\n1,0.25,{}\n"


def state(folder: Path, generation: int, members: Sequence[str], final: bool = True) -> None:
    """Members whose weights are made of their names; of a capital, to the last bit but one."""
    weights = np.array([[ord(name.lower()), 0.5] for name in members], np.float32)
    weights[[name.isupper() for name in members]] *= np.float32(1.0000001)
    members = [name.lower() for name in members]
    segments.write(
        folder / "state", generation, {"w": weights, "seconds": np.full(len(members), generation)},
        members=members, reached=[3] * len(members), active=[True] * len(members), final=final,
        about={"compile_seconds": float(generation)},
    )  # fmt: skip


def finished(folder: Path, parts: Sequence[Sequence[str]], seconds: float = 1.0) -> Path:
    """What a study leaves behind, as far as it is compared."""
    (folder / "state").mkdir(parents=True)
    for generation, members in enumerate(parts, 1):
        state(folder, generation, members)
    (folder / "summary.csv").write_text(SUMMARY.format(seconds))
    (folder / "history.nc").write_bytes(b"curves")
    (folder / "depth_width.png").write_bytes(b"pixels")
    manifest = {"identity": {"key": 0}, "finished": f"{seconds}", "sessions": [seconds]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_times_and_how_states_are_spread_are_no_differences(tmp_path: Path):
    one = finished(tmp_path / "one", ("abc",))
    other = finished(tmp_path / "other", ("c", "ba"), seconds=2.0)
    assert study.differences(one, other) == []


PLANTED: dict[str, Callable[[Path], object]] = {
    "depth_width.png": lambda f: (f / "depth_width.png").write_bytes(b"pixelt"),
    "history.nc": lambda f: (f / "history.nc").write_bytes(b"curvez"),
    "summary.csv": lambda f: (f / "summary.csv").write_text(SUMMARY.replace("0.25", "0.26")),
    "manifest.json": lambda f: (f / "manifest.json").write_text('{"identity": {"key": 1}}'),
    ".new-x.svg: only": lambda f: (f / ".new-x.svg").write_text(""),
    "paired.csv: only": lambda f: (f / "paired.csv").write_text("a\n1\n"),
    "state: unfinished a: only": lambda f: state(f, 9, "a", final=False),
    "state: final d: only": lambda f: state(f, 9, "d"),
    "state/.new-1-1: only": lambda f: (f / "state" / ".new-1-1").mkdir(),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_difference_is_found(tmp_path: Path, name: str):
    one, other = (finished(tmp_path / where, ("ab",)) for where in ("one", "other"))
    PLANTED[name](other)
    [found] = study.differences(one, other)
    assert found.startswith(name)


def test_a_weight_is_compared(tmp_path: Path):
    one, other = finished(tmp_path / "one", ("ab",)), finished(tmp_path / "other", ("aB",))
    assert study.differences(one, other) == ["state: final b"]


def test_a_study_that_hangs_or_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(study, "command", lambda _: ["sleep", "60"])
    with pytest.raises(RuntimeError, match="did not end within 0 s"):
        study.finish(tmp_path, timeout=0.1)
    monkeypatch.setattr(study, "command", lambda _: ["sh", "-c", "echo no >&2; exit 3"])
    with pytest.raises(RuntimeError, match="status 3: no"):
        study.finish(tmp_path)


def test_a_folder_tells_where_its_process_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kills, "MEMBERS", 2)
    phases = [kills.see(tmp_path)]
    (tmp_path / "state").mkdir()
    (tmp_path / "manifest.json").write_text('{"finished": null}')
    phases.append(kills.see(tmp_path))
    state(tmp_path, 1, "ab", final=False)
    state(tmp_path, 2, "a", final=True)
    phases.append(kills.see(tmp_path))
    (tmp_path / "state" / ".new-1-3").mkdir()
    phases.append(kills.see(tmp_path))
    state(tmp_path, 3, "b", final=True)
    phases.append(kills.see(tmp_path))
    (tmp_path / ".new-abc.png").write_text("")
    phases.append(kills.see(tmp_path))
    (tmp_path / "manifest.json").write_text('{"finished": "now"}')
    phases.append(kills.see(tmp_path))
    assert [tuple(seen) for seen in phases] == [
        ("starting", 0, 0, 0), ("compiling", 0, 0, 0), ("chunk", 2, 1, 1), ("saving", 2, 1, 1),
        ("results", 3, 0, 0), ("figure", 3, 0, 0), ("over", 3, 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("script", "hit"), [("exit 0", False), ("exec sleep 60", True)])
def test_who_had_ended_was_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, hit: bool
):
    started: list[subprocess.Popen[str]] = []

    def start(_: Path) -> subprocess.Popen[str]:
        started.append(subprocess.Popen(["sh", "-c", script], text=True))
        return started[0]

    def moment(over: Callable[[], bool]) -> None:
        if not hit:
            started[0].wait()

    monkeypatch.setattr(kills, "start", start)
    assert kills._kill(tmp_path, moment) is hit


def test_kills_that_miss_a_phase_or_continue_nothing_do_not_count():
    good = [{"phase": kills.AIMS[n % len(kills.AIMS)], "continued": n % 2, "wrong": []}
            for n in range(50)]  # fmt: skip
    assert kills.judge(good) == {}
    one = [{**found, "wrong": ["summary.csv"] if n == 7 else []} for n, found in enumerate(good)]
    assert kills.judge(one) == {"7: results": ["summary.csv"]}
    others = [{**found, "phase": "chunk"} for found in good]
    assert sorted(kills.judge(others)) == ["compiling", "figure", "results", "saving"]
    nothing = [{**found, "continued": 0} for found in good]
    assert list(kills.judge(nothing)) == ["live states"]


def sample(studies: int, **held: float) -> dict[str, float]:
    return {"studies": studies, "memory_mib": 700.0, "files": 6, "threads": 9, "programs": 14,
            "arrays": 0, **held}  # fmt: skip


def test_a_process_may_warm_up_but_not_grow():
    steady = [sample(10 * n, memory_mib=700 + 50 * (n > 10), threads=9 + n % 2)
              for n in range(1, 101)]  # fmt: skip
    assert soak.judge(steady)["wrong"] == {}
    early = [sample(n, memory_mib=600 + n) for n in range(1, 100)]
    assert soak.judge(early + steady[10:])["wrong"] == {}
    leaking = [sample(10 * n, memory_mib=700 + 0.06 * n) for n in range(1, 101)]
    assert soak.judge(leaking)["wrong"] == {"memory_mib": 6.0}
    for name in soak.COUNTED:
        grown = [sample(10 * n, **{name: 20 + n // 30}) for n in range(1, 101)]
        assert soak.judge(grown)["wrong"] == {name: 1}
    assert list(soak.judge(steady[:3])["wrong"]) == ["samples"]


def test_every_malformed_case_names_its_argument():
    found = malformed.run(len(malformed.CASES))
    assert found["wrong"] == {} and found["ended in"].keys() == {"TypeError", "ValueError"}


@pytest.mark.parametrize(
    ("error", "objection"),
    [
        (ValueError("epochs: expected at least 1, got 0."), ""),
        (TypeError("members[0] (MLP): epochs: expected an integer."), ""),
        (ValueError("something is wrong with the number of my_epochs"), "does not name epochs"),
        (KeyError("epochs"), "another error"),
        (None, "accepted"),
    ],
)
def test_what_is_objected_to(error: Exception | None, objection: str):
    assert malformed.objection("epochs", error).startswith(objection)
    assert bool(malformed.objection("epochs", error)) is bool(objection)


def test_damage_reaches_every_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(damage.plan, "CHUNK_STEPS", 210)
    half = tmp_path / "half"
    expected = damage.bits(damage.train(None))
    damage.stop_half_way(half)
    kinds = damage.kinds_of(half)
    states = {f"{age} state: {part}" for age in ("final", "newest", "older")
              for part in ("arrays", "index")}  # fmt: skip
    assert set(kinds.values()) >= states | {"manifest", "lock"}

    name = next(path for path, kind in kinds.items() if kind == "newest state: arrays")
    (half / name).write_bytes(b"")
    assert sum(damage._begins_at(half).values()) > 0
    said = damage.outcome_of(half, name, kinds[name], expected)
    assert said == "told, and the bits are the same"
    said = damage.outcome_of(half, name, kinds[name], expected)
    assert said == "WRONG: nothing was said"  # it has been made again, so there is nothing to say
    assert damage.outcome_of(half, name, "lock", expected[:-1]) == "WRONG: other bits"


def test_what_saving_costs_is_measured_and_judged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(saving, "LIMIT", 0.01)
    found = saving.run(1, epochs=3)
    assert found["saves"] >= 1 and found["times as much processor time"] > 0.5
    assert found["each"] == [found["times as long"]]
    assert found["wrong"] == {"slower": f"{found['times as long']:.3f}, more than 0.01"}


def test_the_file_that_is_larger_than_memory_can_be_learned(tmp_path: Path):
    rows = larger.write(tmp_path, 2 * larger.BLOCK + 5)
    x, y = np.load(tmp_path / "x.npy"), np.load(tmp_path / "y.npy")
    assert rows == len(x) == len(y) == 2 * larger.BLOCK
    half = larger.SIDE // 2
    right = x[:, :, half:].mean((1, 2)) > x[:, :, :half].mean((1, 2))
    assert (right == y).mean() > 0.99 and 0.3 < y.mean() < 0.7
    assert not (x[: larger.BLOCK, 0, 0] == x[larger.BLOCK :, 0, 0]).any()


@pytest.mark.parametrize(
    ("peak", "saved", "equal", "wrong"),
    [
        (1.0, True, True, []),
        (9.0, True, True, ["memory"]),
        (1.0, False, True, ["killed"]),
        (1.0, True, False, ["history.nc"]),
    ],
)
def test_what_of_the_larger_file_is_objected_to(
    monkeypatch: pytest.MonkeyPatch, peak: float, saved: bool, equal: bool, wrong: list[str]
):
    def train(folder: Path, out: Path, until: float = 0.0) -> tuple[float, float]:
        (out / "state").mkdir(parents=True, exist_ok=True)
        if saved:
            state(out, 1, "a")
        (out / "history.nc").write_text("" if equal else out.name)
        return 1.0, peak

    monkeypatch.setattr(larger, "_train", train)
    found = larger.run(2**-12 * larger.BLOCK)
    assert sorted(found["wrong"]) == wrong and found["rows"] == larger.BLOCK


def test_each_campaign_is_stored_with_where_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def campaign(given: Namespace) -> dict[str, Any]:
        return {"runs": given.count, "wrong": {}}

    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setitem(command.CAMPAIGNS, "reruns", campaign)
    before = {"environment": {}, "kills": {"environment": {"python": "3"}, "wrong": {}}}
    (tmp_path / "faults.json").write_text(json.dumps(before))
    assert command.main(["reruns", "--count", "3", "--note", "a word", "--write"]) == 0
    stored = json.loads((tmp_path / "faults.json").read_text())
    assert list(stored) == ["kills", "reruns"] and stored["kills"] == before["kills"]
    made = stored["reruns"]
    assert made["command"] == (
        "python -m benchmarks.faults reruns --count 3 --note 'a word' --write"
    )
    assert made["note"] == "a word" and made["runs"] == 3 and "versions" in made["environment"]
