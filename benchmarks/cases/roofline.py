"""Depth against width at equal parameters: time per step by batch, under the device's roofline."""

from typing import Any

from rich.table import Table

from benchmarks import elsewhere
from benchmarks.cases.settings import Settings
from benchmarks.cases.throughput import as_rows
from benchmarks.check import FEWEST
from benchmarks.problems import Problem
from benchmarks.protocol import Job
from benchmarks.turns import measure

BUDGET = 15_200
DEPTHS = (1, 2, 4, 8)
WIDTHS = (32, 256, 1024)
BATCHES = (1, 16, 128, 1024, 4096)
MEMBERS = 8
FLOPS = 2e10
"""About so many of one member in one training: what a training costs besides its steps, such as
drawing a million weights, is not to be taken for theirs."""

STEPS, ROWS = 1000, 32_768
"""At most."""

FEWEST_STEPS = 16
"""Of two layers of 1,024 units even the largest batches: drawing their weights takes as long as
half a step of 1,024 examples."""


def work(widths: tuple[int, ...], batch: int, quick: bool = False) -> tuple[Problem, int]:
    """A network of these widths, and epochs such that a training has about `FLOPS`."""
    one = Problem("mlp", "points", batch, batch, widths=widths)
    steps = 2 if quick else max(FEWEST_STEPS, min(STEPS, int(FLOPS / one.flops)))
    rows = min(steps, max(1, ROWS // batch)) * batch
    return Problem("mlp", "points", rows, batch, widths=widths), -(-steps * batch // rows)


def shapes() -> list[tuple[int, ...]]:
    """Equal parameters by depth, then two layers of other widths."""
    from jaxnets.study.shapes import equal_parameters

    equal = [(width,) * depth for depth, width in equal_parameters(BUDGET, DEPTHS, 40, 10)]
    return equal + [(width, width) for width in WIDTHS]


def step_bytes(one: Problem, number: int = 4) -> float:
    """Bytes that a step must move at least if nothing stays in a cache from one to the next:
    parameters and Adam's two moments read and written, the gradient written and read; every
    activation and every error written and read once. Not what a counter in the processor says.

    Args:
        one: the network and its batch.
        number: bytes of an activation or an error; parameters, gradient and moments have 4.
    """
    units = sum(one.sizes)
    return 32.0 * one.parameters + 4.0 * number * one.batch * units


class Roofline:
    """See the module."""

    title = "Depth against width at equal parameters: time per step, batch 1 to 4096"

    def run(self, settings: Settings) -> dict[str, Any]:
        """Every shape at every batch, trained by jaxnets and by torch, and its bare products from
        two examples on.
        """
        pairs = [(shape, batch) for shape in shapes() for batch in BATCHES]
        pairs = pairs[:2] if settings.quick else pairs
        systems = [
            name
            for name in ("jaxnets", "torch", "ceiling")
            if not settings.systems or name in settings.systems
        ]
        jobs = [
            _job(name, *work(shape, batch, settings.quick))
            for name in systems
            for shape, batch in pairs
            # Of one example the gradient of a weight is no sum, and XLA multiplies only what is
            # looked at afterwards.
            if not (name == "ceiling" and batch == 1)
        ]
        rounds = FEWEST if settings.quick else settings.rounds
        before = None if settings.quick else machine()
        rows = measure(
            jobs,
            rounds=rounds,
            least_seconds=0.0 if settings.quick else 0.2,
            tuning_seconds=0.0 if settings.quick else 0.1,
            tell=settings.tell,
        )
        shown = [_checked(row) for row in _by_shape(rows)]
        return {
            "title": self.title,
            "budget": BUDGET,
            "rounds": rounds,
            "ceilings": [found for found in (before, before and machine()) if found],
            "rows": shown,
        }

    def table(self, result: dict[str, Any]) -> Table:
        """Microseconds per step of one member, by shape and batch; GFLOP/s in brackets."""
        batches = list(dict.fromkeys(row["batch"] for row in result["rows"]))
        shown = Table(title=self.title, title_justify="left")
        shown.add_column("depth x width")
        shown.add_column("system")
        for batch in batches:
            shown.add_column(f"batch {batch}", justify="right")
        for cells in table_cells(result):
            shown.add_row(*cells)
        return shown


def _job(system: str, problem: Problem, epochs: int) -> Job:
    return Job(system, problem, MEMBERS if system == "jaxnets" else 1, epochs)


def _by_shape(rows: list[Any]) -> list[dict[str, Any]]:
    """The rows as JSON; the losses of one shape and batch are compared among each other."""
    found: dict[int, dict[str, Any]] = {}
    groups = {(row.job.problem.widths, row.job.problem.batch) for row in rows}
    for key in groups:
        same = [r for r in rows if (r.job.problem.widths, r.job.problem.batch) == key]
        for row, shown in zip(same, as_rows(same, "torch"), strict=True):
            found[id(row)] = {**shown, "step_bytes": step_bytes(row.job.problem)}
    return [found[id(row)] for row in rows]


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "depth": len(row["widths"]), "width": row["widths"][0]}


def table_cells(result: dict[str, Any]) -> list[list[str]]:
    """One row per shape and system: microseconds per step and GFLOP/s by batch."""
    rows = result["rows"]
    batches = list(dict.fromkeys(row["batch"] for row in rows))
    keys = dict.fromkeys((row["depth"], row["width"], row["system"], row["name"]) for row in rows)
    cells = []
    for depth, width, system, name in sorted(keys):
        texts = []
        for batch in batches:
            row = next(
                (
                    r
                    for r in rows
                    if (r["depth"], r["width"], r["system"], r["batch"])
                    == (depth, width, system, batch)
                ),
                None,
            )
            if row is None:
                texts.append("")
            elif row["rate"] and not row["void"]:
                texts.append(f"{_micro(row['rate'])} ({row['flops_per_second'] / 1e9:,.1f})")
            else:
                texts.append("void")
        cells.append([f"{depth} x {width}", name, *texts])
    return cells


def _micro(rate: float) -> str:
    """Microseconds, with a digit after the point below ten."""
    micro = 1e6 / rate
    return f"{micro:,.{0 if micro >= 10 else 1}f}"


def machine() -> dict[str, Any]:
    """The device's own ceilings, from a process of its own."""
    found: dict[str, Any] = elsewhere.ask("benchmarks.ceilings")
    return found
