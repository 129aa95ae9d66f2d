"""Training members: every number and every stream of theirs, and every kind of problem."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnets as jn
from jaxnets.nn.hyper import hyperparameter
from jaxnets.population import execute
from tests.population.bars import Bar, full, kept_in
from tests.small import DATA, NET, ROOT, fit, leaves, part, regression, same

EVERYTHING = jn.optim.adam(
    learning_rate=0.05, clip_norm=0.5, weight_decay=0.01, schedule=jn.schedules.step(4, 0.5)
)
DROPPING = jn.nn.MLP([4], outputs=3, dropout_rate=0.2, norm="batch")
LINE = jn.nn.MLP([], 2)
BASE = {
    "learning_rate": 0.05, "b1": 0.8, "b2": 0.9, "weight_decay": 0.01, "clip_norm": 0.5,
    "decay_steps": 4, "decay_rate": 0.5, "dropout_rate": 0.2, "noise_sigma": 0.1,
    "label_smoothing": 0.1, "l1": 0.01, "l2": 0.01, "init_gain": 1.0, "eps": 1e-3,
    "eps_root": 1e-4,
}  # fmt: skip
CHANGED = {
    "learning_rate": 0.1, "b1": 0.5, "b2": 0.5, "weight_decay": 0.5, "clip_norm": 0.05,
    "decay_steps": 2, "decay_rate": 0.1, "dropout_rate": 0.6, "noise_sigma": 0.5,
    "label_smoothing": 0.4, "l1": 0.2, "l2": 0.2, "init_gain": 2.0, "eps": 0.1,
    "eps_root": 0.1,
}  # fmt: skip


def test_every_number_is_each_members_own():
    """One program; each member changes one number, and every result is another one."""
    options = {"optimizer": EVERYTHING, "keep": "last"}
    members = [jn.member(DROPPING, **(BASE | {name: CHANGED[name]})) for name in BASE]
    runs = fit([jn.member(DROPPING, **BASE), *members], **options)
    assert len(runs.groups) == 1 and not runs.diverged
    kept = [leaves(runs, i) for i in range(len(runs))]
    names = ["base", *BASE]
    for (i, a), (j, b) in itertools.combinations(enumerate(kept), 2):
        assert max(np.abs(x - y).max() for x, y in zip(a, b, strict=True)) > 1e-5, (
            names[i],
            names[j],
        )
    # ... and nobody else's: alone with the base, a member is what it was among all of them.
    for i in (1, 5, 8, 13):
        alone = fit([jn.member(DROPPING, **BASE), members[i - 1]], **options)
        assert same(leaves(alone, 0), kept[0]) and same(leaves(alone, 1), kept[i])
    rate = runs[names.index("dropout_rate")].collections["hyper"]["dropout_rate"]
    assert rate == np.float32(CHANGED["dropout_rate"]), "never trained, only set"
    means = [runs[i].collections["batch_stats"]["BatchNorm_0"]["mean"] for i in (0, 1)]
    assert np.abs(means[0]).max() > 1e-2 and not np.array_equal(*means)


def half(outputs, batch):
    """A loss that is computed in what the network computes in."""
    return -jnp.take_along_axis(jax.nn.log_softmax(outputs), batch.y[:, None], 1)[:, 0]


def large(outputs, batch):
    return jnp.full(batch.y.shape, 30_000, jnp.float16)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_a_loss_of_half_precision_is_recorded_in_float32(dtype: Any):
    runs = fit(jn.nn.MLP([4], outputs=3, dtype=dtype), loss=half, metrics={"large": large})
    kinds = {values.dtype for name, values in runs.history.items() if name.startswith("valid")}
    assert kinds == {np.dtype(np.float32)} and not runs.diverged
    assert runs.evaluate("valid")["large"] == 30_000, "added up in float32"


def test_functions_with_other_numbers_are_other_programs():
    """The same function, with defaults for one and for two of its arguments."""
    ways = [{"learning_rate": 0.1}, {"learning_rate": 0.1, "momentum": 0.9}]
    optimizers = [jn.optim.from_optax(optax.sgd, **numbers) for numbers in ways]
    alone = [leaves(fit(jn.member(NET), optimizer=optimizer)) for optimizer in optimizers]
    assert not same(*alone)
    for order in ([0, 1], [1, 0]):
        runs = fit(jn.grid(network=NET, optimizer=[optimizers[i] for i in order]))
        assert all(same(leaves(runs, place), alone[i]) for place, i in enumerate(order))


def test_numbers_of_momentum_and_of_the_users_own_loss():
    def tilted(outputs, batch, *, tilt=1.0):
        return tilt * jnp.mean(jnp.square(outputs - batch.y), axis=-1) + jnp.abs(outputs[:, 0])

    members = [
        jn.member(jn.nn.MLP([4], 2), learning_rate=0.1, **numbers)
        for numbers in ({}, {"momentum": 0.5}, {"tilt": 3.0})
    ]
    runs = fit(members, regression(), loss=tilted, optimizer="momentum")
    kept = [leaves(runs, i) for i in range(3)]
    assert len(runs.groups) == 1
    assert all(not same(a, b) for a, b in itertools.combinations(kept, 2))
    assert runs.history["train_loss"].values[2, 0] > runs.history["train_loss"].values[0, 0]


def test_delta_of_huber():
    options = {"data": regression(), "batch_size": 10, "epochs": 5}
    runs = fit(
        jn.grid(network=LINE, learning_rate=0.2, delta=[0.1, 1.0, 10.0]), loss="huber", **options
    )
    squared = fit(jn.member(LINE, learning_rate=0.1), loss="mean_squared_error", **options)
    for a, b in zip(leaves(runs, 2), leaves(squared), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)  # no error is large: half the squared error
    assert all(not same(leaves(runs, i), leaves(runs, 2)) for i in (0, 1))


def test_a_rate_of_zero_leaves_the_initial_weights():
    """Equal init seeds: equal weights, whatever the other seeds and the numbers are."""
    seeds = [{"seed": 1}, {"seed": 1, "order_seed": 5}, {"seed": 2, "init_seed": 1}, {"seed": 2}]
    members = [jn.member(NET, learning_rate=0.0, **s) for s in seeds]
    kept = [leaves(runs := fit(members, keep="last"), i) for i in range(4)]
    expected = NET.init(jax.random.fold_in(jax.random.fold_in(ROOT, 1), 0), DATA.train.x[:1])[
        "params"
    ]
    for a, b in zip(kept[0], jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert same(kept[0], kept[1]) and same(kept[0], kept[2]) and not same(kept[0], kept[3])
    assert runs.history["train_loss"].values[0] == pytest.approx(
        runs.history["train_loss"].values[1], rel=1e-5
    )


class Recorder(nn.Module):
    """Writes down the first row of the last batch and the last draw of dropout."""

    @nn.compact
    def __call__(self, x, train=False):
        row = self.variable("seen", "row", lambda: jnp.zeros(3))
        draw = self.variable("seen", "draw", lambda: jnp.zeros(()))
        if train:
            row.value = x[0]
            draw.value = jax.random.normal(self.make_rng("dropout"))
        return nn.Dense(3, bias_init=nn.initializers.normal())(x)


def shifted(key, x):
    return x + 10.0 * jax.random.uniform(key)


def test_every_stream_has_a_seed_of_its_own():
    """What was seen is that of order, noise and augmentation together; noise moves it little."""
    names = ["init_seed", "order_seed", "dropout_seed", "augment_seed", "noise_seed"]
    own = [{"seed": 1}, *({"seed": 1, name: 2} for name in names), {"seed": 2}]
    members = [jn.member(Recorder(), learning_rate=0.0, noise_sigma=1e-3, **seeds) for seeds in own]
    runs = fit(members, keep="last", epochs=2, augment=shifted)

    def of(i: int) -> list[np.ndarray]:
        seen = runs[i].collections["seen"]
        return [runs[i].params["Dense_0"]["kernel"], seen["row"], seen["draw"]]

    equal = [
        [bool(np.array_equal(a, b)) for a, b in zip(of(0), of(i), strict=True)] for i in range(1, 7)
    ]
    assert equal == [
        [False, True, True], [True, False, True], [True, True, False], [True, False, True],
        [True, False, True], [False, False, False],
    ]  # fmt: skip
    first, order, augment, noise = (of(i)[1] for i in (0, 2, 4, 5))
    assert np.abs(noise - first).max() < 0.01
    assert np.ptp(augment - first) < 1e-5 < np.abs(augment - first).min(), "one shift for all"
    rows = DATA.train.x
    shift = first - rows
    assert (np.ptp(shift, axis=1) < 0.01).sum() == 1, "one of the rows, shifted"
    assert not np.allclose(order, first, atol=0.01)


class Plain(nn.Module):
    """The user's own: no ``train``, a number of its own."""

    @nn.compact
    def __call__(self, x):
        return hyperparameter(self, "gain", 1.0) * nn.Dense(3)(x)


