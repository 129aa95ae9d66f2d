"""Rows from the disk: the bits of the same rows in memory, block by block."""

from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.population import blocks, plan, reader
from jaxnets.population.blocks import Lengths, stream_executables
from jaxnets.population.jobs import jobs
from jaxnets.population.memory import row_bytes
from jaxnets.population.workshop import Blueprint
from tests.population import on_disk
from tests.population.kept import check_same
from tests.population.on_disk import MEMORY, NET, PLAIN, TRAIN, VALID, members, streamed, train
from tests.small import LOSS, ROOT, check_refused

DROPOUT = jn.nn.MLP([4], outputs=3, dropout_rate=0.2)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk.small_blocks(monkeypatch)


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


@pytest.mark.optimized
def test_also_as_users_compile(monkeypatch: pytest.MonkeyPatch):
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


def test_steps_are_not_unrolled():
    """How many come at once depends on neighbours, and so what would be left over."""
    data, found = streamed(), []
    for unroll in (1, 3):
        spec = jn.make_spec(ROOT, data, members(), loss=LOSS, epochs=2, batch_size=4, unroll=unroll)
        [program] = jn.make_plan(spec).programs
        functions = stream_executables(Blueprint.of(spec, program), Lengths.of(spec, program))
        found.append(functions.blocks[False].as_text())
    assert found[0] == found[1]


def test_a_block_has_as_many_bytes_whatever_the_lanes(monkeypatch: pytest.MonkeyPatch):
    data = streamed()
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 5 * 4 * row_bytes(data.train))
    found = {}
    for lanes, turns in ((1, 1), (2, 1), (1, 2), (4, 1), (64, 8)):
        monkeypatch.setattr(plan, "TURNS", turns)
        spec = jn.make_spec(ROOT, data, members(), loss=LOSS, epochs=2, batch_size=4)
        [program] = jn.make_plan(spec, lanes=lanes).programs
        found[lanes, turns] = Lengths.of(spec, program).block
    assert list(found.values()) == [5, 2, 2, 1, 1]


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


def test_only_the_orders_of_now_are_kept():
    """However far apart members are: an order has as many numbers as there are rows."""
    read = object.__new__(reader.Reader)
    read.seeds, read.lengths = [3, 4, 3], SimpleNamespace(steps=5)
    every = [(3, 0), (3, 1), (3, 50), (4, 0), (4, 1), (-1, -1)]
    read._orders = dict.fromkeys(every, np.arange(3))
    read._forget(SimpleNamespace(position=np.array([4, 5, 254])))
    assert set(read._orders) == {(3, 0), (4, 1), (3, 50), (-1, -1)}


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
        assert job.rest == (job.steps > 0 and (job.position[job.going] % 6 == 5).all())
        if job.steps == 0:
            assert (at[job.going] % 6 == 0).all()
            ends += job.going
    assert at.tolist() == [18] * 5
    assert ends.tolist() == [3, 3, 2, 2, 0]


def test_orders_where_jax_may_use_no_cpu(monkeypatch: pytest.MonkeyPatch):
    """``JAX_PLATFORMS=cuda`` leaves none; the order is a matter of integers, the same anywhere."""
    expected, everywhere = reader._order(ROOT, 3, 1, 20), jax.local_devices

    def elsewhere(backend: str | None = None) -> list[jax.Device]:
        if backend == "cpu":
            raise RuntimeError("Unknown backend cpu")
        return everywhere()[1:]

    monkeypatch.setattr(jax, "local_devices", elsewhere)
    reader._nearest.cache_clear()
    try:
        assert reader._nearest() == everywhere()[1]
        np.testing.assert_array_equal(reader._order(ROOT, 3, 1, 20), expected)
    finally:
        reader._nearest.cache_clear()
