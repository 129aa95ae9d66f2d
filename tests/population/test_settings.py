"""What a ``with`` block of JAX's own says holds in training, also where programs are compiled in
threads; what a population cannot obey is said, or does not disturb it."""

from pathlib import Path

import jax
import numpy as np
import pytest

import jaxnets as jn
from tests.population import on_disk
from tests.small import BATCH, DATA, EPOCHS, LOSS, NET, ROOT, check_refused, fit, leaves, same

WIDER = jn.nn.MLP([5], outputs=3)


def both(**options: object) -> jn.Runs:
    """Two architectures: their programs are compiled in two threads."""
    return fit(jn.grid(network=[NET, WIDER], seed=range(2), learning_rate=0.1), **options)


def all_leaves(runs: jn.Runs) -> list[np.ndarray]:
    return [leaf for member in range(len(runs)) for leaf in leaves(runs, member)]


def test_draws_are_those_of_the_block():
    with jax.threefry_partitionable(False):
        runs = both(keep="last")
        train = jn.make_train(
            NET, DATA.train, DATA.valid, loss=LOSS, optimizer="sgd", epochs=EPOCHS, batch_size=BATCH
        )
        run, _ = jax.jit(train)(jax.random.fold_in(ROOT, 1), {"learning_rate": 0.1})
    for ours, plain in zip(leaves(runs, 1), jax.tree.leaves(run.kept), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)
    assert not same(all_leaves(runs), all_leaves(both(keep="last")))


def test_rows_from_the_disk_come_in_the_order_of_the_block():
    """They are read in a thread, too."""
    with jax.threefry_partitionable(False):
        expected = on_disk.train(on_disk.MEMORY)
        streamed = on_disk.train()
    for ours, theirs in zip(all_leaves(streamed), all_leaves(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not same(all_leaves(streamed), all_leaves(on_disk.train()))


def test_a_folder_knows_the_settings_of_a_block(tmp_path: Path):
    with jax.threefry_partitionable(False):
        both(out=tmp_path)
    with pytest.raises(ValueError, match=r"jax_threefry_partitionable is .*False.* there and"):
        both(out=tmp_path)


def test_who_looks_for_a_nan_does_not_stop_a_member_that_diverges():
    members = jn.grid(network=[NET, WIDER], seed=0, learning_rate=[0.1, 1e30])
    metrics = {"undefined": lambda outputs, batch: outputs[:, 0] / 0}
    plain = fit(members, metrics=metrics)
    with jax.debug_nans(True), jax.debug_infs(True):
        runs = fit(members, metrics=metrics)
        measured = runs.evaluate("test")
    assert runs.diverged == plain.diverged and len(runs.diverged) == 2
    assert same(all_leaves(runs), all_leaves(plain))
    for name, values in plain.evaluate("test").data_vars.items():
        np.testing.assert_array_equal(measured[name], values)


def test_training_moves_nothing_that_nobody_sees():
    """Whoever forbids transfers that the code does not name may still train."""
    plain = both()
    with jax.transfer_guard("disallow"):
        runs = both()
    assert same(all_leaves(runs), all_leaves(plain))


def test_without_compilation_nothing_begins(tmp_path: Path):
    with jax.disable_jit():
        check_refused(
            lambda: both(out=tmp_path / "run"), ValueError, "jax.disable_jit", "make_train"
        )
    assert not (tmp_path / "run").exists()