def test_a_module_of_the_users_own():
    runs = fit(jn.grid(network=Plain(), learning_rate=0.3, gain=[1.0, 0.0]), epochs=12)
    losses = runs.history["valid_loss"].values
    assert losses[0, -1] < losses[0, 0]
    np.testing.assert_allclose(losses[1], np.log(3), rtol=1e-5)


# Every kind of problem.


def test_binary_labels():
    x, y = part(12, 4)
    data = jn.data.Dataset.from_splits((x, y > 0), valid=None, test=None)
    runs = fit(jn.nn.MLP([], 1), data, loss="sigmoid_binary_cross_entropy", epochs=30,
               optimizer=jn.optim.sgd(1.0))  # fmt: skip
    accuracy = runs.evaluate("train")["accuracy"].item()
    decided = runs[0].predict(x)[:, 0] > 0
    assert accuracy == pytest.approx(np.mean(decided == (y > 0))) and accuracy > 0.7


def test_regression():
    runs = fit(jn.member(LINE, learning_rate=0.2), regression(), loss="mean_squared_error",
               epochs=100, batch_size=10)  # fmt: skip
    x, y = (np.asarray(a, np.float64) for a in (regression().train.x, regression().train.y))
    design = np.column_stack([x, np.ones(10)])
    solution, *_ = np.linalg.lstsq(design, y, rcond=None)
    best = np.mean((design @ solution - y) ** 2)
    assert best * 0.999 <= runs.evaluate("train")["loss"].item() < best + 0.01


