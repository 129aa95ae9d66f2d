"""What a compiled program works on: lanes side by side on all devices, and the data beside them."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnets import rng
from jaxnets.data import Batch, Dataset, Split
from jaxnets.population.plan import Program
from jaxnets.population.spec import Group

AXIS, LANE = "member", "lane"


class Data(NamedTuple):
    """The parts that training may see."""

    train: Batch
    valid: Batch | None


class Lanes(NamedTuple):
    """What differs from lane to lane: the leading axis counts them.

    Attributes:
        seeds: uint32 ``(lanes, streams)``.
        numbers: float32 ``(lanes,)`` by name.
    """

    seeds: Any
    numbers: dict[str, Any]

    @classmethod
    def of(cls, group: Group, places: np.ndarray) -> "Lanes":
        """Those of the members at these places of a group."""
        return cls(group.seeds[places], {k: v[places] for k, v in group.numbers.items()})

    @property
    def streams(self) -> dict[str, Any]:
        """The seeds of one lane by name."""
        named = {s.seed_name: self.seeds[i] for i, s in enumerate(rng.Stream)}
        return {"seed": named[rng.Stream.INIT.seed_name], **named}


class Span(NamedTuple):
    """The epochs ``first`` (from 0) to ``last`` (exclusive) of every lane, int32 ``(lanes,)``. Both
    are traced: one program serves every chunk, the last shorter one too, and any length of
    training. A lane whose span is empty does not change, and costs nothing if it is alone.
    """

    first: Any
    last: Any


def mesh_of(program: Program) -> Mesh:
    """The devices of one dispatch in a row."""
    return Mesh(np.array(program.mesh, dtype=object), (AXIS,))


def place(data: Dataset, program: Program) -> Data:
    """Training and validation part on every device of a dispatch; the test part stays behind, and
    so does a training part that is not in memory.

    Targets that are the inputs themselves (an autoencoder's) are placed once.
    """
    sharding = NamedSharding(mesh_of(program), PartitionSpec())

    def put(part: Split) -> Batch:
        x = jax.device_put(part.x, sharding)
        return Batch(x, x if part.reconstructs else jax.device_put(part.y, sharding))

    train = put(data.train) if data.train.in_memory else Batch(None, None)
    return Data(train, None if data.valid is None else put(data.valid))
