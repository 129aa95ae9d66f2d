"""What comes out: labels, predictions, measures, single members, and files."""

import threading
from pathlib import Path
from time import perf_counter

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxnets as jn
from jaxnets.data import Batch
from jaxnets.population import results
from jaxnets.population.labels import _coordinates
from jaxnets.population.members import CHOICES
from tests.small import DATA, EPOCHS, LOSS, NET, compilations, fit, leaves, same

WIDER = jn.nn.MLP([5], outputs=3)


@pytest.fixture(scope="module")
def runs() -> jn.Runs:
    """Two architectures, their members interleaved, so that places and rows differ."""
    a = jn.grid(network=NET, learning_rate=[0.1, 0.3], seed=[4, 5])
    b = jn.grid(network=WIDER, learning_rate=[0.1], seed=[4, 5], order_seed=9)
    return fit([a[0], b[0], a[1], a[2], b[1], a[3]])


def forward(trained: jn.Trained, x: np.ndarray) -> np.ndarray:
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), trained.params)
    hidden = np.maximum(x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"], 0)
    return hidden @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]


def measures(logits: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -logs[np.arange(len(y)), y].mean(), np.mean(logits.argmax(1) == y)


def test_members_are_found_in_the_users_order(runs: jn.Runs):
    assert len(runs) == 6 and len(runs.groups) == 2
    assert [g.program.group.rows for g in runs.groups] == [(0, 2, 3, 5), (1, 4)]
    widths = [runs[i].params["Dense_0"]["kernel"].shape[1] for i in range(6)]
    assert widths == [4, 5, 4, 4, 5, 4]
    assert [trained.member for trained in runs] == list(runs.members)
    assert same(leaves(runs, -1), leaves(runs, 5)) and same(leaves(runs, -6), leaves(runs, 0))
    assert runs[np.int64(2)].member is runs.members[2] and runs[-2].member is runs.members[4]
    alone = fit(runs.members[4])
    assert same(leaves(alone), leaves(runs, 4))
    assert repr(runs) == "Runs(6 members, 2 programs, 3 epochs, 0 diverged)"


@pytest.mark.parametrize(
    ("index", "kind", "message"),
    [
        (6, IndexError, "member: expected 0 <= member < 6, got 6."),
        (-7, IndexError, "got -7."),
        (1.0, TypeError, "member: expected an integer, got float 1.0."),
        (True, TypeError, "member: expected an integer, got bool True."),
        ("0", TypeError, "got str '0'."),
        (slice(2), TypeError, "got slice"),
    ],
    ids=str,
)
def test_bad_indices(runs: jn.Runs, index: object, kind: type[Exception], message: str):
    for use in (
        lambda: runs[index],
        lambda: runs.replay(index),
        lambda: runs.evaluate(members=[index]),
    ):
        with pytest.raises(kind) as caught:
            use()
        assert message in str(caught.value)


def test_history_is_labelled(runs: jn.Runs):
    history = runs.history
    assert dict(history.sizes) == {"member": 6, "epoch": EPOCHS}
    assert history["epoch"].values.tolist() == [1, 2, 3]
    assert history["width"].values.tolist() == [4, 5, 4, 4, 5, 4]
    assert history["depth"].values.tolist() == [1] * 6
    assert history["learning_rate"].values.tolist() == [0.1, 0.1, 0.1, 0.3, 0.1, 0.3]
    assert history["seed"].values.tolist() == [4, 4, 5, 4, 5, 5]
    assert history["order_seed"].values.tolist() == [4, 9, 5, 4, 9, 5]  # follows the seed
    assert history["network"].values[1] == jn.from_linen(WIDER).name
    curves = {"train_loss", "train_accuracy", "valid_loss", "valid_accuracy"}
    assert {name for name in history if history[name].dims == ("member", "epoch")} == curves
    assert set(history) - curves == {"epochs", "best_epoch", "diverged", "fault", "fault_step"}
    assert (history["epochs"] == EPOCHS).all() and not history["diverged"].any()
    paired = history.sel(member=(history.seed == 4) & (history.width == 4))
    assert paired["learning_rate"].values.tolist() == [0.1, 0.3]


def test_members_that_lack_a_number_have_none():
    runs = fit([jn.member(NET, learning_rate=0.1), jn.member(NET, learning_rate=0.1, l2=0.5)])
    np.testing.assert_array_equal(runs.history["l2"], [np.nan, 0.5])


def own_loss(outputs, batch):
    return jn.losses.get(LOSS)(outputs, batch)


def test_members_that_were_not_given_a_number_have_that_of_all():
    """Otherwise a group by it would leave them out."""
    members = [
        jn.member(NET),
        jn.member(NET, learning_rate=0.3, batch_size=3),
        jn.member(WIDER, optimizer=jn.optim.momentum(0.7)),
        jn.member(NET, optimizer="adam", loss=own_loss, seed=2, init_seed=1),
    ]
    given = {"loss": LOSS, "optimizer": jn.optim.sgd(0.1), "epochs": 1, "batch_size": 4}
    found = _coordinates(jn.make_spec(jax.random.key(0), DATA, members, **given))
    adam = dict(jn.optim.adam().defaults)
    assert found["learning_rate"].tolist() == [0.1, 0.3, 0.7, adam["learning_rate"]]
    assert found["batch_size"].tolist() == [4, 3, 4, 4]
    assert found["optimizer"].tolist() == ["sgd", "sgd", "momentum", "adam"]
    assert found["loss"].tolist() == [LOSS, LOSS, LOSS, "own_loss"]
    np.testing.assert_array_equal(found["momentum"], [np.nan, np.nan, 0.9, np.nan])
    assert found["init_seed"].tolist() == [0, 0, 0, 1]
    same_of_all = _coordinates(jn.make_spec(jax.random.key(0), DATA, members[:1], **given))
    assert set(same_of_all) == {"network", "depth", "width", "seed"}


def test_different_things_of_one_name_are_told_apart():
    networks = [
        jn.nn.MLP([4], outputs=3, activation=lambda x, k=k: jnp.tanh(k * x)) for k in (1, 2)
    ]
    optimizers = [jn.optim.sgd(0.1), jn.optim.sgd(0.1, clip_norm=1.0), jn.optim.sgd(0.2)]
    members = jn.grid(network=[NET, *networks], optimizer=optimizers)
    given = {"loss": LOSS, "epochs": 1, "batch_size": 4}
    found = _coordinates(jn.make_spec(jax.random.key(0), DATA, members, **given))
    name = members[3].network.name
    assert [str(n) for n in found["network"][::3]] == [
        members[0].network.name, f"{name} #1", f"{name} #2",
    ]  # fmt: skip
    assert found["optimizer"][:3].tolist() == ["sgd #1", "sgd #2", "sgd #1"]
    assert found["learning_rate"][:3].tolist() == [0.1, 0.1, 0.2]
    written = jn.grid(
        network=NET, optimizer=["adam", jn.optim.adam()], loss=[LOSS, jn.losses.get(LOSS)]
    )
    found = _coordinates(jn.make_spec(jax.random.key(0), DATA, written, **given))
    assert set(found["optimizer"]) == {"adam"} and set(found["loss"]) == {LOSS}


def test_schedules_are_told_apart_by_name():
    rates = [jn.schedules.cosine(9), jn.schedules.warmup(jn.schedules.linear(9), 2), None]
    members = jn.grid(network=NET, optimizer=[jn.optim.sgd(0.1, schedule=s) for s in rates])
    found = [member.coordinates["optimizer"] for member in members]
    assert found == ["sgd, cosine", "sgd, warmup linear", "sgd"]


def test_a_file_gives_the_history_back(runs: jn.Runs, tmp_path: Path):
    path = tmp_path / "history.nc"
    runs.history.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as file:
        xr.testing.assert_identical(file.load(), runs.history)


@pytest.mark.parametrize("n", [1, 7, 1001])
def test_predictions(runs: jn.Runs, n: int):
    x = np.random.default_rng(n).standard_normal((n, 3))
    found = runs.predict(x)
    assert found.shape == (6, n, 3) and found.dtype == np.float32
    for i in (0, 1, 5):
        np.testing.assert_allclose(found[i], forward(runs[i], x), atol=1e-5)
    assert np.array_equal(found[4], runs[4].predict(x))


class Parts(nn.Module):
    """Returns a dictionary of two arrays."""

    width: int = 2

    @nn.compact
    def __call__(self, x):
        return {"y": nn.Dense(self.width)(x), "sum": x.sum(-1)}


def test_predictions_of_networks_with_several_outputs():
    def loss(outputs, batch):
        return jnp.square(outputs["y"]).sum(-1)

    runs = fit(jn.grid(network=Parts(), seed=range(2)), loss=loss, metrics=[], epochs=1)
    found = runs.predict(DATA.test.x)
    assert jax.tree.map(np.shape, found) == {"y": (2, 7, 2), "sum": (2, 7)}
    np.testing.assert_array_equal(found["y"][1], runs[1].predict(DATA.test.x)["y"])
    mixed = fit(jn.grid(network=[Parts(), Parts(3)]), loss=loss, metrics=[], epochs=1)
    with pytest.raises(ValueError, match=r"predict: .* outputs of one shape, but member 0 has"):
        mixed.predict(DATA.test.x)


def test_measures_equal_numpy(runs: jn.Runs):
    for part in ("train", "valid", "test", DATA.test):
        split = getattr(DATA, part) if isinstance(part, str) else part
        found = runs.evaluate(part)
        for i in range(6):
            loss, accuracy = measures(forward(runs[i], split.x), split.y)
            np.testing.assert_allclose(found["loss"][i], loss, rtol=1e-5)
            np.testing.assert_allclose(found["accuracy"][i], accuracy, rtol=1e-6)
    chosen = runs.evaluate("test", members=[4, -6, 2])
    assert chosen["member"].values.tolist() == [4, 0, 2]
    assert chosen["width"].values.tolist() == [5, 4, 4]
    everyone = runs.evaluate()
    assert np.array_equal(chosen["loss"], everyone["loss"][[4, 0, 2]])
    best = runs.history["valid_loss"].min("epoch")
    np.testing.assert_allclose(runs.evaluate("valid")["loss"], best, rtol=1e-5)
    mine = runs.evaluate(Batch(DATA.train.x[:3], DATA.train.y[:3]), members=[0])
    np.testing.assert_allclose(
        mine["loss"], measures(forward(runs[0], DATA.train.x[:3]), DATA.train.y[:3])[0], rtol=1e-5
    )


def half(outputs: jax.Array, batch: Batch) -> jax.Array:
    return 0.5 * jn.losses.softmax_cross_entropy(outputs, batch)


def test_measures_of_members_that_chose_their_loss():
    runs = fit(jn.grid(network=NET, learning_rate=0.0, loss=[LOSS, half]), epochs=1)
    found = runs.evaluate("test")
    assert found["loss_function"].values.tolist() == runs.history["loss"].values.tolist()
    assert found["loss"][0] == 2 * found["loss"][1] > 0


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_has_a_label_beside_the_measures(choice: str):
    value = {"optimizer": "sgd", "loss": LOSS, "batch_size": 4}[choice]
    found = fit(jn.grid(network=NET, **{choice: [value]}), epochs=1).evaluate("test")
    assert {"loss", "accuracy"} <= set(found.data_vars)
    assert found["loss_function" if choice == "loss" else choice].values.tolist() == [value]


def test_measures_use_the_members_numbers():
    members = jn.grid(network=NET, learning_rate=0.0, label_smoothing=[0.0, 0.5])
    smooth = fit(members)
    logits, y = forward(smooth[0], DATA.test.x), DATA.test.y
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = 0.5 * measures(logits, y)[0] - 0.5 * logs.mean()
    np.testing.assert_allclose(smooth.evaluate("test")["loss"][1], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda r: r.evaluate("tset"), ValueError, "part: unknown name 'tset'. Did you mean"),
        (lambda r: r.evaluate(3), TypeError, "part: expected a name or a Split, got int."),
        (lambda r: r.evaluate(Batch(np.ones((2, 4)), np.zeros(2, int))), ValueError,
         "part.x: expected shape (n > 0, 3), got (2, 4)."),
        (lambda r: r.predict(np.ones((0, 3))), ValueError, "x: expected shape (n > 0, 3)"),
        (lambda r: r.predict(np.ones(3)), ValueError, "x: expected shape (n > 0, 3), got (3,)."),
    ],
)  # fmt: skip
def test_bad_parts(runs: jn.Runs, call, kind: type[Exception], message: str):
    with pytest.raises(kind) as caught:
        call(runs)
    assert message in str(caught.value)


