"""The benchmark of accuracy, time and memory by depth and width."""

import sys
from pathlib import Path
from typing import Any

import jax
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks.depth_vs_width import COLUMNS, Question, measure, table_cells
from benchmarks.figures import draw

CEILINGS = {"flops_per_second": 1e11, "bytes_per_second": 1e10}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    question = Question(
        depths=(1, 2), widths=(4,), learning_rates=(1e-3, 1e-2), seeds=2, epochs=1, rounds=2,
        seconds=0.0,
    )  # fmt: skip
    return measure(question, "float32", CEILINGS)


def test_every_shape_has_a_row(rows: list[dict[str, Any]]):
    assert [(row["depth"], row["width"], row["parameters"]) for row in rows] == [
        (1, 4, 41 * 4 + 5 * 10), (2, 4, 41 * 4 + 5 * 4 + 5 * 10)
    ]  # fmt: skip
    for row in rows:
        assert len(row["microseconds"]) == 2
        assert min(row["microseconds"]) <= row["microseconds_per_step"] <= max(row["microseconds"])
        assert row["edge"]  # of two rates each is one
        # Forward, two backward without the inputs': of 100 examples.
        kernels = 40 * 4 + (row["depth"] - 1) * 16 + 40
        flops = 2 * 100 * (3 * kernels - 160)
        step = 1e-6 * row["microseconds_per_step"]
        assert row["flops_per_second"] == pytest.approx(flops / step)
        assert row["of_flops"] == pytest.approx(row["flops_per_second"] / 1e11)


def test_cells_and_figure(rows: list[dict[str, Any]], tmp_path: Path):
    cells = table_cells(rows)
    assert all(len(row) == len(COLUMNS) for row in cells)
    assert all(row[COLUMNS.index("rate")].endswith("*") for row in cells)
    inside = table_cells([rows[0] | {"edge": False}])
    assert not inside[0][COLUMNS.index("rate")].endswith("*")
    both = [*rows, *(row | {"dtype": "bfloat16"} for row in rows)]
    assert draw("depth_vs_width", {"rows": both}, tmp_path).stat().st_size > 10_000


def test_lanes_on_an_accelerator_are_the_members(monkeypatch: pytest.MonkeyPatch):
    """Empty ones would be paid for."""
    import jaxnets as jn

    asked: list[Any] = []

    def fit(*_: Any, lanes: int | None, **how: Any) -> None:
        asked.append(lanes)
        raise KeyboardInterrupt

    monkeypatch.setattr(jn, "fit", fit)
    for platform in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda platform=platform: platform)
        with pytest.raises(KeyboardInterrupt):
            measure(Question(depths=(1,), widths=(4,)), "float32", CEILINGS)
    assert asked == [None, 8]  # 16 members on two devices
