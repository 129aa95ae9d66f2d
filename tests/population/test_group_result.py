"""The members of a group, put together of what its dispatches return."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np

from jaxnets.population.group_result import Gathering
from jaxnets.population.piece import Piece


def piece(places: list[int]) -> Piece:
    """Members whose every number is their place."""
    numbers = np.array(places, np.int32)
    wide = np.repeat(numbers[:, None].astype(np.float32), 3, axis=1)
    return Piece(
        kept=({"kernel": wide}, {}), epochs=numbers, best_epoch=numbers, steps=numbers,
        fault=numbers, history={"train_loss": wide}, places=numbers, seconds=1.5,
    )  # fmt: skip


def test_pieces_come_one_by_one_and_everybody_has_their_place():
    """What has been copied is let go of."""
    gathering = Gathering(SimpleNamespace(group=SimpleNamespace(rows=range(8))))
    for places in ([4, 1], [0, 5], [3, 2], [7, 6]):
        made = piece(places)
        gathering.add(made)
        alive = weakref.ref(made)
        del made
        gc.collect()
        assert alive() is None
    result = gathering.result(compile_seconds=2.0, older={3: 4})
    for found in (result.epochs, result.best_epoch, result.steps, result.fault):
        assert found.dtype == np.int32 and found.tolist() == list(range(8))
    for wide in (result.kept[0]["kernel"], result.history["train_loss"]):
        assert wide.dtype == np.float32 and wide.tolist() == [[n] * 3 for n in range(8)]
    assert (result.compile_seconds, result.run_seconds, result.older) == (2.0, 6.0, {3: 4})
