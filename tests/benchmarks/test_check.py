"""What makes a row void, and nothing else does."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks.check import reasons
from benchmarks.problems import Problem
from benchmarks.protocol import Job, Moments
from benchmarks.turns import Row

PROBLEM = Problem("mlp", "points", 64, 32, widths=(8,))


def row(system: str = "torch", *, loss: float = 1.0, count: int = 40, spread: float = 0.1) -> Row:
    job = Job(system, PROBLEM, members=1, epochs=2)
    offsets = spread * np.linspace(-1, 1, count)[:, None]
    losses = np.array([[2 * loss, loss]]) + offsets
    return Row(
        job, seconds=[0.5, 0.25, 1.0], losses=Moments.of(losses), updates=4,
        parameters=PROBLEM.parameters,
    )  # fmt: skip


def test_equal_rows_count():
    assert reasons([row("flax-loop"), row()], "flax-loop") == ["", ""]


def test_the_rate_is_that_of_the_median_round():
    assert row().rate == 8.0
    assert replace(row(), first_seconds=2.0).compile_seconds == 1.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"updates": 3}, "3 updates instead of 4"),
        ({"parameters": 1}, "1 parameters instead of 418"),
        ({"failed": "ImportError: none"}, "ImportError: none"),
        ({"losses": Moments.of(np.full((9, 2), np.nan))}, "the loss is not finite"),
        ({"losses": Moments.of(np.ones((2, 2)))}, "too few trainings"),
    ],
)
def test_what_is_void_says_why(changes: dict[str, object], said: str):
    found = reasons([row("flax-loop"), replace(row(), **changes)], "flax-loop")
    assert found[0] == "" and said in found[1]


def test_a_loss_that_seeds_do_not_explain_is_void():
    # The standard error of the difference is 0.0132: five of them and a hundredth make 0.076.
    inside, outside = row(loss=1.07), row(loss=1.08)
    found = reasons([row("flax-loop"), inside, outside], "flax-loop")
    assert found[1] == "" and "+0.0800" in found[2]


def test_epochs_are_compared_as_far_as_both_go():
    shorter = replace(row(), job=replace(row().job, epochs=1), updates=2)
    shorter.losses = Moments.of(2.0 + 0.1 * np.linspace(-1, 1, 40)[:, None])
    assert reasons([row("flax-loop"), shorter], "flax-loop") == ["", ""]


def test_a_ceiling_trains_nothing():
    ceiling = replace(row("ceiling"), losses=Moments(0, [], []), updates=99, parameters=0)
    assert reasons([row("flax-loop"), ceiling], "flax-loop") == ["", ""]


def test_without_the_reference_the_first_that_trained_is_the_judge():
    failed = replace(row("flax-loop"), failed="no", losses=Moments(0, [], []))
    assert reasons([failed, row(), row("keras", loss=2.0)], "flax-loop")[1] == ""


def test_moments_of_parts_are_those_of_the_whole():
    values = np.random.default_rng(0).normal(size=(12, 3))
    parts = Moments.of(values[:5]).joined(Moments.of(values[5:])).joined(Moments(0, [], []))
    whole = Moments.of(values)
    assert parts.count == 12
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.squares, whole.squares, rtol=1e-12)