def test_an_autoencoder_with_noise_has_clean_targets():
    """A linear one, trained on noise as strong as the signal: it learns to halve what it sees, as
    it must towards a clean target; towards a noisy one the identity would be best."""
    x = np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32)
    data = jn.data.Dataset.from_splits((x, np.zeros(200, int)), valid=None, test=None)
    network = jn.nn.Autoencoder([], 2)
    members = [jn.member(network, noise_sigma=sigma) for sigma in (0.0, 1.0)]
    runs = fit(members, data.reconstruction(), loss="mean_squared_error", epochs=60, batch_size=20,
               optimizer=jn.optim.sgd(0.1))  # fmt: skip
    quiet, noisy = (runs[i].predict(np.eye(2)) - runs[i].predict(np.zeros((2, 2))) for i in (0, 1))
    np.testing.assert_allclose(quiet, np.eye(2), atol=0.03)
    np.testing.assert_allclose(noisy, 0.5 * np.eye(2), atol=0.2)


class First(NamedTuple):
    """The first of two processes; the other one trains its share while this one waits."""

    wait: Callable[[], None]
    index: int = 0
    count: int = 2

    def meet(self, word: str) -> None:
        self.wait()


@pytest.mark.parametrize("before", [0, 3])
def test_the_bar_of_one_of_several_processes_counts_every_member_once(tmp_path: Path, before: int):
    def plan(count: int) -> jn.Plan:
        members = jn.grid(network=NET, seed=range(count))
        options = {"loss": "softmax_cross_entropy", "epochs": 3, "batch_size": 4}
        return jn.make_plan(jn.make_spec(ROOT, DATA, members, **options))

    everyone = plan(6)
    bar, seen = Bar(everyone), []
    with kept_in(tmp_path, everyone) as keep:
        if before:
            list(execute(plan(before), None, keep))
            keep = keep._replace(store=keep.store.again())

        def wait() -> None:
            seen.append(bar.stands)
            list(execute(everyone, None, keep._replace(store=keep.store.again())))

        two: Any = First(wait)
        (group,) = execute(everyone, bar, keep._replace(processes=two))
    assert len(group.epochs) == 6
    assert seen == [full(everyone)] and bar.stands == seen[0]


@pytest.mark.parametrize("widths", ["exact", "padded"])
def test_a_plan_knows_the_bytes_of_what_is_kept(widths: str):
    members = [jn.member(jn.nn.MLP([width], outputs=3, norm="batch")) for width in (4, 5)]
    runs = fit(members, widths=widths)
    kept = jax.tree.leaves([group.kept for group in runs.groups])
    assert runs.plan.result_bytes == sum(leaf.nbytes for leaf in kept)


def test_the_progress_bar_counts_everything(capsys: pytest.CaptureFixture[str]):
    fit(jn.grid(network=NET, seed=range(3)), progress=True)
    assert "3/3 members" in (text := capsys.readouterr().err) and "9/9 epochs" in text
    fit(jn.grid(network=NET, seed=range(3)), progress=False)
    assert capsys.readouterr().err == ""
