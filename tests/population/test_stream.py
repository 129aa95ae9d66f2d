"""Rows from the disk: the bits of the same rows in memory, stopped and continued anywhere."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.population import blocks
from jaxnets.population.blocks import Blocks, Lengths, stream_executables
from jaxnets.population.stopping import Stopped
from jaxnets.population.stream import jobs
from tests.population.kept import check_same
from tests.small import LOSS, ROOT, check_refused, part

TRAIN, VALID = part(22, 1), part(6, 2)
NET = jn.nn.MLP([4], outputs=3, norm="batch")
PLAIN = jn.nn.MLP([], outputs=3)
DROPOUT = jn.nn.MLP([4], outputs=3, dropout_rate=0.2)
MEMORY = jn.data.Dataset.from_splits(TRAIN, valid=VALID, test=None)


def streamed(x: Any = TRAIN[0], y: Any = TRAIN[1], valid: Any = VALID) -> jn.data.StreamedDataset:
    return jn.data.from_memmap(x, y, valid=valid, test=None)


def members(seeds: int = 2, network: Any = NET) -> list[Any]:
    """Of each seed one that learns and one that diverges."""
    return jn.grid(network=network, seed=range(seeds), learning_rate=[0.05, 1e30])


def train(data: Any = None, who: Any = None, **options: Any) -> jn.Runs:
    given = {"loss": LOSS, "optimizer": "momentum", "batch_size": 4, "epochs": 5} | options
    return jn.fit(
        ROOT, streamed() if data is None else data, members() if who is None else who, **given
    )


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps of four rows of four numbers: 22 rows are blocks of 2, 2, 1 steps and a rest."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2 * 4 * 16)


def at_block(
    patch: pytest.MonkeyPatch, number: int, act: Callable[[], object], seen: list[int] | None = None
) -> list[int]:
    """Do something before the block of this number; the list counts blocks."""
    seen = [0] if seen is None else seen
    for name in ("block", "rest"):
        original = getattr(Blocks, name)

        def counted(self, *arguments, original=original, **named):
            seen[0] += 1
            if seen[0] == number:
                act()
            return original(self, *arguments, **named)

        patch.setattr(Blocks, name, counted)
    return seen


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


CASES: dict[str, dict[str, Any]] = {
    "full batch, early stopping": {"batch_size": 22, "patience": 1, "who": members(2, PLAIN)},
    "no shuffle, nothing left over": {
        "shuffle": False,
        "batch_size": 11,
        "bytes": 1,
        "who": members(2, PLAIN),
    },
}


@pytest.mark.parametrize("name", CASES)
def test_the_bits_of_the_same_rows_in_memory(name: str, monkeypatch: pytest.MonkeyPatch):
    options = dict(CASES[name])
    if "bytes" in options:
        monkeypatch.setattr(blocks, "BLOCK_BYTES", options.pop("bytes"))
    check_same(train(**options), train(MEMORY, **options))


def test_also_as_users_compile(optimized: None, monkeypatch: pytest.MonkeyPatch):
    """With blocks that would be longer than an epoch."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**20)
    stream_executables.cache_clear()
    who = jn.grid(network=DROPOUT, learning_rate=[0.05, 1e30], seed=0)
    check_same(train(who=who), train(MEMORY, who))
    stream_executables.cache_clear()


def test_an_autoencoder_and_no_validation_part():
    memory = jn.data.Dataset.from_splits(TRAIN, valid=None, test=None).reconstruction()
    data = streamed(y=None, valid=None)
    options = {"loss": "mean_squared_error", "epochs": 2}
    who = jn.member(jn.nn.MLP([2], outputs=3), learning_rate=0.1)
    check_same(train(data, who, **options), train(memory, who, **options))


