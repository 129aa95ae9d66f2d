"""Rows from the disk: stopped, killed, extended, without memory: the bits of one sitting."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.population import blocks, plan, reader
from jaxnets.population.blocks import Blocks
from jaxnets.population.stopping import Stopped
from tests.population import on_disk
from tests.population.kept import bits, check_same, save_every_chunk
from tests.population.on_disk import (
    MEMORY,
    NET,
    PLAIN,
    TRAIN,
    VALID,
    at_block,
    interrupt,
    members,
    streamed,
    train,
)
from tests.population.test_memory import refuse


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk.small_blocks(monkeypatch)


def test_stopped_at_any_block_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    every = 2
    expected, middle = train(MEMORY, history_every=every), 0
    assert expected.history["diverged"].values.tolist() == [False, True, False, True]
    with monkeypatch.context() as patch:
        total = at_block(patch, 0, interrupt)
        train(history_every=every)
    for number in (1, 2, 3, 4, 6, 7, 9):  # two epochs and a bit; a member has four blocks in one
        out = tmp_path / str(number)
        with monkeypatch.context() as patch, contextlib.suppress(Stopped):
            before = at_block(patch, number, interrupt)
            train(out=out, save_every=1e9, history_every=every)
        with monkeypatch.context() as patch:
            again = at_block(patch, 0, interrupt)
            check_same(train(out=out, save_every=1e9, history_every=every), expected)
        assert before[0] + again[0] == total[0], "no step is taken twice"
        middle += before[0] % 4 != 0
    assert middle >= 4


def test_killed_in_the_middle_of_an_epoch(tmp_path: Path):
    """Really killed, by SIGKILL before block 11; saved as often as possible."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        again = at_block(patch, 0, interrupt)
        found = train(out=tmp_path)
    check_same(found, train(MEMORY))
    assert 10 <= again[0] < 16, "ten of twenty blocks were taken, most of them were kept"


_KILLED = """
import os, signal, sys, time, conftest, pytest
from jaxnets.population import blocks
from tests.population.on_disk import BYTES, at_block, train
blocks.BLOCK_BYTES = BYTES
count = [0]
with pytest.MonkeyPatch.context() as patch:
    for number in range(1, 12):
        at_block(patch, number, lambda: time.sleep(0.3), [0])
    at_block(patch, 11, lambda: os.kill(os.getpid(), signal.SIGKILL))
    train(out=sys.argv[1], save_every=0.0)
"""


def test_extending_trains_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train(out=tmp_path)
    with monkeypatch.context() as patch:
        steps = at_block(patch, 0, interrupt)
        check_same(train(out=tmp_path), train(out=tmp_path))
        assert steps == [0]
        # One dispatch serves all: two epochs more for those that learn, four blocks in each.
        longer = train(out=tmp_path, epochs=7)
        assert steps == [8]
    check_same(longer, train(epochs=7))
    check_same(train(who=members(3), out=tmp_path, epochs=7), train(who=members(3), epochs=7))
    check_same(train(out=tmp_path, epochs=2), train(epochs=2))


def test_a_state_between_two_records_is_not_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An older one is."""
    every = {"history_every": 2}
    for epochs in (2, 3):
        train(out=tmp_path, epochs=epochs, **every)
    with monkeypatch.context() as patch:
        steps = at_block(patch, 0, interrupt)
        longer = train(out=tmp_path, epochs=4, **every)
    assert steps == [8]
    check_same(longer, train(epochs=4, **every))


def test_one_that_stopped_between_two_records_trains_on(tmp_path: Path):
    """In six epochs nobody looks after the third, where it stopped in three."""
    options = {"history_every": 2, "patience": 1, "mode": "max", "who": members(1)}
    three = train(out=tmp_path, epochs=3, **options)
    assert three.history["epochs"].values.tolist() == [3, 0]
    six = train(out=tmp_path, epochs=6, **options)
    assert six.history["epochs"].values.tolist() == [4, 0]
    check_same(six, train(epochs=6, **options))


def test_those_that_train_no_more_are_found_where_they_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In longer runs they are not trained again; in shorter ones they may not have ended yet.
    Errors grow and overflow in the third epoch, in the last block but one: that the last one was
    taken, too, is forgotten.
    """
    options = {
        "who": jn.member(PLAIN, learning_rate=17.0), "loss": "mean_squared_error",
        "optimizer": "sgd", "history_every": 2,
    }  # fmt: skip
    x, y = TRAIN[0], TRAIN[0].sum(1, keepdims=True) * np.ones(3, np.float32)
    valid = VALID[0], np.ones((6, 3), np.float32)
    four = train(streamed(x, y, valid), out=tmp_path, epochs=4, **options)
    assert [step for _, step, _ in four.diverged] == [2 * 6 + 4]
    with monkeypatch.context() as patch:
        steps = at_block(patch, 0, interrupt)
        six = train(streamed(x, y, valid), out=tmp_path, epochs=6, **options)
        assert steps == [0]
    check_same(six, train(streamed(x, y, valid), epochs=6, **options))
    two = train(streamed(x, y, valid), out=tmp_path, epochs=2, **options)
    assert not two.history["diverged"].any()


@pytest.mark.parametrize("saved", [False, True])
def test_nothing_is_recorded_of_a_piece(
    saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its only member diverges before the first record; the others' pieces have curves."""
    monkeypatch.setattr(plan, "TURNS", 1)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2 * 4 * 16)
    options = {
        "who": jn.grid(network=NET, learning_rate=[0.05, 1e30, 1e30], seed=0),
        "history_every": 2, "devices": jax.local_devices()[:1],
    }  # fmt: skip
    expected = train(MEMORY, **options)
    if not saved:
        check_same(train(**options), expected)
        return
    for _ in range(2):
        check_same(train(**options, out=tmp_path, save_every=0.0), expected)


def test_an_order_is_kept_as_long_as_anybody_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also while only those take a step that are epochs ahead."""
    who = jn.grid(network=NET, seed=range(2), learning_rate=0.05)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        at_block(patch, 5, interrupt)
        train(out=tmp_path, who=who[:1], save_every=1e9)
    drawn, order = [], reader._order

    def counted(root: jax.Array, seed: int, epoch: int, n: int) -> np.ndarray:
        drawn.append((seed, epoch))
        return order(root, seed, epoch, n)

    monkeypatch.setattr(reader, "_order", counted)
    check_same(train(out=tmp_path, who=who), train(MEMORY, who))
    assert len(drawn) == len(set(drawn)) == 4 + 5


@pytest.mark.parametrize("saved", [False, True])
def test_a_device_without_memory(saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The program is halved in the middle of an epoch, until one member takes a turn; what was
    saved is kept.
    """
    save_every_chunk(monkeypatch)
    expected, take, seen = train(MEMORY), Blocks.take, [0]

    def limited(self: Blocks, *arguments: Any) -> Any:
        seen[0] += 1
        if self.program.turns > 1 and seen[0] > 6:
            refuse()
        return take(self, *arguments)

    monkeypatch.setattr(Blocks, "take", limited)
    with pytest.warns(RuntimeWarning, match="the same bits"):
        runs = train(out=tmp_path) if saved else train()
    assert [program.turns for program in runs.plan.programs] == [1]
    for found, wanted in zip(runs.groups, expected.groups, strict=True):
        assert bits(found.kept) == bits(wanted.kept)
    assert runs.history.identical(expected.history)
    if saved:  # six, four that were refused, then longer ones: one of the two that learn in each
        assert seen[0] == 6 + 4 + 2 * (2 + 3 * 2)
