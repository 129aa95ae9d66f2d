"""A small population whose training rows are not in memory, and ways to disturb it."""

import signal
from collections.abc import Callable
from typing import Any

import pytest

import jaxnets as jn
from jaxnets.population import blocks, plan
from jaxnets.population.blocks import Blocks
from tests.population import kept
from tests.small import LOSS, ROOT, part

TRAIN, VALID = part(22, 1), part(6, 2)
NET = jn.nn.MLP([4], outputs=3, norm="batch")
PLAIN = jn.nn.MLP([], outputs=3)
BYTES = plan.TURNS * 2 * 4 * 16
"""Two steps of four rows of four numbers: 22 rows are blocks of 2, 2, 1 steps and a rest."""
MEMORY = jn.data.Dataset.from_splits(TRAIN, valid=VALID, test=None)


def small_blocks(patch: pytest.MonkeyPatch) -> None:
    """Whatever the lanes: two steps at most in a block."""
    patch.setattr(blocks, "BLOCK_BYTES", BYTES)


def streamed(x: Any = TRAIN[0], y: Any = TRAIN[1], valid: Any = VALID) -> jn.data.StreamedDataset:
    return jn.data.from_memmap(x, y, valid=valid, test=None)


def members(seeds: int = 2, network: Any = NET) -> list[Any]:
    """Of each seed one that learns and one that diverges."""
    return jn.grid(network=network, seed=range(seeds), learning_rate=[0.05, 1e30])


def train(data: Any = None, who: Any = None, **options: Any) -> jn.Runs:
    given = {
        "loss": LOSS, "optimizer": "momentum", "batch_size": 4, "epochs": 5, "devices": kept.ONE,
    } | options  # fmt: skip
    return jn.fit(
        ROOT, streamed() if data is None else data, members() if who is None else who, **given
    )


def at_block(
    patch: pytest.MonkeyPatch, number: int, act: Callable[[], object], seen: list[int] | None = None
) -> list[int]:
    """Do something before the block of this number; the list counts blocks."""
    seen = [0] if seen is None else seen
    take = Blocks.take

    def counted(self, *arguments):
        seen[0] += 1
        if seen[0] == number:
            act()
        return take(self, *arguments)

    patch.setattr(Blocks, "take", counted)
    return seen


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)
