"""The systems that are compared: one file each, imported in its own process only."""

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.protocol import Job, Variant


@dataclass(frozen=True)
class System:
    """How a system is called and where it is.

    Attributes:
        label: in tables.
        module: below ``benchmarks.systems``; has ``variants(job)``.
        package: what must be installed.
        ceiling: whether it measures what the machine can do instead of training.
        environment: variables of its process.
    """

    label: str
    module: str
    package: str
    ceiling: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def variants(self, job: Job) -> Iterator[Variant]:
        """The ways of running a job."""
        found: Iterator[Variant] = importlib.import_module(
            f"benchmarks.systems.{self.module}"
        ).variants(job)
        return found


def cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_counts() -> list[int]:
    """The numbers of threads worth trying: powers of two, and all cores."""
    return sorted({2**power for power in range(cores().bit_length())} | {cores()})


def threads_label(threads: int) -> str:
    """As text."""
    return f"{threads} thread{'s' * (threads > 1)}"


SYSTEMS: dict[str, System] = {
    "jaxnets": System("jaxnets", "jaxnets_fit", "jax"),
    "jaxnets-lanes": System("jaxnets side by side", "jaxnets_lanes", "jax"),
    "flax-loop": System("Flax, hand-written loop", "flax_loop", "flax"),
    "flax-scan": System("Flax, hand-written scan", "flax_scan", "flax"),
    "torch": System("torch, eager", "torch_eager", "torch"),
    "torch-compile": System(
        "torch.compile", "torch_compiled", "torch",
        # What earlier processes compiled would make the first training look short.
        environment={"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"},
    ),
    "torch-func": System("torch.func", "torch_func", "torch"),
    "keras": System(
        "Keras 3 on JAX", "keras_fit", "keras",
        environment={"KERAS_BACKEND": "jax", "PYTHONWARNINGS": "ignore"},
    ),
    "sklearn": System("scikit-learn", "sklearn_mlp", "scikit-learn"),
    "ceiling": System("batched matmul, XLA", "ceiling_xla", "jax", ceiling=True),
    "ceiling-torch": System("batched matmul, torch", "ceiling_torch", "torch", ceiling=True),
}  # fmt: skip
