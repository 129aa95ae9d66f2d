"""One pass over the data: exactly these rows, each once, the last batch at its true size."""

import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.data import Batch
from jaxnets.devices import traced_for
from jaxnets.rng import Stream, epoch_order, member_keys
from jaxnets.train import epoch, init_state, make_recipe, steps_per_epoch
from jaxnets.train.epoch import step_sizes

KEYS = member_keys(jax.random.key(6))
LINE = jn.nn.MLP([], outputs=2)
RATE = 0.1


def rows(n: int) -> Batch:
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((n, 2))
    return Batch(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))


def run(network: object, data: Batch, batch_size: int, epochs: int = 1, steps=None, **options):
    recipe = make_recipe(
        network, loss="mean_squared_error", optimizer="sgd", batch_size=batch_size, **options
    )
    hyper = recipe.defaults | {"learning_rate": RATE}
    state = init_state(recipe, KEYS, hyper, data.x[:1])
    before = state

    @jax.jit
    def one(state, number):
        return epoch(recipe, state, KEYS, hyper, data, number, steps)

    firsts = []
    for number in range(epochs):
        state, records = one(state, number)
        if "seen" in state.collections:
            firsts.append(float(state.collections["seen"]["first"]))
    return before, state, records, firsts


def numpy_descent(params, data: Batch, batch_size: int, epochs: int, shuffle: bool):
    """Float64 gradient descent on the mean squared error, row by row as an epoch should go."""
    w, b = (np.asarray(params["Dense_0"][name], np.float64) for name in ("kernel", "bias"))
    x, y = np.asarray(data.x, np.float64), np.asarray(data.y, np.float64)
    for number in range(epochs):
        order = np.arange(len(x))
        if shuffle:
            order = np.asarray(epoch_order(KEYS[Stream.ORDER], number, len(x)))
        losses = []
        for start in range(0, len(x), batch_size):
            picked = order[start : start + batch_size]
            error = x[picked] @ w + b - y[picked]
            losses.append(np.mean(error**2))
            gradient = 2 / error.size * error
            w, b = w - RATE * x[picked].T @ gradient, b - RATE * gradient.sum(0)
    return w, b, losses


@pytest.mark.parametrize(
    ("n", "batch_size", "options"),
    [
        (10, 4, {"unroll": 2}),  # the last batch has two rows
        (10, 3, {"unroll": 7}),  # it has one
        (10, 5, {"shuffle": False}),  # it is full
        (10, 1, {}),
        (1, 1, {}),
        (10, 10, {}),
    ],
    ids=str,
)
def test_gradient_descent_on_exactly_these_rows(n: int, batch_size: int, options: dict):
    data, epochs = rows(n), 3
    before, after, records, _ = run(LINE, data, batch_size, epochs, **options)
    shuffle = options.get("shuffle", True)
    w, b, losses = numpy_descent(before.params, data, batch_size, epochs, shuffle)
    np.testing.assert_allclose(after.params["Dense_0"]["kernel"], w, atol=2e-6)
    np.testing.assert_allclose(after.params["Dense_0"]["bias"], b, atol=2e-6)
    np.testing.assert_allclose(records["loss"], losses, rtol=1e-5)
    assert after.step == epochs * steps_per_epoch(n, batch_size)


def _register(n: int) -> jn.Network:
    """A network that writes down which rows it was shown: their number is the first input."""

    def init(key, x):
        state = {"seen": {"times": jnp.zeros(n), "first": jnp.float32(-1)}}
        return {"w": jnp.zeros(())}, state

    def apply(params, state, x, *, key, train):
        seen = state["seen"]
        if train:
            times = seen["times"].at[x[:, 0].astype(int)].add(1.0)
            state = {"seen": {"times": times, "first": x[0, 0]}}
        return params["w"] * x[:, 1:], state

    return jn.Network(init, apply)


def numbered(n: int) -> Batch:
    x = jnp.stack([jnp.arange(n, dtype=jnp.float32), jnp.ones(n)], axis=1)
    return Batch(x, jnp.ones((n, 1)))


@pytest.mark.parametrize("unroll", [1, 2])
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_an_epoch_cut_short(steps: int, traced: bool, unroll: int):
    given = jnp.int32(steps) if traced else steps
    _, after, records, _ = run(_register(10), numbered(10), 4, steps=given, unroll=unroll)
    times, shown = after.collections["seen"]["times"], [0, 4, 8, 10][steps]
    assert times.sum() == shown and after.step == steps
    assert (times[epoch_order(KEYS[Stream.ORDER], 0, 10)[:shown]] == 1).all()
    assert ((records["loss"] > 0) == (jnp.arange(3) < steps)).all()


@pytest.mark.parametrize(
    ("batch_size", "options", "firsts"),
    [(10, {}, {0.0}), (4, {"shuffle": False}, {8.0}), (4, {}, None)],
)
def test_every_row_once_per_epoch(batch_size: int, options: dict, firsts: set[float] | None):
    """The first row of every epoch's last batch is the same only where nobody shuffles."""
    _, after, *_, found = run(_register(10), numbered(10), batch_size, epochs=6, **options)
    assert (after.collections["seen"]["times"] == 6).all()
    assert set(found) == firsts if firsts else len(set(found)) > 2


def test_steps_per_epoch():
    assert [steps_per_epoch(n, 4) for n in (1, 3, 4, 5, 8, 9)] == [1, 1, 1, 2, 2, 3]
    for n in (1, 3, 4, 5, 8, 9):
        expected = [min(4, n - start) for start in range(0, n, 4)]
        assert step_sizes(n, 4).tolist() == expected


@pytest.mark.parametrize("traced", [False, True])
def test_rows_put_into_order_at_once_or_batch_by_batch_are_the_same_bits(traced, monkeypatch):
    steps = jnp.int32(3) if traced else None
    network = jn.nn.MLP([5], outputs=2)
    at_once = run(network, rows(10), 4, epochs=2, steps=steps)
    with traced_for("gpu"):
        on_another_device = run(network, rows(10), 4, epochs=2, steps=steps)
    monkeypatch.setattr(sys.modules["jaxnets.train.epoch"], "TOGETHER_BYTES", 10 * 5 * 4 - 1)
    too_large = run(network, rows(10), 4, epochs=2, steps=steps)
    for other in (on_another_device, too_large):
        chex.assert_trees_all_equal(other[1:3], at_once[1:3])


@pytest.mark.parametrize(("where", "within"), [("cpu", 0), ("gpu", 2)])
def test_on_a_cpu_no_step_gathers(where, within):
    data, line = rows(8), make_recipe(LINE, loss="mean_squared_error", batch_size=4)
    state = init_state(line, KEYS, line.defaults, data.x[:1])
    with traced_for(where):
        program = jax.make_jaxpr(
            lambda state, steps: epoch(line, state, KEYS, line.defaults, data, 0, steps)
        )(state, 2)
    (loop,) = (eqn for eqn in program.eqns if eqn.primitive.name == "while")
    body = str(loop.params["body_jaxpr"])
    assert body.count("= gather[") == within
