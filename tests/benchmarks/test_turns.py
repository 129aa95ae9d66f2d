"""Processes that train, one that cannot, one that dies; tiny sizes."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks.check import reasons
from benchmarks.problems import Problem
from benchmarks.protocol import Job
from benchmarks.systems import SYSTEMS, System
from benchmarks.turns import measure

TINY = Problem("mlp", "points", 256, 32, widths=(8,))
HURRY = {"rounds": 3, "least_seconds": 0.0, "tuning_seconds": 0.0}


def test_equal_work_and_one_that_cannot():
    conv = replace(TINY, network="cnn1d")
    jobs = [
        Job("flax-loop", TINY, 1, 2),
        Job("jaxnets", TINY, 3, 2),
        Job("sklearn", TINY, 1, 2),
        Job("sklearn", conv, 1, 2),
    ]
    said: list[str] = []
    rows = measure(jobs, **HURRY, tell=said.append)
    found = reasons(rows, "flax-loop")
    assert found[:3] == ["", "", ""]
    assert found[3] == "ValueError: MLPClassifier trains fully connected networks"
    assert [row.losses.count for row in rows] == [3, 9, 3, 0]
    assert all(len(row.rates) == 3 and row.rate > 0 for row in rows[:3])
    assert rows[1].first_seconds > 0
    assert said[-1] == "round 3 of 3"


@pytest.mark.parametrize("system", ["torch", "torch-func", "keras"])
def test_a_peer_does_the_same_work(system: str):
    module = system.split("-")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is a peer of the benchmarks only; it is in the extra 'bench'")
    members = 3 if system == "torch-func" else 1
    rows = measure([Job(system, TINY, members, 2)], **HURRY)
    assert reasons(rows, system) == [""]


def test_a_process_that_ends_is_a_failed_row(monkeypatch: pytest.MonkeyPatch):
    broken = System("broken", "flax_loop", "jax", environment={"PYTHONHOME": "/nowhere"})
    monkeypatch.setitem(SYSTEMS, "broken", broken)
    (row,) = measure([Job("broken", TINY)], rounds=1)
    assert row.failed.startswith("ended with status 1") and not row.seconds


def test_every_row_of_a_process_that_ends_fails_at_once(monkeypatch: pytest.MonkeyPatch):
    broken = System("broken", "flax_loop", "jax", environment={"PYTHONHOME": "/nowhere"})
    monkeypatch.setitem(SYSTEMS, "broken", broken)
    rows = measure([Job("broken", TINY), Job("broken", TINY, 2)], rounds=1, limit=10.0)
    assert all(row.failed.startswith("ended with status 1") for row in rows)


def test_the_two_fastest_take_turns_and_the_better_median_counts(monkeypatch: pytest.MonkeyPatch):
    """Whatever a short trial took for the fastest."""

    class Fake:
        def __init__(self, jobs: object, *_: float) -> None:
            self.asked: list[tuple[int, int]] = []

        def answer(self) -> dict:
            return {"finalists": [["hasty", 1.0], ["steady", 2.0]], "tried": {}}

        def ask(self, job: int, finalist: int, seed: int, least: float) -> dict:
            self.asked.append((job, finalist))
            seconds = [3.0, 1.0][finalist]
            nothing = {"count": 0, "mean": [], "squares": []}
            return {"seconds": seconds, "trainings": 1, "losses": nothing, "updates": 6,
                    "parameters": 2}  # fmt: skip

        def close(self) -> None:
            assert self.asked == [(0, 0), (0, 1), (0, 1), (0, 0), (0, 0), (0, 1)]

    monkeypatch.setattr("benchmarks.turns.System", Fake)
    (row,) = measure([Job("flax-loop", TINY)], rounds=3)
    assert (row.variant, row.rate, row.first_seconds) == ("steady", 6.0, 2.0)