def test_side_by_side_the_weights_have_the_same_bits():
    """Means over an epoch are added up by another program, and may differ in the last bit."""
    who = members(2, PLAIN)
    found, expected = train(who=who, lanes=2), train(MEMORY, who, lanes=2)
    for a, b in zip(found.groups, expected.groups, strict=True):
        for ours, theirs in zip(jax.tree.leaves(a.kept), jax.tree.leaves(b.kept), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for name in found.history:
        if found.history[name].dtype == np.float32:
            np.testing.assert_allclose(found.history[name], expected.history[name], rtol=3e-7)


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
from tests.population.test_stream import at_block, train
blocks.BLOCK_BYTES = 2 * 4 * 16
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


def test_a_state_between_two_records_is_not_extended(tmp_path: Path):
    train(out=tmp_path, epochs=3, history_every=2)
    longer = train(out=tmp_path, epochs=4, history_every=2)
    check_same(longer, train(epochs=4, history_every=2))


def test_rows_are_read_once_for_equal_orders_and_not_for_the_diverged():
    taken: list[int] = []

    class Source:
        def __len__(self) -> int:
            return len(TRAIN[0])

        def __getitem__(self, row: int) -> tuple[np.ndarray, int]:
            taken.append(row)
            return TRAIN[0][row], TRAIN[1][row]

    data = jn.data.from_source(Source(), valid=VALID, test=None)
    who = jn.grid(network=NET, learning_rate=[0.05, 0.01, 1e30], seed=0)
    taken.clear()
    check_same(train(data, who, epochs=3), train(MEMORY, who, epochs=3))
    counts = np.bincount(taken, minlength=22)
    assert counts.min() >= 3
    assert counts.sum() <= 3 * 22 + 4, "three epochs, and rows for a look at their shapes"
    alone = jn.grid(network=NET, learning_rate=[1e30], seed=0)
    taken.clear()
    train(data, alone, epochs=3)
    assert len(taken) < 22


def test_a_grain_pipeline():
    grain = pytest.importorskip("grain", reason="the extra [grain] is not installed")
    rows = list(zip(*TRAIN, strict=True))
    dataset = grain.MapDataset.source(rows).map(lambda row: {"x": row[0], "y": row[1]})
    check_same(train(jn.data.from_source(dataset, valid=VALID, test=None)), train())


def test_a_bad_row_is_named_when_it_is_read():
    x, y = np.array(TRAIN[0]), np.array(TRAIN[1])
    x[13, 2] = np.nan
    with pytest.raises(ValueError, match=r"train\[13:14\]: x\[0, 2\] .* is nan"):
        train(streamed(x))
    y[17] = 3
    with pytest.raises(ValueError, match=r"data\.train\.y\[17:18\]: .*labels in 0..2, got 3"):
        train(streamed(y=y))


def test_mistakes_are_refused_before_anything_is_compiled():
    check_refused(lambda: train(batch_size=23), ValueError, "batch_size", "22")
    check_refused(lambda: train(streamed(y=TRAIN[0], valid=None)), ValueError, "data.train.y")
    check_refused(lambda: train(streamed(valid=None), keep="best"), ValueError, "valid")


def test_members_alone_and_parts():
    runs = train(epochs=2)
    check_same(runs.replay(2), train(epochs=2, who=members()[2:3]))
    assert np.isfinite(runs.evaluate("valid")["loss"].values).all()
    with pytest.raises(ValueError, match="stays on the disk"):
        runs.evaluate("train")


def test_jobs_of_members_in_different_places():
    """Every member takes its own steps in order, each once, and ends each of its epochs."""
    lengths = Lengths(examples=22, size=4, whole=5, rest=2, block=2)
    first = np.array([0, 5, 6, 11, 18])
    at, ends = first.copy(), np.zeros(5, int)
    for job in jobs(first, 3, lengths):
        assert (job.position[job.going] == at[job.going]).all()
        at = at + job.steps * job.going
        inside = job.position % 6 + job.steps
        assert job.steps <= 2 and (inside[job.going] <= 6).all()
        if job.steps == 0:
            assert (at[job.going] % 6 == 0).all()
            ends += job.going
    assert at.tolist() == [18] * 5
    assert ends.tolist() == [3, 3, 2, 2, 0]