def test_replay_is_bit_for_bit_and_compiles_nothing(runs: jn.Runs):
    with compilations() as compiled:
        for i in (0, 4, -1):
            again = runs.replay(i)
            assert len(again) == 1 and again.members[0] is runs.members[i]
            assert same(leaves(again), leaves(runs, i))
            for name in ("train_loss", "valid_accuracy", "best_epoch", "seed"):
                assert np.array_equal(again.history[name][0], runs.history[name][i])
            assert same(leaves(again.replay(0)), leaves(runs, i))
    assert compiled == []


def test_a_trained_network_stands_alone(runs: jn.Runs):
    trained = runs[1]
    assert trained.network == jn.from_linen(WIDER) and trained.precision == "highest"
    outputs, _ = trained.network.apply(
        trained.params, trained.collections, DATA.test.x, key=None, train=False
    )
    np.testing.assert_allclose(trained.predict(DATA.test.x), outputs, atol=1e-6)


def test_results_are_copies(runs: jn.Runs):
    """A later dispatch, or a later run, must not write over what a former returned."""
    before = [leaf.copy() for leaf in leaves(runs, 0)]
    fit(jn.grid(network=[NET, WIDER], learning_rate=2.0, seed=range(4)))
    assert same(before, leaves(runs, 0))


def test_seconds(runs: jn.Runs):
    assert all(g.compile_seconds > 0 and g.run_seconds > 0 for g in runs.groups)
    start = perf_counter()
    again = fit(jn.grid(network=NET, learning_rate=0.1, seed=range(2)))
    assert 0 < again.groups[0].run_seconds < perf_counter() - start


