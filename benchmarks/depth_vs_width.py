"""Accuracy, time per step and memory of fully connected networks, by depth and width.

    python -m benchmarks.depth_vs_width [--depths 1 2 4 8] [--widths 32 128 512] [--write]

Unchanged on a CPU, a GPU or a TPU. Every shape is trained on MNIST-1D with several seeds and
learning rates; the rate is chosen on validation, the test part is read once. Then as many members
train once more, several times and without a validation part, for the time of a step. What is
achieved is compared with what the same devices reach in a large matrix product and in a stream
through memory, measured in the same process. On an accelerator everything is done in float32
(``highest`` precision) and with bfloat16 computation.
"""

import argparse
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxnets as jn
from benchmarks.cases.roofline import step_bytes
from benchmarks.ceilings import device_ceilings
from benchmarks.problems import OUTPUTS, Problem
from benchmarks.record import environment, write
from jaxnets.population.program import executables
from jaxnets.population.workshop import Blueprint
from jaxnets.study.selection import best_values, choose
from jaxnets.study.statistics import mean_interval


@dataclass(frozen=True)
class Question:
    """What is varied.

    Attributes:
        depths: hidden layers.
        widths: units of each.
        learning_rates: of Adam, the best on validation counts.
        seeds: of every shape and rate.
        epochs: over 3200 rows.
        batch: examples per step.
        rounds: trainings of which the median is the time of a step.
        seconds: that each of them takes at least.
    """

    depths: Sequence[int] = (1, 2, 4, 8)
    widths: Sequence[int] = (32, 128, 512)
    learning_rates: Sequence[float] = (1e-3, 3e-3, 1e-2, 3e-2)
    seeds: int = 4
    epochs: int = 20
    batch: int = 100
    rounds: int = 5
    seconds: float = 0.5

    @property
    def members(self) -> int:
        """Of one shape."""
        return len(self.learning_rates) * self.seeds

    def shapes(self) -> list[tuple[int, int]]:
        """Depth and width of every network."""
        return [(depth, width) for depth in self.depths for width in self.widths]


def measure(question: Question, dtype: str, ceilings: dict[str, float]) -> list[dict[str, Any]]:
    """One row per shape.

    Args:
        question: what is varied.
        dtype: of the computation; parameters are float32.
        ceilings: see `benchmarks.ceilings.device_ceilings`.
    """
    data = jn.data.mnist1d()
    return [
        _one(question, data, depth, width, dtype, ceilings) for depth, width in question.shapes()
    ]


def _one(
    question: Question,
    data: jn.data.Dataset,
    depth: int,
    width: int,
    dtype: str,
    ceilings: dict[str, float],
) -> dict[str, Any]:
    network = jn.nn.MLP([width] * depth, OUTPUTS, dtype=None if dtype == "float32" else dtype)
    members = jn.grid(
        network=network, learning_rate=list(question.learning_rates), seed=range(question.seeds)
    )
    how: dict[str, Any] = {
        "loss": "softmax_cross_entropy",
        "optimizer": "adam",
        "batch_size": question.batch,
        "precision": "highest" if dtype == "float32" else "default",
        # On an accelerator as many side by side as there are: lanes without a member would be paid.
        "lanes": None
        if jax.default_backend() == "cpu"
        else math.ceil(question.members / jax.local_device_count()),
    }
    runs = jn.fit(
        jax.random.key(0), data, members, epochs=question.epochs, monitor="valid_accuracy", **how
    )
    history, rates = runs.history, len(question.learning_rates)
    choice = choose(
        best_values(history["valid_accuracy"].values, history["diverged"].values),
        np.repeat(np.arange(rates), question.seeds),
    )
    test = runs.evaluate("test", members=choice.members)["accuracy"].values
    estimate = mean_interval(100 * test)
    program = runs.groups[0].program
    times = _step_seconds(question, data, members, runs, how)
    rate = 1 / median(times)
    problem = Problem("mlp", "mnist1d", len(data.train), question.batch, widths=(width,) * depth)
    moved = step_bytes(problem, 4 if dtype == "float32" else 2)
    return {
        "depth": depth,
        "width": width,
        "dtype": dtype,
        "parameters": program.parameters,
        "learning_rate": question.learning_rates[choice.setting],
        "edge": rates > 1 and choice.setting in (0, rates - 1),
        "test_accuracy": estimate.mean,
        "test_low": estimate.low,
        "test_high": estimate.high,
        "diverged": len(runs.diverged),
        "microseconds_per_step": 1e6 / rate,
        "microseconds": [1e6 * one for one in times],
        "compile_seconds": runs.groups[0].compile_seconds,
        "member_bytes": program.state_bytes,
        "program_bytes": _program_bytes(runs),
        "flops_per_second": rate * problem.flops,
        "bytes_per_second": rate * moved,
        "of_flops": rate * problem.flops / ceilings["flops_per_second"],
        "of_bytes": rate * moved / ceilings["bytes_per_second"],
    }


