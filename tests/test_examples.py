"""Every example runs as a reader would run it, and prints what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NUMBER = r"(-?\d+\.?\d*(?:e-?\d+)?)"


def run(name: str, where: Path) -> str:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), str(where)],
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def drawn(name: str, folder: Path) -> str:
    """What an example prints, after its figures are in ``folder``."""
    text = run(name, folder)
    figures = sorted(folder.glob(f"{name}*.png"))
    assert figures
    assert all(figure.stat().st_size > 10_000 for figure in figures)
    return text


def numbers(pattern: str, text: str) -> list[float]:
    """The numbers in the first match of a pattern whose ``#`` stand for numbers."""
    found = re.search(pattern.replace("#", NUMBER), text)
    assert found, f"{pattern!r} is not in:\n{text}"
    return [float(group) for group in found.groups()]


def test_every_example_is_tested_and_short():
    scripts = sorted(EXAMPLES.glob("*.py"))
    tested = Path(__file__).read_text()
    assert [s.name for s in scripts if f'("{s.stem}"' not in tested] == []
    assert [s.name for s in scripts if len(s.read_text().splitlines()) >= 100] == []


def test_the_readme_draws_what_it_shows(tmp_path):
    text = run("00_readme", tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "Runs(128 members, 4 programs, 30 epochs, 0 diverged) True" in text  # the replay's bits
    rows = re.findall(r"\n([1-4]) +((?:0\.\d+ *){8})", text)  # of four rates mean and deviation
    best = {int(depth): max(map(float, row.split()[:4])) for depth, row in rows}
    assert len(best) == 4 and 0.5 < min(best.values()) <= max(best.values()) < 0.7


def test_larger_than_memory(tmp_path):
    text = run("larger_than_memory", tmp_path)
    assert "the same history as from memory: True" in text
    lowest, highest = numbers("validation accuracy of 8 members: # to #", text)
    assert 0.8 < lowest < highest < 1


def test_one_network_by_hand(tmp_path):
    text = drawn("01_one_network_by_hand", tmp_path)
    by_hand, fit = numbers("training loss, last epoch: by hand #, fit #", text)
    assert by_hand == pytest.approx(fit, abs=2e-4)
    assert 0.5 < by_hand < 0.9
    apart, largest = numbers(r"largest difference of a weight: # \(largest weight #\)", text)
    assert apart < 1e-3 < largest


def test_population_of_seeds(tmp_path):
    text = drawn("02_population_of_seeds", tmp_path)
    for design in ("both random", "only the initial weights", "only the order of the data"):
        mean, deviation, low, high = numbers(rf"{design} +# +# +# to #", text)
        assert 55 < mean < 62
        assert 0.5 < low < deviation < high < 3.5
    assert numbers("mean of 3 runs is known to about ±#", text)[0] > 0.5


def test_sweep(tmp_path):
    text = drawn("03_sweep", tmp_path)
    test = {w: numbers(rf"\n +{w} +# +# % +# ± # %", text) for w in (8, 32, 128)}
    assert test[8][2] < test[32][2] < test[128][2]
    for rate, valid, mean, _ in test.values():
        assert 1e-3 <= rate <= 3e-2  # neither end of the sweep: the best lies inside
        assert abs(valid - mean) < 5


def test_one_neuron_to_the_printed_digits(tmp_path):
    text = drawn("04_one_neuron", tmp_path)
    assert "sum of absolute errors 6.013, sum of squared errors 14.55" in text
    steps = re.findall(rf"step +(\d+): w = +{NUMBER}, b = {NUMBER}, loss +{NUMBER}", text)
    assert steps[:4] == [
        ("0", "0.01", "0.01", "14.55"),
        ("1", "0.88", "0.61", "9.80"),
        ("2", "0.19", "0.54", "7.44"),
        ("3", "0.50", "0.88", "6.10"),
    ]
    assert "least squares: w = -0.87, b = 3.69, loss 0.08" in text


def test_optimizers(tmp_path):
    text = drawn("05_optimizers", tmp_path)
    names = ("SGD", "momentum", "Nesterov", "Adagrad", "RMSprop", "Adam")
    steps = {name: numbers(rf"{name} +# steps at rate", text)[0] for name in names}
    # Gradient descent at its best: |x| shrinks by 1 - 2 * 0.98 / 100 a step, from 7 to below 1.
    assert 95 <= steps["SGD"] <= 105
    assert steps["Nesterov"] < steps["momentum"] < steps["SGD"]
    losses = {n: numbers(rf"{n} +rate # +training loss #", text)[1] for n in names}
    assert max(losses["momentum"], losses["Nesterov"], losses["Adam"]) < losses["SGD"] < 1.0
