"""Whether cost is linear in members and in steps, and peak memory flat in members; what a member
that has diverged costs.
"""

import json
import sys
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks import elsewhere
from benchmarks.cases.settings import Settings

MIB = 2**20
SIZES = (
    (32, 1, 0),
    (32, 16, 0),
    (320, 1, 0),
    (320, 16, 0),
    (320, 16, 1),
    (1000, 1, 0),
    (10_000, 1, 0),
)
"""Members, epochs, and whether every second member diverges in its first steps."""

QUICK = ((2, 1, 0), (4, 1, 1))


@dataclass(frozen=True)
class Scale:
    """See the module."""

    title: str = "40-64-64-10, batch 32, Adam: cost and memory by members and epochs"

    def run(self, settings: Settings) -> dict[str, Any]:
        """Each size in a process of its own, in every round."""
        rows = []
        rounds = 1 if settings.quick else settings.rounds
        sizes = QUICK if settings.quick else SIZES
        found: dict[tuple[int, int, int], list[dict[str, float]]] = {}
        for number in range(rounds):
            settings.tell(f"round {number + 1} of {rounds}")
            for size in sizes[:: -1 if number % 2 else 1]:
                answer = elsewhere.ask("benchmarks.cases.scale", *map(str, size))
                found.setdefault(size, []).append(answer)
        for size in sizes:
            repeated = found[size]
            rows.append({name: median(one[name] for one in repeated) for name in repeated[0]})
        return {"title": self.title, "rounds": rounds, "rows": rows}

    def table(self, result: dict[str, Any]) -> Table:
        """All numbers."""
        shown = Table(title=self.title, title_justify="left")
        for column in COLUMNS:
            shown.add_column(column, justify="right")
        for cells in table_cells(result):
            shown.add_row(*cells)
        return shown


COLUMNS = (
    "members", "diverged", "epochs", "seconds", "steps/s", "peak, MiB", "training's own, MiB",
    "planned on devices, MiB", "results, MiB", "without compilation, s",
)  # fmt: skip


def table_cells(result: dict[str, Any]) -> list[list[str]]:
    """One list of texts per size, in the order of `COLUMNS`."""
    return [
        [
            f"{row['members']:,.0f}", f"{row['diverged']:,.0f}", f"{row['epochs']:,.0f}",
            f"{row['seconds']:,.1f}", f"{row['model_steps_per_second']:,.0f}",
            f"{row['peak_mib']:,.0f}", f"{own_mib(row):,.0f}",
            f"{row['planned_device_mib']:,.1f}", f"{row['planned_result_mib']:,.1f}",
            f"{row['run_seconds']:,.2f}",
        ]
        for row in result["rows"]
    ]  # fmt: skip


def own_mib(row: dict[str, float]) -> float:
    """What training took beside its results: the peak, less what the process had before."""
    return row["peak_mib"] - row["peak_before_fit_mib"] - row["planned_result_mib"]


def here(members: int, epochs: int, lost: int) -> dict[str, float]:
    """Train, and report memory and time of this process."""
    from time import perf_counter

    import jax

    import jaxnets as jn
    from benchmarks.worker import peak_bytes

    jn.use_all_cores()
    data = jn.data.mnist1d(valid=0)
    rates = [1e-3, 1e30] if lost else [1e-3]
    grid = jn.grid(
        network=jn.nn.MLP([64, 64], 10), learning_rate=rates, seed=range(members // len(rates))
    )
    before = peak_bytes()
    start = perf_counter()
    runs = jn.fit(
        jax.random.key(0), data, grid, loss="softmax_cross_entropy", epochs=epochs, metrics=[]
    )
    seconds = perf_counter() - start
    group = runs.groups[0]
    return {
        "members": members,
        "epochs": epochs,
        "planned_device_mib": runs.plan.device_bytes / MIB,
        "planned_result_mib": runs.plan.result_bytes / MIB,
        "peak_mib": peak_bytes() / MIB,
        "peak_before_fit_mib": before / MIB,
        "seconds": seconds,
        "run_seconds": group.run_seconds,
        "compile_seconds": group.compile_seconds,
        "model_steps_per_second": group.member_steps / group.run_seconds,
        "diverged": len(runs.diverged),
    }


if __name__ == "__main__":
    print(json.dumps(here(*map(int, sys.argv[1:]))))
