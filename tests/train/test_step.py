"""One step: against NumPy, and refused when it would not be finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.data import Batch
from jaxnets.rng import Stream, member_keys
from jaxnets.train import Fault, init_state, make_recipe, step
from jaxnets.train.step import attempted_step, finite
from tests import fragile

KEYS = member_keys(jax.random.key(4))
LINE = jn.nn.MLP([], outputs=2)


def batch(n: int = 5) -> Batch:
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((n, 2))
    return Batch(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))


def one(rows: Batch, augment=None, **numbers: float):
    recipe = make_recipe(LINE, loss="mean_squared_error", optimizer="sgd", augment=augment)
    hyper = recipe.defaults | {"learning_rate": 0.1} | numbers
    before = init_state(recipe, KEYS, hyper, rows.x[:1])
    return before, *step(recipe, before, rows, KEYS, hyper)


def numpy_step(params, x, y, rate=0.1, l1=0.0, l2=0.0):
    w, b = (np.asarray(params["Dense_0"][name], np.float64) for name in ("kernel", "bias"))
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    error = x @ w + b - y
    gradient = 2 / error.size * error
    loss = np.mean(error**2)
    w_gradient = x.T @ gradient + l1 * np.sign(w) + 2 * l2 * w
    return w - rate * w_gradient, b - rate * gradient.sum(0), loss


def check(before, after, record, x, y, **numbers):
    w, b, loss = numpy_step(before.params, x, y, **numbers)
    np.testing.assert_allclose(after.params["Dense_0"]["kernel"], w, atol=1e-6)
    np.testing.assert_allclose(after.params["Dense_0"]["bias"], b, atol=1e-6)
    np.testing.assert_allclose(record["loss"], loss, rtol=1e-5)
    assert after.step == before.step + 1 and after.fault == Fault.NONE


def test_gradient_descent():
    rows = batch()
    check(*one(rows), rows.x, rows.y)


@pytest.mark.parametrize("numbers", [{"l1": 0.3}, {"l2": 0.2}, {"l1": 0.1, "l2": 0.4}])
def test_penalties_act_on_kernels_and_are_not_in_the_record(numbers: dict[str, float]):
    rows = batch()
    check(*one(rows, **numbers), rows.x, rows.y, **numbers)


def test_noise_is_drawn_from_its_own_stream_and_spares_the_targets():
    rows = batch()
    rows = Batch(rows.x, rows.x[:, :2])
    noise = jax.random.normal(jax.random.fold_in(KEYS[Stream.NOISE], 0), rows.x.shape)
    check(*one(rows, noise_sigma=0.5), rows.x + 0.5 * noise, rows.y)


def test_augmentation_gets_a_key_of_its_own_and_comes_before_the_noise():
    rows, seen = batch(), []

    def augment(key, x):
        seen.append(key)
        return 2 * x

    noise = jax.random.normal(jax.random.fold_in(KEYS[Stream.NOISE], 0), rows.x.shape)
    found = one(rows, augment=augment, noise_sigma=0.5)
    check(*found, 2 * rows.x + 0.5 * noise, rows.y)
    assert seen == [jax.random.fold_in(KEYS[Stream.AUGMENT], 0)]


def fragile_step(optimizer: object, state_change=lambda s: s, check=None, **numbers: float):
    recipe = make_recipe(fragile.COUNTER, loss=fragile.fragile, optimizer=optimizer)
    hyper = recipe.defaults | {"learning_rate": 0.1, "burst": -1.0} | numbers
    rows = Batch(*map(jnp.asarray, fragile.rows(4)))
    state = state_change(init_state(recipe, KEYS, hyper, rows.x[:1]))

    @jax.jit
    def run(state, check):
        if check is None:
            return step(recipe, state, rows, KEYS, hyper)[0]
        new, _, fault = attempted_step(recipe, state, rows, KEYS, hyper, check)
        return new._replace(fault=fault)

    return state, run(state, check if check is None else jnp.bool_(check))


FAULTS = [
    ({"breaks": fragile.LOSS, "at": 0.0}, "sgd", Fault.LOSS),
    ({"breaks": fragile.GRADIENT, "at": 0.0}, "sgd", Fault.GRADIENT),
    ({"breaks": fragile.UPDATE, "at": 0.0}, "adam", Fault.UPDATE),
    ({"breaks": fragile.UPDATE, "at": 0.0, "learning_rate": 1e12}, "sgd", Fault.UPDATE),
    ({"burst": 0.0}, "sgd", Fault.UPDATE),
]


@pytest.mark.parametrize(("numbers", "optimizer", "fault"), FAULTS, ids=str)
def test_what_is_not_finite_is_refused_and_named(numbers, optimizer, fault):
    before, after = fragile_step(optimizer, **numbers)
    assert after.fault == fault
    expected = before._replace(fault=after.fault)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, after, expected))


def test_a_run_that_failed_never_moves_again():
    failed, after = fragile_step("adam", lambda s: s._replace(fault=jnp.int32(Fault.GRADIENT)))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, after, failed))


def test_an_attempted_step_sees_all_if_asked():
    for numbers, optimizer, fault in FAULTS:
        _, after = fragile_step(optimizer, check=True, **numbers)
        assert after.fault == fault and after.step == 1


def test_an_unchecked_step_sees_the_loss_and_what_does_not_stay():
    assert fragile_step("sgd", check=False, **FAULTS[0][0])[1].fault == Fault.LOSS
    assert fragile_step("sgd", check=False, **FAULTS[4][0])[1].fault == Fault.UPDATE
    _, late = fragile_step("adam", check=False, **FAULTS[2][0])
    assert late.fault == Fault.NONE and not finite(late)


def test_a_gradient_is_not_refused_for_its_size():
    too_large = FAULTS[2][0]
    _, after = fragile_step(jn.optim.adam(clip_value=1.0), clip_value=1.0, **too_large)
    assert after.fault == Fault.NONE and after.step == 1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_finite(dtype):
    good = {
        "a": jnp.full((2, 3), jnp.finfo(dtype).max, dtype),
        "n": jnp.int32(3),
        "e": jnp.zeros(0),
    }
    assert finite(good) and finite({}) and finite({"n": jnp.int32(3)})
    assert finite({"a": -good["a"], "tiny": jnp.finfo(jnp.float32).smallest_subnormal})
    for value in (np.nan, -np.nan, np.inf, -np.inf):
        assert not finite({**good, "b": jnp.asarray([[0, 0], [value, 0]], dtype)})


@pytest.mark.parametrize(
    ("loss", "metrics", "message"),
    [
        (
            lambda o, b: jnp.mean(o),
            None,
            "loss: <lambda>: expected one number per example, shape (5,)",
        ),
        (lambda o, b: o, None, "got shape (5, 2)"),
        (lambda o, b: 0.0, None, "got shape ()"),
        ("mean_squared_error", {"peak": lambda o, b: jnp.max(o)}, "metrics: peak: expected one"),
    ],
)
def test_losses_and_metrics_return_one_number_per_example(loss, metrics, message: str):
    recipe = make_recipe(LINE, loss=loss, metrics=metrics, optimizer="sgd")
    rows = batch()
    before = init_state(recipe, KEYS, recipe.defaults, rows.x[:1])
    with pytest.raises(ValueError) as caught:
        step(recipe, before, rows, KEYS, recipe.defaults)
    assert message in str(caught.value)
    with pytest.raises(ValueError) as caught:
        jn.train.evaluate(recipe, before.params, {}, recipe.defaults, rows)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (lambda key, x: None, r"augment: expected .* float32 of shape \(12, 12\), got NoneType"),
        (lambda key, x: x[:3], r"augment: expected .*, got float32 of shape \(3, 12\)"),
        (lambda key, x: x[:, :3], r"augment: expected .*, got float32 of shape \(12, 3\)"),
        (lambda x, key: x + 1, r"augment: expected a function \(key, x\) -> x: "),
        (
            lambda batch, key: batch.x,
            r"augment: expected a function \(key, x\) -> x: .* no attribute x",
        ),
        (lambda key, x: x > 0, r"augment: expected .*, got bool of shape \(12, 12\)"),
    ],
)
def test_an_augmentation_that_gives_something_else(augment, message):
    data = jn.data.Dataset.from_splits(train=(np.eye(12), np.arange(12) % 2), valid=None, test=None)
    with pytest.raises((ValueError, TypeError), match=message):
        jn.fit(
            jax.random.key(0), data, jn.nn.MLP([3], outputs=2), loss="softmax_cross_entropy",
            epochs=1, batch_size=12, augment=augment,
        )  # fmt: skip
