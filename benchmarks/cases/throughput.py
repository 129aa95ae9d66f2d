"""Model-steps per second beside the peers: the cases that are one network, trained by everybody."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.cases.settings import Settings
from benchmarks.check import FEWEST, reasons
from benchmarks.problems import Problem
from benchmarks.protocol import Job
from benchmarks.systems import SYSTEMS
from benchmarks.turns import Row, measure

QUICK_MEMBERS = 2


@dataclass(frozen=True)
class Work:
    """One row: a system, how many members, how many epochs."""

    system: str
    members: int = 1
    epochs: int = 1


@dataclass(frozen=True)
class Throughput:
    """A case of this kind.

    Attributes:
        title: for the table.
        problem: what one network trains on.
        rows: who trains it.
        reference: the system with whose loss the others' are compared, and whose rate is 1.
    """

    title: str
    problem: Problem
    rows: tuple[Work, ...]
    reference: str = "flax-loop"

    def run(self, settings: Settings) -> dict[str, Any]:
        """Measure; the result as JSON knows it."""
        rounds = FEWEST if settings.quick else settings.rounds
        wanted = [
            _job(self.problem, work, settings.quick)
            for work in self.rows
            if not settings.systems or work.system in settings.systems
        ]
        jobs = list(dict.fromkeys(wanted))
        hurry = {"least_seconds": 0.0, "tuning_seconds": 0.0} if settings.quick else {}
        measured = measure(jobs, rounds=rounds, tell=settings.tell, **hurry)
        problem = jobs[0].problem if jobs else self.problem
        return {
            "title": self.title,
            "reference": self.reference,
            "rounds": rounds,
            "flops_per_step": problem.flops,
            "parameters": problem.parameters,
            "batch": problem.batch,
            "steps_per_epoch": problem.steps,
            "rows": as_rows(measured, self.reference),
        }

    def table(self, result: dict[str, Any]) -> Table:
        """For a terminal."""
        return table(result)


def _job(problem: Problem, work: Work, quick: bool) -> Job:
    if not quick:
        return Job(work.system, problem, work.members, work.epochs)
    few = replace(problem, rows=2 * min(problem.batch, 32), batch=min(problem.batch, 32))
    return Job(work.system, few, min(work.members, QUICK_MEMBERS), 1)


def as_rows(measured: Sequence[Row], reference: str) -> list[dict[str, Any]]:
    """What has been measured, row by row; ``void`` says why a row does not count."""
    void = reasons(measured, reference)
    return [_as_json(row, why) for row, why in zip(measured, void, strict=True)]


def _as_json(row: Row, void: str) -> dict[str, Any]:
    system, rates = SYSTEMS[row.job.system], row.rates
    members = row.job.members
    several = f", {members:,} member{'s' * (members > 1)}"
    named = row.job.system == "jaxnets" or members > 1
    return {
        "name": system.label + (several if named else ""),
        "system": row.job.system,
        "ceiling": system.ceiling,
        "variant": row.variant,
        "members": members,
        "epochs": row.job.epochs,
        "batch": row.job.problem.batch,
        "widths": list(row.job.problem.widths),
        "rate": row.rate,
        "lowest": min(rates, default=0.0),
        "highest": max(rates, default=0.0),
        "rates": [round(rate, 3) for rate in rates],
        "flops_per_second": row.rate * row.job.problem.flops,
        "first_seconds": row.first_seconds,
        "compile_seconds": row.compile_seconds,
        "loss": row.losses.mean[-1] if row.losses.count else None,
        "loss_by_epoch": [round(value, 6) for value in row.losses.mean],
        "trainings": row.losses.count,
        "updates": row.updates,
        "parameters": row.parameters,
        "tried": row.tried,
        "void": void,
    }


COLUMNS = ("system", "how", "steps/s", "lowest", "highest", "ratio", "GFLOP/s", "once, s", "loss")


def table(result: dict[str, Any]) -> Table:
    """The rows, with their ratio to the reference; what is void says so below."""
    shown = Table(title=result["title"], title_justify="left", caption_justify="left")
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column in ("system", "how") else "right")
    for cells in table_cells(result):
        shown.add_row(*cells)
    shown.caption = "\n".join(
        f"void: {row['name']}: {row['void']}" for row in result["rows"] if row["void"]
    )
    return shown


def digits(rate: float) -> str:
    """A rate with as many digits as it is worth."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def table_cells(result: dict[str, Any]) -> list[list[str]]:
    """One list of texts per row, in the order of `COLUMNS`."""
    rows = result["rows"]
    rates = [r["rate"] for r in rows if r["system"] == result["reference"] and not r["void"]]
    unit = median(rates) if rates else float("nan")
    cells = []
    for row in rows:
        measured = [
            *(digits(row[name]) for name in ("rate", "lowest", "highest")),
            f"{row['rate'] / unit:.2f}", f"{row['flops_per_second'] / 1e9:,.1f}",
            f"{row['compile_seconds']:.1f}", "" if row["loss"] is None else f"{row['loss']:.3f}",
        ]  # fmt: skip
        shown = measured if row["rate"] and not row["void"] else ["void", *[""] * 6]
        cells.append([row["name"], row["variant"], *shown])
    return cells
