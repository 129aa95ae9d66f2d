"""What jaxnets writes otherwise than its libraries do: ``python -m benchmarks.updates``.

Training as it is; with the kernels copied in every step, as XLA does by itself
(`jaxnets.compilation.IN_PLACE`); with Adam as Optax divides (`jaxnets.adam`); with batch
normalisation as JAX differentiates Flax's (`jaxnets.nn.batch_norm`). All in one process, in turns.
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
from flax import linen as nn
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
from jaxnets.nn import batch_norm, norm
from jaxnets.population import program, workshop


def compile_plainly(lowered: Any, backend: str, options: dict[str, Any] | None = None) -> Any:
    """As XLA does by itself."""
    return lowered.compile(options)


class FlaxBatchNorm(nn.Module):
    """Flax's, called as jaxnets calls its own."""

    epsilon: float
    dtype: Any
    scale_init: Any

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """``x`` normalised."""
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=batch_norm.MOMENTUM,
            epsilon=self.epsilon,
            use_fast_variance=False,
            scale_init=self.scale_init,
            dtype=self.dtype,
        )(x)


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


AS_IT_IS = Way("as it is")
COPIED = Way("kernels copied", (workshop, "compile_in_place", compile_plainly))
DIVIDED = Way("Optax's Adam", (optim, "scale_by_adam", optax.scale_by_adam))
DIFFERENTIATED = Way("Flax's BatchNorm", (norm, "BatchNorm", FlaxBatchNorm))
WAYS = (AS_IT_IS, COPIED, DIVIDED, DIFFERENTIATED)


@dataclass(frozen=True)
class Case:
    """What is trained, and the ways that make a difference to it, after `AS_IT_IS`."""

    title: str
    job: Job
    ways: tuple[Way, ...]
    lanes: int | None = None


def cases() -> list[Case]:
    """One per row."""
    small, resnet = CASES["small-mlp"], CASES["resnet20"]
    assert isinstance(small, Throughput)
    assert isinstance(resnet, Throughput)
    wide, epochs = work((1024, 1024), 4)
    dense, normalised = (COPIED, DIVIDED), (DIFFERENTIATED,)
    return [
        Case("64-64, batch 32", Job("jaxnets", small.problem, 32, 4), dense),
        Case("the same, 16 lanes", Job("jaxnets", small.problem, 32, 4), dense, 16),
        Case("1024-1024, batch 4", Job("jaxnets", wide, 2, epochs), dense),
        Case("ResNet-20", Job("jaxnets", resnet.problem, 2, 1), normalised),
        Case("ResNet-20 alone", Job("jaxnets", resnet.problem, 1, 1), normalised),
    ]


def measure(case: Case, rounds: int) -> dict[str, list[float]]:
    """Seconds in every round, by the name of the way."""
    seconds: dict[str, list[float]] = {way.name: [] for way in (AS_IT_IS, *case.ways)}
    with TemporaryDirectory() as folder:
        data = dataset(replace(case.job, data=str(stored(case.job.problem, Path(folder)))))
    for number in range(rounds + 1):
        for way in (AS_IT_IS, *case.ways)[:: -1 if number % 2 else 1]:
            with way.taken():
                start = time.perf_counter()
                fit(case.job, data, number, case.lanes)
            if number:  # the first compiles
                seconds[way.name].append(time.perf_counter() - start)
    return seconds


def cell(job: Job, first: list[float], spent: list[float]) -> str:
    """The rate, and how it is to the first one's."""
    ratio = median(a / b for a, b in zip(first, spent, strict=True))
    return f"{job.members * job.updates / median(spent):,.4g}  {ratio:.2f}"


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
    for column in ("", *(way.name for way in WAYS)):
        table.add_column(column, justify="right" if column else "left")
    for case in cases():
        seconds = measure(case, rounds)
        first = seconds[AS_IT_IS.name]
        table.add_row(
            case.title,
            *(cell(case.job, first, seconds[w.name]) if w.name in seconds else "" for w in WAYS),
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
