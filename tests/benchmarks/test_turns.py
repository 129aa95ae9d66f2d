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
    assert rows[1].peak_bytes > 2**20 and rows[1].first_seconds > 0
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
