"""The two ways of training a group: with the training rows on the devices, or on the disk."""

from typing import NamedTuple

from jaxnets.data import Dataset
from jaxnets.population.blocks import Blocks
from jaxnets.population.piece import PieceRun
from jaxnets.population.program import Compiled
from jaxnets.population.rows import Layout
from jaxnets.population.stream import StreamLayout, StreamRun


class Way(NamedTuple):
    """What differs with the place of the training rows.

    Attributes:
        engine: the compiled programs of a group.
        piece: what brings members to their last epoch with them.
        layout: of the states that are saved.
    """

    engine: type[Compiled] | type[Blocks]
    piece: type[PieceRun]
    layout: type[Layout]


IN_MEMORY = Way(Compiled, PieceRun, Layout)
ON_DISK = Way(Blocks, StreamRun, StreamLayout)


def way_of(data: Dataset) -> Way:
    """The one for these data."""
    return IN_MEMORY if data.train.in_memory else ON_DISK