def test_rows_of_ones_own_are_checked_as_the_datas_are(runs: jn.Runs):
    x, y = np.asarray(DATA.train.x[:3]), np.asarray(DATA.train.y[:3])
    # As 32 bits these integers are all zero.
    large = np.round(10 * x).astype(np.int64) * 2**33
    found, expected, wrapped = (
        float(runs.evaluate(Batch(rows, y), members=[0])["loss"][0])
        for rows in (large, large.astype(np.float32), np.zeros_like(x))
    )
    assert found == expected != wrapped
    for wrong_x, wrong_y, message in (
        (x, y + 70, "part.y: "),
        (x, -1 - y, "part: y"),
        (np.where(x == x[0, 0], np.nan, x), y, r"part: x\[0, 0\]"),
    ):
        with pytest.raises(ValueError, match=message):
            runs.evaluate(Batch(wrong_x, wrong_y))
    with pytest.raises(TypeError, match="members: expected a list of members, got 0"):
        runs.evaluate("train", members=0)


def test_one_network_refuses_what_it_cannot_take(runs: jn.Runs):
    for wrong in (DATA.train.x[:0], DATA.train.x[:, :1]):
        with pytest.raises(ValueError, match=r"x: expected shape \(n > 0, "):
            runs[0].predict(wrong)