def _step_seconds(
    question: Question, data: jn.data.Dataset, members: list[jn.Member], runs: jn.Runs, how: Any
) -> list[float]:
    """Of one member, all devices at work; one value per round."""
    train = jn.data.Dataset.from_splits((data.train.x, data.train.y), valid=None, test=None)
    group = runs.groups[0]
    steps = question.seconds * group.member_steps / group.run_seconds
    per_epoch = len(members) * group.program.steps_per_epoch
    epochs = max(1, math.ceil(steps / per_epoch))
    found = []
    for _ in range(1 + question.rounds):
        timed = jn.fit(jax.random.key(0), train, members, epochs=epochs, **how).groups[0]
        found.append(timed.run_seconds / timed.member_steps)
    return found[1:]  # the first is for the caches


def _program_bytes(runs: jn.Runs) -> int:
    """What the program takes on one device, as its compiler says: data, states, intermediates."""
    program = runs.plan.programs[0]
    found = executables(Blueprint.of(runs.plan.spec, program)).chunk.memory_analysis()
    sizes = (found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes)
    return int(sum(sizes) - found.alias_size_in_bytes)


COLUMNS = (
    "depth", "width", "dtype", "parameters", "rate", "test, %", "±", "µs/step", "lowest", "highest",
    "member, KiB", "program, MiB", "GFLOP/s", "of peak", "GB/s", "of stream",
)  # fmt: skip

NOTE = (
    "test: mean and half its 95 % interval over the seeds (Student's t), at the rate that was best "
    "on validation (*: the smallest or largest tried; a better one may lie beyond). µs/step: wall "
    "clock of all devices per step of a member, median of the rounds. GB/s: what a step must move "
    "if nothing stays in a cache; more than the stream's means that caches serve it."
)


def table_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """One list of texts per shape, in the order of `COLUMNS`."""
    return [
        [
            f"{row['depth']}", f"{row['width']}", row["dtype"], f"{row['parameters']:,}",
            f"{row['learning_rate']:g}{'*' * row['edge']}", f"{row['test_accuracy']:.1f}",
            f"{(row['test_high'] - row['test_low']) / 2:.1f}",
            f"{row['microseconds_per_step']:,.1f}", f"{min(row['microseconds']):,.1f}",
            f"{max(row['microseconds']):,.1f}", f"{row['member_bytes'] / 2**10:,.0f}",
            f"{row['program_bytes'] / 2**20:,.1f}", f"{row['flops_per_second'] / 1e9:,.1f}",
            f"{row['of_flops']:.1%}", f"{row['bytes_per_second'] / 1e9:,.1f}",
            f"{row['of_bytes']:.0%}",
        ]
        for row in rows
    ]  # fmt: skip


def ceilings_text(dtype: str, found: dict[str, float]) -> str:
    """What the device reached by itself."""
    return (
        f"{dtype}: {found['flops_per_second'] / 1e9:,.0f} GFLOP/s in a large product, "
        f"{found['bytes_per_second'] / 1e9:,.0f} GB/s in a stream"
    )


def table(rows: list[dict[str, Any]], title: str) -> Table:
    """For a terminal."""
    shown = Table(title=title, title_justify="left", caption=NOTE, caption_justify="left")
    for column in COLUMNS:
        shown.add_column(column, justify="right")
    for cells in table_cells(rows):
        shown.add_row(*cells)
    return shown


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = Question()
    parser.add_argument("--depths", type=int, nargs="+", default=usual.depths)
    parser.add_argument("--widths", type=int, nargs="+", default=usual.widths)
    parser.add_argument("--learning-rates", type=float, nargs="+", default=usual.learning_rates)
    parser.add_argument("--seeds", type=int, default=usual.seeds)
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    parser.add_argument("--batch", type=int, default=usual.batch)
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--write", action="store_true", help="keep the result as JSON")
    arguments = parser.parse_args()
    jn.use_all_cores()
    question = Question(
        arguments.depths, arguments.widths, arguments.learning_rates, arguments.seeds,
        arguments.epochs, arguments.batch, arguments.rounds,
    )  # fmt: skip
    rows, ceilings = [], {}
    for dtype in ("float32",) if jax.default_backend() == "cpu" else ("float32", "bfloat16"):
        ceilings[dtype] = device_ceilings(dtype)
        rows += measure(question, dtype, ceilings[dtype])
    places = f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}"
    title = (
        f"MNIST-1D, {question.seeds} seeds, {question.epochs} epochs, batch {question.batch}, on "
        f"{places}"
    )
    Console(width=170).print(table(rows, title))
    for dtype, found in ceilings.items():
        print(ceilings_text(dtype, found))
    if arguments.write:
        result = {
            "title": title,
            "command": shlex.join(["python", "-m", "benchmarks.depth_vs_width", *sys.argv[1:]]),
            "rounds": question.rounds,
            "environment": environment(),
            "epochs": question.epochs,
            "batch": question.batch,
            "ceilings": ceilings,
            "rows": rows,
        }
        print(write("depth_vs_width", result))


if __name__ == "__main__":
    main()
