"""What the forms of an update of the parameters cost: ``python -m benchmarks.updates``.

Training as it is; with the kernels copied in every step, as XLA does by itself
(`jaxnets.compilation.IN_PLACE`); with Adam as Optax divides (`jaxnets.adam`). All in one process,
in turns.
"""

import argparse
import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import jax
import optax
from rich.console import Console
from rich.table import Table

import jaxnets as jn
from benchmarks.cases import CASES
from benchmarks.cases.roofline import work
from benchmarks.cases.throughput import Throughput
from benchmarks.problems import stored
from benchmarks.protocol import Job
from benchmarks.systems.jaxnets_fit import dataset, fit
from jaxnets import optim
from jaxnets.population import program, workshop


def compile_plainly(lowered: Any, backend: str, options: dict[str, Any] | None = None) -> Any:
    """As XLA does by itself."""
    return lowered.compile(options)


@dataclass
class Way:
    """What is put in whose place, with compiled programs of its own."""

    name: str
    place: tuple[Any, str, Callable[..., Any]] | None = None
    executables: Any = field(
        default_factory=lambda: functools.lru_cache(program.executables.__wrapped__)
    )

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Train this way."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(program, "executables", self.executables))
            if self.place:
                stack.enter_context(patch.object(*self.place))
            yield


def ways() -> list[Way]:
    """The first is what jaxnets does."""
    return [
        Way("as it is"),
        Way("kernels copied", (workshop, "compile_in_place", compile_plainly)),
        Way("divided as by Optax", (optim, "scale_by_adam", optax.scale_by_adam)),
    ]


def jobs() -> list[tuple[str, Job, int | None]]:
    """What is trained: its title, the job, the lanes."""
    case = CASES["small-mlp"]
    assert isinstance(case, Throughput)
    wide, epochs = work((1024, 1024), 4)
    return [
        ("40-64-64-10, batch 32", Job("jaxnets", case.problem, 32, 4), None),
        ("the same, 16 lanes", Job("jaxnets", case.problem, 32, 4), 16),
        ("40-1024-1024-10, batch 4", Job("jaxnets", wide, 2, epochs), None),
    ]


def measure(job: Job, lanes: int | None, rounds: int) -> list[list[float]]:
    """Seconds of every way in every round."""
    found = ways()
    seconds: list[list[float]] = [[] for _ in found]
    with TemporaryDirectory() as folder:
        data = dataset(replace(job, data=str(stored(job.problem, Path(folder)))))
    for number in range(rounds + 1):
        for way, spent in list(zip(found, seconds, strict=True))[:: -1 if number % 2 else 1]:
            with way.taken():
                start = time.perf_counter()
                fit(job, data, number, lanes)
            if number:  # the first compiles
                spent.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    devices = jn.use_all_cores()
    table = Table(
        title=f"Member-steps per second, {devices} {jax.default_backend()} devices, medians of "
        f"{rounds} rounds; times the first",
        title_justify="left",
    )
    for column in ("", *(way.name for way in ways())):
        table.add_column(column, justify="right" if column else "left")
    for title, job, lanes in jobs():
        seconds = measure(job, lanes, rounds)
        table.add_row(title, *(
            f"{job.members * job.updates / median(spent):,.0f}  "
            f"{median(first / own for first, own in zip(seconds[0], spent, strict=True)):.2f}"
            for spent in seconds
        ))  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
