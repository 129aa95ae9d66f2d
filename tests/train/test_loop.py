"""A whole run as a pure function: jit, vmap, grad, and the same results as a population's."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.train import Fault, make_train
from tests import fragile
from tests.small import BATCH, DATA, EPOCHS, LOSS, NET, ROOT, compilations, fit, leaves, regression

KEY = jax.random.fold_in(ROOT, 0)


@functools.cache
def compiled(**options):
    """Compiled once for all tests that ask for it: ``(key, learning_rate) -> (run, history)``."""
    train = small(**options)
    return jax.jit(lambda key, rate: train(key, {"learning_rate": rate}))


def small(**options):
    given = {"loss": LOSS, "optimizer": "sgd", "batch_size": BATCH}
    if "steps" not in options:
        given["epochs"] = EPOCHS
    return make_train(NET, DATA.train, DATA.valid, **(given | options))


def test_mapped_over_keys_and_numbers_it_is_what_a_population_does():
    runs = fit(jn.grid(network=NET, learning_rate=[0.1, 0.5], seed=[0, 1]), keep="last")
    train = small()
    keys = jnp.stack([jax.random.fold_in(ROOT, m.seeds["seed"]) for m in runs.members])
    rates = jnp.array([m.numbers["learning_rate"] for m in runs.members])
    run, history = jax.jit(jax.vmap(lambda k, rate: train(k, {"learning_rate": rate})))(keys, rates)
    for row in range(4):
        kept = jax.tree.leaves(jax.tree.map(lambda leaf, row=row: leaf[row], run.kept))
        for ours, theirs in zip(leaves(runs, row), kept, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for name, values in history.items():
        np.testing.assert_allclose(runs.history[name], values, atol=1e-5)
    assert run.epoch.tolist() == [EPOCHS] * 4 and run.train.step.tolist() == [3 * EPOCHS] * 4

    _, per_step = compiled(every="step")(KEY, 0.1)
    assert per_step["loss"].shape == (3 * EPOCHS,) and set(per_step) == {"loss", "accuracy"}
    means = np.asarray(per_step["loss"]).reshape(EPOCHS, 3) @ [0.4, 0.4, 0.2]
    np.testing.assert_allclose(history["train_loss"][0], means, rtol=1e-5)


def test_gradients_through_training_equal_finite_differences():
    data = regression()
    train = make_train(
        jn.nn.MLP([], outputs=2), data.train, loss="mean_squared_error",
        optimizer="momentum", epochs=4, batch_size=4,
    )  # fmt: skip

    def final(numbers):
        return train(KEY, numbers)[1]["train_loss"][-1]

    at = {
        name: jnp.float32(v) for name, v in (("learning_rate", 0.1), ("momentum", 0.5), ("l2", 0.1))
    }
    value, slopes = jax.jit(jax.value_and_grad(final))(at)
    run = jax.jit(final)
    for name, slope in slopes.items():
        step = 0.005
        above, below = run({**at, name: at[name] + step}), run({**at, name: at[name] - step})
        assert abs(slope) > 1e-2 * value
        np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=0.02, err_msg=name)


def test_a_number_of_steps_cuts_the_last_epoch():
    _, long = compiled(every="step")(KEY, 0.1)
    run, short = compiled(steps=7, every="step")(KEY, 0.1)
    assert run.train.step == 7 and run.epoch == 2
    np.testing.assert_allclose(short["loss"], long["loss"][:7], rtol=1e-5)
    for steps, epochs in ((2, 0), (3, 1), (7, 2)):
        _, records = jax.eval_shape(small(steps=steps), KEY)
        assert records["valid_loss"].shape == (epochs,)


def test_a_stopped_run_stays_stopped_in_a_last_incomplete_epoch():
    run, records = compiled(steps=11, patience=1, every="step")(KEY, 2.0)
    assert run.stopped and run.epoch == EPOCHS and run.train.step == 3 * EPOCHS
    before, healthy = compiled(every="step")(KEY, 2.0)
    np.testing.assert_allclose(records["loss"][:9], healthy["loss"], rtol=1e-5)
    assert np.isnan(records["loss"][9:]).all()
    for a, b in zip(jax.tree.leaves(run.kept), jax.tree.leaves(before.kept), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@functools.cache
def breaking(steps: int):
    train = make_train(
        fragile.COUNTER, fragile.DATA.train, loss=fragile.fragile, metrics=[], steps=steps,
        optimizer=fragile.OPTIMIZER, batch_size=4, every="step",
    )  # fmt: skip
    return jax.jit(lambda numbers: train(KEY, numbers))


@pytest.mark.parametrize(
    ("breaks", "burst", "fault"),
    [
        (fragile.LOSS, -1.0, Fault.LOSS),
        (fragile.GRADIENT, -1.0, Fault.GRADIENT),
        (fragile.UPDATE, -1.0, Fault.UPDATE),
        (0.0, 4.0, Fault.UPDATE),
    ],
)
def test_divergence(breaks: float, burst: float, fault: Fault):
    numbers = {"at": 4.0, "breaks": breaks, "burst": burst}
    run, records = breaking(8)(numbers)
    assert run.train.fault == fault and run.train.step == 4 and run.epoch == 1
    assert not run.active
    before, healthy = breaking(4)(numbers)
    assert before.train.fault == Fault.NONE
    for a, b in zip(jax.tree.leaves(run.kept[0]), jax.tree.leaves(before.kept[0]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    np.testing.assert_allclose(records["loss"][:4], healthy["loss"], rtol=1e-5)
    assert np.isnan(records["loss"][4:]).all()


def test_a_run_that_trains_no_more_has_no_news_of_the_validation_part():
    """Neither who has stopped nor who has diverged, in the middle of an epoch."""
    run, history = compiled(patience=2, epochs=6)(KEY, 0.0)  # nothing is learned at a rate of zero
    assert run.stopped and run.epoch == 3
    train = make_train(
        fragile.COUNTER, fragile.DATA.train, fragile.DATA.valid, loss=fragile.fragile, metrics=[],
        epochs=4, optimizer=fragile.OPTIMIZER, batch_size=4,
    )  # fmt: skip
    at = float(fragile.STEPS + 1)
    broken, lost = jax.jit(train)(KEY, {"at": at, "breaks": fragile.LOSS, "burst": -1.0})
    assert broken.train.fault == Fault.LOSS and broken.epoch == 1
    for epochs, records in ((3, history), (1, lost)):
        for name, values in records.items():
            assert np.isfinite(values[:epochs]).all() and np.isnan(values[epochs:]).all(), name


def test_traced_data():
    """Training inside a function of the data; at a rate of zero the derivative is known."""

    def final(shift):
        data = jn.data.Batch(DATA.train.x, jnp.asarray(DATA.train.x[:, :1]) + shift)
        train = make_train(
            jn.nn.MLP([], 1),
            data,
            loss="mean_squared_error",
            optimizer="sgd",
            epochs=1,
            batch_size=5,
        )
        run, history = train(KEY, {"learning_rate": 0.0})
        return history["train_loss"][-1], run.kept[0]["Dense_0"]["kernel"]

    slope, kernel = jax.jit(jax.grad(final, has_aux=True))(1.0)
    error = DATA.train.x @ np.asarray(kernel) - DATA.train.x[:, :1] - 1.0
    np.testing.assert_allclose(slope, -2 * error.mean(), rtol=1e-4)


BAD_DATA = [
    (None, TypeError, "train: expected something with x and y"),
    ((np.ones((4, 3)), np.ones(4)), TypeError, "train: expected something with x and y"),
    (jn.data.Batch(np.ones((4, 3)), np.zeros(3, int)), ValueError, "same number of rows"),
    (jn.data.Batch(np.ones((4, 3)), np.full(4, 3)), ValueError, "train.y: softmax_cross_entropy: "
     "expected labels in 0..2, got 3 in row 0"),
    (jn.data.Batch(np.full((4, 3), np.inf), np.zeros(4, int)), ValueError, "is inf"),
    (jn.data.Batch(np.ones(4), np.zeros(4, int)), ValueError, "x must have rank 2"),
    (jn.data.Batch(np.ones((3, 3)), np.zeros(3, int)), ValueError, "batch_size: expected at most "
     "the 3 training examples, got 4."),
]  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "message"), BAD_DATA, ids=[m for _, _, m in BAD_DATA])
def test_bad_data(data: object, kind: type[Exception], message: str):
    with pytest.raises(kind) as caught, compilations() as compiled:
        make_train(NET, data, loss=LOSS, batch_size=4, epochs=1)
    assert message in str(caught.value) and not compiled


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"epochs": None}, ValueError, "epochs, steps: expected one of them, got None and None."),
        ({"epochs": 1, "steps": 1}, ValueError, "expected one of them, got 1 and 1."),
        ({"epochs": 0}, ValueError, "epochs: expected at least 1, got 0."),
        ({"epochs": 1.5}, TypeError, "epochs: expected an integer, got float 1.5."),
        ({"steps": -1}, ValueError, "steps: expected at least 1, got -1."),
        ({"steps": True}, TypeError, "steps: expected an integer, got bool True."),
        ({"every": "epochs"}, ValueError, "every: unknown name 'epochs'. Did you mean 'epoch'?"),
        ({"valid": None, "patience": 2}, ValueError, "valid: monitor='valid_loss' needs a valid"),
        ({"valid": None, "keep": "best"}, ValueError, "valid: monitor='valid_loss' needs a valid"),
        ({"valid": 3}, TypeError, "valid: expected something with x and y"),
        ({"network": jn.nn.MLP([4], outputs=2)}, ValueError, "expected labels in 0..1, got 2"),
        ({"loss": "mean_squared_error"}, ValueError, "train.y: mean_squared_error: expected"),
    ],
    ids=str,
)
def test_bad_arguments(options: dict, kind: type[Exception], message: str):
    given = {"network": NET, "valid": DATA.valid, "loss": LOSS, "batch_size": 4} | options
    if not {"epochs", "steps"} & set(options):
        given["epochs"] = 1
    with pytest.raises(kind) as caught:
        make_train(given.pop("network"), DATA.train, given.pop("valid"), **given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("key", "hyper", "kind", "message"),
    [
        (0, {}, TypeError, "key: expected a typed key"),
        (jax.random.split(KEY), {}, ValueError, "key: expected one key"),
        (KEY, {"learning_rat": 1.0}, ValueError, "Did you mean 'learning_rate'?"),
        (KEY, {"momentum": jnp.float32(1.0)}, ValueError, "unknown name 'momentum'"),
        (KEY, {"learning_rate": "0.1"}, TypeError, "learning_rate: expected a real number"),
        (KEY, {"learning_rate": float("nan")}, ValueError, "learning_rate: expected a finite"),
        (KEY, {"learning_rate": -1.0}, ValueError, "learning_rate: expected a finite number in [0"),
        (
            KEY,
            {"learning_rate": jnp.float32(-1)},
            ValueError,
            "expected a finite number in [0, inf)",
        ),
        (KEY, {"learning_rate": jnp.array(True)}, TypeError, "expected a real number"),
        (KEY, {"learning_rate": jnp.ones(2)}, ValueError, "learning_rate: expected a scalar"),
        (KEY, {"l2": 1e39}, ValueError, "l2: expected a finite number"),
    ],
    ids=str,
)
def test_bad_keys_and_numbers(key, hyper, kind: type[Exception], message: str):
    with pytest.raises(kind) as caught:
        small()(key, hyper)
    assert message in str(caught.value)


def test_fewer_steps_than_an_epoch_have_no_best():
    data = jn.data.Batch(jnp.ones((10, 3)), jnp.zeros(10, jnp.int32))

    def make(**options):
        return make_train(
            jn.nn.MLP([4], outputs=2), data, data, loss="softmax_cross_entropy", batch_size=4,
            **options,
        )  # fmt: skip

    with pytest.raises(ValueError, match="steps: expected at least the 3 of an epoch, got 2: with"):
        make(steps=2, keep="best")
    assert int(make(steps=2)(jax.random.key(0))[0].train.step) == 2
    assert int(make(steps=3, keep="best")(jax.random.key(0))[0].kept_epoch) == 1


@pytest.mark.parametrize(("network", "rows", "warned"), [
    (jn.nn.MLP([4], 3, norm="batch"), 9, True),
    (jn.nn.MLP([4], 3, norm="batch"), 10, False),
    (jn.nn.MLP([4], 3), 9, False),
    (jn.nn.MLP([4], 3, norm="layer"), 9, False),
])  # fmt: skip
def test_a_last_batch_of_one_is_told_where_batches_are_normalised(network, rows: int, warned: bool):
    part = DATA.train.x[:rows], DATA.train.y[:rows]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        make_train(network, jn.data.Batch(*part), loss=LOSS, epochs=1, batch_size=4)
    told = [str(one.message) for one in said]
    assert len(told) == warned and all("with 4 of 9 training examples" in text for text in told)
