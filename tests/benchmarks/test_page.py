"""Tables, aims and figures from recorded numbers."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks import record
from benchmarks.cases import CASES
from benchmarks.cases.throughput import table_cells
from benchmarks.figures import draw
from benchmarks.page import markdown, pages
from benchmarks.record import read
from benchmarks.targets import Target, targets

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def row(system: str, rate: float, members: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "name": system, "system": system, "ceiling": system.startswith("ceiling"), "variant": "",
        "members": members, "epochs": 1, "rate": rate, "lowest": rate, "highest": rate,
        "flops_per_second": 2 * rate, "compile_seconds": 0.0, "loss": 1.0, "void": "", **more,
    }  # fmt: skip


RESULT = {
    "title": "a network",
    "reference": "flax-loop",
    "rows": [
        row("torch", 100.0),
        row("torch-func", 400.0, 8),
        row("keras", 90.0, void="2 updates instead of 4"),
        row("flax-loop", 200.0),
        row("jaxnets", 150.0),
        row("jaxnets", 2000.0, 32),
        row("jaxnets", 1700.0, 10_000),
        row("ceiling", 2500.0),
    ],
}


def test_aims_are_met_or_missed_by_the_numbers():
    found = {it.text: it for it in targets({"small-mlp": RESULT})}
    wanted = {
        "32 members, against torch eager": (20.0, "met"),
        "32 members, against Keras": (None, "not measured"),
        "32 members, against the Flax loop": (10.0, "met"),
        "32 members, against torch.func at its best size": (5.0, "met"),
        "32 members, of the batched-matmul ceiling": (0.8, "met"),
        "10,000 members against 32": (0.85, "met"),
        "one member alone, against the best peer": (None, "not measured"),  # nor is that peer
    }
    for text, (value, verdict) in wanted.items():
        it = found[f"small-mlp: {text}"]
        assert it.found == pytest.approx(value) and it.verdict == verdict, text
    assert len(found) == len(wanted)
    sound = RESULT | {"rows": [one for one in RESULT["rows"] if not one["void"]]}
    (alone,) = (it for it in targets({"small-mlp": sound}) if "alone" in it.text)
    assert alone.found == pytest.approx(0.75) and alone.verdict == "missed by 25 %"


def test_a_shape_that_is_void_hides_nothing():
    def shape(width: int, own: float, **more: Any) -> list[dict[str, Any]]:
        which = {"widths": [width, width], "batch": 128}
        return [row("jaxnets", own, **which, **more), row("torch", 10.0, **which)]

    sound = {"rows": shape(32, 20.0) + shape(1024, 8.0)}
    (found,) = targets({"depth-width": sound})
    assert found.found == pytest.approx(0.8) and "2 x 1024, batch 128" in found.limit
    (found,) = targets({"depth-width": {"rows": shape(32, 20.0) + shape(1024, 8.0, void="late")}})
    assert found.found is None


def test_an_upper_bound():
    assert Target("t", 60.0, 61.0, least=False).verdict == "missed by 2 %"
    assert Target("t", 4, 5, least=False, unit="programs").verdict == "missed by 1"
    assert Target("t", 4, 4, least=False, unit="programs").met


def test_the_shape_and_batch_that_is_furthest_behind():
    rates = {("jaxnets", 8): 100.0, ("torch", 8): 50.0, ("jaxnets", 9): 30.0, ("torch", 9): 40.0}
    rows = [row(system, rate, widths=[4], batch=batch) for (system, batch), rate in rates.items()]
    [it] = targets({"depth-width": {"rows": [*rows, row("torch", 1.0, widths=[5], batch=8)]}})
    assert it.found == 0.75 and not it.met and it.limit == "The furthest behind: 1 x 4, batch 9."


def test_a_void_row_shows_no_speed():
    cells = {cells[0]: cells[2:] for cells in table_cells(RESULT)}
    assert cells["keras"] == ["void", "", "", "", "", "", ""]
    assert cells["torch"][:4] == ["100", "100", "100", "0.50"]


def test_a_figure_of_a_throughput(tmp_path: Path):
    assert draw("small-mlp", RESULT, tmp_path).stat().st_size > 10_000


def test_a_table():
    assert markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n|---|---:|\n| x | 1 |\n"


def test_the_pages_are_what_the_results_say(tmp_path: Path):
    texts, recorded = pages(tmp_path), read()
    assert set(texts) == {
        Path("README.md"), *(Path("results") / name / "README.md" for name in recorded)
    }  # fmt: skip
    for place, text in texts.items():
        assert (BENCHMARKS / place).read_text(encoding="utf-8") == text
        for figure in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
            assert (tmp_path / place).with_name("figures").joinpath(Path(figure).name).is_file()
            assert (BENCHMARKS / place).parent.joinpath(figure).is_file()
    for name, results in recorded.items():
        text = texts[Path("results") / name / "README.md"]
        for case in CASES.keys() & results.keys():
            assert CASES[case].title in text and f"figures/{case}.png" in text


def test_every_machine_has_its_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What one of them lacks was not measured there."""

    def made(**devices: Any) -> dict[str, Any]:
        return {"cores": 2, "machine": {"processor": "Chip (1, 2)", "devices": devices}}

    def stored(rate: float, **devices: Any) -> dict[str, Any]:
        rows = [*RESULT["rows"], row("jaxnets", rate, 32), row("keras", 90.0)]
        return RESULT | {"rows": rows, "environment": made(**devices)}

    monkeypatch.setattr(record, "RESULTS", tmp_path)
    record.write("small-mlp", stored(8000.0, platform="cpu"))
    record.write("small-mlp", stored(2100.0, platform="gpu", count=1, kind="Acme 9000"))
    record.write("cold-start", {"rows": [], "environment": made(platform="cpu")})
    monkeypatch.setattr("benchmarks.page._machine_page", lambda *_: "")
    lines = pages(tmp_path)[Path("README.md")].splitlines()
    (head,) = (line for line in lines if line.startswith("| what"))
    assert "[2 cores, Chip (1, 2)](results/cpu-2-chip-1-2/README.md) | [1 x Acme 9000](" in head
    assert "| small-mlp: 32 members, against torch eager | at least 20 x | 80 | 21 |" in lines
    assert "| small-mlp: 10,000 members against 32 | at least 0.80 x | **0.21** | 0.81 |" in lines
    (imports,) = (line for line in lines if line.startswith("| importing"))
    assert imports.endswith("| not measured | not measured |")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "case: expected one of small-mlp"),
        (["--rounds", "0"], "--rounds: expected at least 1, got 0"),
        (["--quick", "--write"], "--write: only whole results are kept"),
        (["--system", "numpy"], "--system: expected some of jaxnets"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], said: str):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 2 and said in done.stderr
