"""jaxnets with several members side by side on each device, as a user asks for it: ``lanes=8``."""

from collections.abc import Iterator

import jaxnets as jn
from benchmarks.protocol import Job, Variant
from benchmarks.systems.jaxnets_fit import dataset, trained, where

LANES = (4, 8, 16)


def variants(job: Job) -> Iterator[Variant]:
    """One for each number of lanes."""
    jn.use_all_cores()
    data = dataset(job)
    for lanes in LANES:
        yield Variant(f"{where()}, {lanes} lanes", trained(job, data, lanes))
