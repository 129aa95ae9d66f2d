"""Where a training step's time goes, operation by operation: ``python -m benchmarks.profile CASE``.

What XLA's own profiler saw on the devices, per step of one member. Operations that are named alike
(``multiply_add_fusion.7``) are added up. An operation that runs on several threads, or waits for
them, counts until its end, so that shares may add up to more than the step. Profiling itself costs
about a third of a microsecond per operation: small steps look longer than they are.
"""

import argparse
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
from rich.console import Console
from rich.table import Table

import jaxnets as jn
from benchmarks.cases import CASES
from benchmarks.cases.throughput import Throughput
from benchmarks.problems import stored
from benchmarks.protocol import Job
from benchmarks.systems.jaxnets_fit import dataset, fit

MOST = 25
"""Kinds of operations that are shown."""

NO_OPERATION = ("$", "end: ", "Thunk", "while", "call", "conditional", "np.", "PjitFunction")
"""How events begin that contain others, or are none of the program's."""


def events(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """Nanoseconds and number of all events in a profile, by name."""
    spent: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for path in folder.rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            for line in plane.lines:
                for event in line.events:
                    if event.duration_ns:
                        spent[event.name] += int(event.duration_ns)
                        count[event.name] += 1
    return spent, count


def by_kind(spent: Counter[str], count: Counter[str], steps: int) -> list[tuple[str, float, float]]:
    """Kinds of operations of the step, the dearest first.

    Args:
        spent: nanoseconds by event.
        count: of events.
        steps: member-steps in the profile; what comes less often is not of the step (a tenth may
            be missing: the profiler's memory is limited).

    Returns:
        Kind, microseconds per step, operations per step.
    """
    micro: Counter[str] = Counter()
    often: Counter[str] = Counter()
    for name, nanoseconds in spent.items():
        if 10 * count[name] >= 9 * steps and not name.startswith(NO_OPERATION):
            kind = re.sub(r"(\.\d+|\.clone)+(?=$|__)", "", name)
            micro[kind] += nanoseconds
            often[kind] += count[name]
    return [(kind, ns / steps / 1e3, often[kind] / steps) for kind, ns in micro.most_common()]


def profile(job: Job) -> tuple[list[tuple[str, float, float]], int]:
    """Train once to compile, once more under the profiler; the kinds and the member-steps."""
    with TemporaryDirectory() as folder:
        data = dataset(replace(job, data=str(stored(job.problem, Path(folder)))))
        fit(job, data, 0)
        with jax.profiler.trace(folder):
            fit(job, data, 1)
        spent, count = events(Path(folder))
    steps = job.members * job.updates
    return by_kind(spent, count, steps), steps


def main() -> None:
    """Print the table of one case."""
    known = {name: case for name, case in CASES.items() if isinstance(case, Throughput)}
    it = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    it.add_argument("case", choices=known)
    it.add_argument("--members", type=int, default=2)
    it.add_argument("--epochs", type=int, default=1)
    given = it.parse_args()
    devices = jn.use_all_cores()
    kinds, steps = profile(Job("jaxnets", known[given.case].problem, given.members, given.epochs))
    total = sum(micro for _, micro, _ in kinds)
    shown = Table(
        title=f"{known[given.case].title}: {steps:,} steps of {given.members} members on {devices} "
        f"devices, {total:,.1f} µs in operations per step",
        title_justify="left",
    )
    for column in ("operation", "µs per step", "share, %", "times per step"):
        shown.add_column(column, justify="left" if column == "operation" else "right")
    for kind, micro, often in kinds[:MOST]:
        shown.add_row(kind, f"{micro:,.2f}", f"{100 * micro / total:.1f}", f"{often:,.1f}")
    Console(width=None if sys.stdout.isatty() else 110).print(shown)


if __name__ == "__main__":
    main()