def test_the_programs_of_an_evaluation_are_compiled_side_by_side(monkeypatch: pytest.MonkeyPatch):
    """Each of two networks waits until the other one is being traced, too."""
    together, evaluating = threading.Barrier(2), []

    def met(outputs, batch):
        if evaluating:
            together.wait(60)
        return outputs[:, 0]

    members = jn.grid(network=[NET, WIDER], seed=range(2), learning_rate=0.1)
    runs = fit(members, metrics={"met": met})
    monkeypatch.setattr(results, "cores", lambda: 2)
    evaluating.append(True)
    found = runs.evaluate("test")
    evaluating.clear()
    for row in range(4):
        alone = runs.evaluate("test", [row])
        assert alone["met"].item() == found["met"].values[row]
        assert alone["loss"].item() == found["loss"].values[row]


def test_an_evaluation_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch):
    """Also the first members of several networks, which are evaluated in threads."""
    runs, seen, evaluate = fit(jn.grid(network=[NET, WIDER], seed=range(2))), [], results._evaluate

    def noted(*arguments):
        seen.append(jax.config.jax_default_device)
        return evaluate(*arguments)

    monkeypatch.setattr(results, "_evaluate", noted)
    with jax.default_device(jax.local_devices()[1]):
        runs.evaluate("test")
    assert seen == [jax.local_devices()[1]] * 4
