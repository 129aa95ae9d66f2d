"""Which weights are kept, when a member stops, and what its history says."""

import numpy as np
import pytest

import jaxnets as jn
from jaxnets.population import plan as plan_module
from tests.population.kept import at_dispatch
from tests.small import NET, fit, leaves, same


@pytest.fixture
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs to a chunk."""
    monkeypatch.setattr(plan_module, "CHUNK_STEPS", 6)


def test_best_weights_are_those_of_their_epoch():
    members = jn.grid(network=NET, learning_rate=[0.1, 3.0], seed=range(3))
    best, last = fit(members, epochs=9), fit(members, epochs=9, keep="last")
    curves = best.history["valid_loss"].values
    assert np.array_equal(curves, last.history["valid_loss"].values)
    found = best.history["best_epoch"].values
    assert np.array_equal(found, curves.argmin(1) + 1) and len(set(found.tolist())) > 1
    assert (last.history["best_epoch"].values == 9).all()
    measured = best.evaluate("valid")["loss"].values
    np.testing.assert_allclose(measured, curves.min(1), rtol=1e-5)
    for i, epoch in enumerate(found):  # bit for bit the last weights of a run of that length
        shorter = fit([members[i]], epochs=int(epoch), keep="last")
        assert same(leaves(best, i), leaves(shorter))


@pytest.mark.parametrize(("keep", "monitor"), [("best", "valid_accuracy"), ("last", "valid_loss")])
def test_patience(short_chunks: None, keep: str, monitor: str):
    """Replayed by hand on the curve of a run without patience; an accuracy is maximised."""
    members = jn.grid(network=NET, learning_rate=[0.1, 3.0], seed=range(3))
    runs = fit(members, epochs=9, patience=3, keep=keep, monitor=monitor)
    free = fit(members, epochs=9, keep="last")
    stopped = []
    for i in range(len(members)):
        curve = free.history[monitor].values[i] * (-1 if "accuracy" in monitor else 1)
        best, since, epochs = np.inf, 0, 9
        for epoch, value in enumerate(curve, start=1):
            if value < best:
                best, since = value, epoch
            if epoch - since >= 3:
                epochs = epoch
                break
        row = runs.history.isel(member=i)
        assert int(row["epochs"]) == epochs
        valid, train = row["valid_loss"].values, row["train_loss"].values
        np.testing.assert_allclose(
            valid[:epochs], free.history["valid_loss"][i, :epochs], rtol=1e-4
        )
        assert np.isnan(valid[epochs:]).all() and np.isnan(train[epochs:]).all()
        kept = since if keep == "best" else epochs
        assert int(row["best_epoch"]) == kept
        expected = fit([members[i]], epochs=kept, keep="last")
        for a, b in zip(leaves(runs, i), leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        stopped.append(epochs < 9)
    assert any(stopped) and (keep == "best" or not all(stopped))


def test_a_thinned_history_is_a_part_of_the_whole_one():
    members = jn.grid(network=NET, learning_rate=[0.1, 0.5], seed=range(2))
    whole = fit(members, epochs=8, keep="last")
    thin = fit(members, epochs=8, keep="last", history_every=3)
    assert thin.history["epoch"].values.tolist() == [3, 6, 8]
    for name in ("train_loss", "valid_loss", "valid_accuracy"):
        assert np.array_equal(thin.history[name], whole.history[name].sel(epoch=[3, 6, 8])), name
    assert all(same(leaves(thin, i), leaves(whole, i)) for i in range(4))
    once = fit(members[:1], epochs=2, keep="last", history_every=3)
    assert once.history["epoch"].values.tolist() == [2]
    assert np.array_equal(
        once.history["valid_loss"].values[0, 0], whole.history["valid_loss"][0, 1]
    )


def test_longer_training_begins_like_shorter_training(
    short_chunks: None, monkeypatch: pytest.MonkeyPatch
):
    """Five and nine epochs end within a chunk, and not in the same one."""
    members = jn.grid(network=NET, learning_rate=[0.02, 0.05])
    options = {"keep": "last", "patience": 3}
    short, long = fit(members, epochs=5, **options), fit(members, epochs=9, **options)
    assert short.plan.programs[0].chunk_epochs == 2
    for name in ("train_loss", "valid_loss", "train_accuracy", "valid_accuracy"):
        assert np.array_equal(short.history[name], long.history[name][:, :5])
    assert not same(leaves(short), leaves(long)) and not np.isnan(long.history["train_loss"]).any()

    # Early stopping is seen between chunks, and what follows is not trained.
    chunks = at_dispatch(monkeypatch, 0, lambda: None)
    stopping = fit(jn.member(NET, learning_rate=3.0), epochs=40, **options)
    row = stopping.history.isel(member=0)
    epochs = int(row["epochs"])
    assert 3 < epochs < 30 and np.isfinite(row["valid_loss"][:epochs]).all()
    assert np.isnan(row["valid_loss"][epochs:]).all() and row.sizes["epoch"] == 40
    assert 2 * chunks[0] <= epochs + 4
