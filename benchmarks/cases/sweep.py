"""The double-descent sweep end to end: nineteen widths, 500 epochs, compilation included; and how
long the matrix products of its steps take by themselves.
"""

import json
import sys
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from rich.table import Table

from benchmarks import elsewhere
from benchmarks.cases.settings import Settings

PUBLISHED_SECONDS = 672.0
"""11 min 12 s, 44 CPU minutes: Greydanus and Kobak, arXiv:2011.14439, in their notebook."""


@dataclass(frozen=True)
class Sweep:
    """See the module."""

    title: str = (
        "Double descent: 40-H-H-10, 19 widths, 4000 rows, batch 100, 500 epochs, end to end"
    )

    def run(self, settings: Settings) -> dict[str, Any]:
        """A process from its start to its end, without a compilation cache."""
        widths, epochs = ((9, 16), 2) if settings.quick else ((), 500)
        rounds = 1 if settings.quick else settings.rounds
        words, rows = [str(number) for number in (epochs, *widths)], []
        for number in range(rounds):
            settings.tell(f"round {number + 1} of {rounds}")
            start = perf_counter()
            found = elsewhere.ask("benchmarks.cases.sweep", "train", *words)
            rows.append({"seconds": perf_counter() - start, **found})
        settings.tell("the bare products")
        return {
            "title": self.title,
            "rounds": rounds,
            "products_seconds": elsewhere.ask("benchmarks.cases.sweep", "products", *words),
            "published_seconds": PUBLISHED_SECONDS,
            "epochs": epochs,
            "seconds": median(row["seconds"] for row in rows),
            "programs": rows[0]["programs"],
            "compilations": rows[0]["compilations"],
            "rows": rows,
        }

    def table(self, result: dict[str, Any]) -> Table:
        """The time, and what was found by width."""
        shown = Table(
            title=f"{self.title}: {result['seconds']:.1f} s, {result['programs']} programs",
            title_justify="left",
        )
        for column in COLUMNS:
            shown.add_column(column, justify="right")
        for cells in table_cells(result):
            shown.add_row(*cells)
        return shown


COLUMNS = ("width", "train error, %", "test loss", "test error, %")


def table_cells(result: dict[str, Any]) -> list[list[str]]:
    """What the first run found, by width."""
    first = result["rows"][0]
    return [
        [f"{width}", f"{fit:.2f}", f"{loss:.3f}", f"{error:.2f}"]
        for width, (fit, loss, error) in zip(first["widths"], first["found"], strict=True)
    ]


def train(widths: tuple[int, ...], epochs: int) -> dict[str, Any]:
    """Train in this process; errors of every width and what was compiled.

    Args:
        widths: units of both layers; none: the nineteen of the reference.
        epochs: of training.
    """
    import jax

    import jaxnets as jn
    from benchmarks.references import double_descent
    from jaxnets.population.program import executables

    compiled: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **about: (
            compiled.append(str(about.get("fun_name", ""))) if "backend_compile" in event else None
        )
    )
    chosen = widths or double_descent.WIDTHS
    jn.use_all_cores()
    data = jn.data.mnist1d(16_000, valid=None, test=12_000)
    found = double_descent.sweep(data, chosen, epochs=epochs)
    return {
        "widths": list(chosen),
        "programs": executables.cache_info().misses,
        "compilations": len(compiled),
        "compiled": compiled,
        "found": [[round(float(value), 4) for value in row[0]] for row in found],
    }


def products(widths: tuple[int, ...], epochs: int) -> float:
    """Seconds that the products of all steps take on all devices, unpadded, and nothing else.

    Args:
        widths: units of both layers; none: the nineteen of the reference.
        epochs: of training.
    """
    import jaxnets as jn
    from benchmarks.problems import Problem
    from benchmarks.references import double_descent
    from benchmarks.systems.ceiling_xla import repeat

    jn.use_all_cores()
    total = 0.0
    for width in widths or double_descent.WIDTHS:
        problem = Problem("mlp", "mnist1d", 4000, 100, "momentum", 0.01, (width, width))
        compute = repeat(problem, lanes=1)
        compute(0)
        times = []
        for _ in range(5):
            start = perf_counter()
            steps = compute(0).updates
            times.append((perf_counter() - start) / steps)
        total += epochs * problem.steps * median(times)
    return total


if __name__ == "__main__":
    task = {"train": train, "products": products}[sys.argv[1]]
    print(json.dumps(task(tuple(map(int, sys.argv[3:])), int(sys.argv[2]))))
