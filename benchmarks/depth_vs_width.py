"""Accuracy, time per step and memory of fully connected networks, by depth and width.

    python -m benchmarks.depth_vs_width [--depths 1 2 4 8] [--widths 32 128 512] [--write]

Unchanged on a CPU, a GPU or a TPU. Every shape is trained on MNIST-1D with several seeds and
learning rates; the rate is chosen on validation, the test part is read once. What is achieved is
compared with what the same devices reach in a large matrix product and in a stream through memory,
measured in the same process. On an accelerator everything is done in float32 (``highest``
precision) and with bfloat16 computation.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
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
    """

    depths: Sequence[int] = (1, 2, 4, 8)
    widths: Sequence[int] = (32, 128, 512)
    learning_rates: Sequence[float] = (1e-3, 3e-3)
    seeds: int = 4
    epochs: int = 20
    batch: int = 100

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
    runs = jn.fit(
        jax.random.key(0),
        data,
        jn.grid(
            network=network, learning_rate=list(question.learning_rates), seed=range(question.seeds)
        ),
        loss="softmax_cross_entropy",
        optimizer="adam",
        epochs=question.epochs,
        batch_size=question.batch,
        monitor="valid_accuracy",
        precision="highest" if dtype == "float32" else "default",
    )
    history, rates = runs.history, len(question.learning_rates)
    choice = choose(
        best_values(history["valid_accuracy"].values, history["diverged"].values),
        np.repeat(np.arange(rates), question.seeds),
    )
    test = runs.evaluate("test", members=choice.members)["accuracy"].values
    estimate = mean_interval(100 * test)
    group = runs.groups[0]
    rate = group.member_steps / group.run_seconds
    problem = Problem("mlp", "mnist1d", len(data.train), question.batch, widths=(width,) * depth)
    return {
        "depth": depth,
        "width": width,
        "dtype": dtype,
        "parameters": group.program.parameters,
        "learning_rate": question.learning_rates[choice.setting],
        "test_accuracy": estimate.mean,
        "test_low": estimate.low,
        "test_high": estimate.high,
        "diverged": len(runs.diverged),
        "microseconds_per_step": 1e6 / rate,
        "compile_seconds": group.compile_seconds,
        "member_bytes": group.program.state_bytes,
        "program_bytes": _program_bytes(runs),
        "flops_per_second": rate * problem.flops,
        "bytes_per_second": rate * step_bytes(problem),
        "of_flops": rate * problem.flops / ceilings["flops_per_second"],
        "of_bytes": rate * step_bytes(problem) / ceilings["bytes_per_second"],
    }


def _program_bytes(runs: jn.Runs) -> int:
    """What the program takes on one device, as its compiler says: data, states, intermediates."""
    program = runs.plan.programs[0]
    found = executables(Blueprint.of(runs.plan.spec, program)).chunk.memory_analysis()
    sizes = (found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes)
    return int(sum(sizes) - found.alias_size_in_bytes)


COLUMNS = (
    "depth", "width", "dtype", "parameters", "rate", "test, %", "±", "µs/step", "member, KiB",
    "program, MiB", "GFLOP/s", "of peak", "GB/s", "of stream",
)  # fmt: skip


def table_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    """One list of texts per shape, in the order of `COLUMNS`."""
    return [
        [
            f"{row['depth']}", f"{row['width']}", row["dtype"], f"{row['parameters']:,}",
            f"{row['learning_rate']:g}", f"{row['test_accuracy']:.1f}",
            f"{(row['test_high'] - row['test_low']) / 2:.1f}",
            f"{row['microseconds_per_step']:,.1f}", f"{row['member_bytes'] / 2**10:,.0f}",
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
    shown = Table(title=title, title_justify="left")
    for column in COLUMNS:
        shown.add_column(column, justify="right")
    for cells in table_cells(rows):
        shown.add_row(*cells)
    return shown


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[1e-3, 3e-3])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--write", action="store_true", help="keep the result as JSON")
    arguments = parser.parse_args()
    jn.use_all_cores()
    platform = jax.default_backend()
    question = Question(
        arguments.depths, arguments.widths, arguments.learning_rates, arguments.seeds,
        arguments.epochs, arguments.batch,
    )  # fmt: skip
    rows, ceilings = [], {}
    for dtype in ("float32",) if platform == "cpu" else ("float32", "bfloat16"):
        ceilings[dtype] = device_ceilings(dtype)
        rows += measure(question, dtype, ceilings[dtype])
    places = f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}"
    title = f"MNIST-1D, {question.epochs} epochs, batch {question.batch}, on {places}"
    Console(width=140).print(table(rows, title))
    for dtype, found in ceilings.items():
        print(ceilings_text(dtype, found))
    if arguments.write:
        result = {
            "title": title,
            "command": "python -m benchmarks.depth_vs_width --write",
            "environment": environment(),
            "epochs": question.epochs,
            "batch": question.batch,
            "ceilings": ceilings,
            "rows": rows,
        }
        print(write(f"depth_vs_width-{platform}", result))


if __name__ == "__main__":
    main()
