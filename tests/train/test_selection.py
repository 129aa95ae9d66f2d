"""Which weights are kept and when a run stops, record by record."""

import jax
import jax.numpy as jnp
import pytest

import jaxnets as jn
from jaxnets.train import Fault, make_recipe
from jaxnets.train.selection import Run, begin, decide, measure
from jaxnets.train.state import TrainState

NAN = float("nan")
LINE = jn.nn.MLP([], outputs=2)


def state(epoch: int) -> TrainState:
    """A state that says in its parameters and collections when it was."""
    zero = jnp.int32(0)
    return TrainState({"w": jnp.float32(epoch)}, {"n": jnp.float32(epoch)}, (), zero, zero)


def play(values: list[float], **options) -> tuple[list[bool], Run]:
    """Whether the run was active before each record, and the run at the end."""
    monitor = options.get("monitor", "valid_loss")
    recipe = make_recipe(LINE, loss="softmax_cross_entropy", **options)
    run, active = begin(recipe, state(0)), []
    for epoch, value in enumerate(values, start=1):
        active.append(bool(run.active))
        if run.active:
            run = run._replace(train=state(epoch), epoch=jnp.int32(epoch))
        run = decide(recipe, run, {monitor: jnp.float32(value)})
    return active, run


@pytest.mark.parametrize(
    ("values", "options", "kept"),
    [
        ([3, 1, 2], {"keep": "best"}, 2),
        ([3, 1, 1], {"keep": "best"}, 2),  # the first of equal ones
        ([1, NAN, 3], {"keep": "best"}, 1),
        ([NAN, NAN], {"keep": "best"}, 0),
        ([0.2, 0.9, 0.5], {"keep": "best", "monitor": "valid_accuracy"}, 2),
        ([0.0, 0.0], {"keep": "best", "monitor": "train_accuracy"}, 1),
        ([3, 1, 2], {"keep": "last"}, 3),
        ([3, 1, 2, 2, 2], {"keep": "last", "patience": 2}, 4),
        ([3, 1, 2, 2, 2], {"keep": "best", "patience": 2}, 2),
    ],
    ids=str,
)
def test_the_weights_that_are_kept(values: list[float], options: dict, kept: int):
    _, run = play(values, **options)
    params, collections = run.kept
    assert params["w"] == collections["n"] == run.kept_epoch == kept


@pytest.mark.parametrize(
    ("values", "options", "trained"),
    [
        ([3, 2, 1, 0], {}, 4),
        ([1, 2, 3, 4], {}, 4),
        ([1, 2, 3, 4], {"patience": 1}, 2),
        ([1, 2, 3, 4], {"patience": 2}, 3),
        ([2, 3, 1, 2, 3, 4], {"patience": 2}, 5),
        ([1, 1, 1], {"patience": 1}, 2),  # as good is not better
        ([NAN, NAN, NAN], {"patience": 2}, 2),
        ([0.1, 0.2, 0.1, 0.1], {"patience": 2, "monitor": "valid_accuracy"}, 4),
    ],
    ids=str,
)
def test_how_long_it_trains(values: list[float], options: dict, trained: int):
    active, run = play(values, **options)
    assert active == [True] * trained + [False] * (len(values) - trained)
    assert run.epoch == trained


def test_a_run_that_diverged_decides_nothing():
    recipe = make_recipe(LINE, loss="softmax_cross_entropy", keep="best", patience=1)
    run = decide(recipe, begin(recipe, state(1)), {"valid_loss": jnp.float32(5)})
    broken = run._replace(train=state(2)._replace(fault=jnp.int32(Fault.LOSS)), epoch=jnp.int32(9))
    after = decide(recipe, broken, {"valid_loss": jnp.float32(1)})
    assert after.best.value == 5 and after.kept[0]["w"] == 1 and not after.stopped
    assert not after.active


def test_no_second_copy_of_the_weights_unless_they_are_kept():
    def copies(**options) -> int:
        recipe = make_recipe(LINE, loss="softmax_cross_entropy", **options)
        return sum(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(begin(recipe, state(0))))

    assert copies() == 2 and copies(patience=3) == 3 and copies(keep="best") == 5


def test_the_record_names_the_part():
    recipe = make_recipe(LINE, loss="mean_squared_error")
    params, rest = recipe.network.init(jax.random.key(0), jnp.ones((1, 3)))
    now = TrainState(params, rest, (), jnp.int32(0), jnp.int32(0))
    valid = jn.data.Batch(jnp.ones((4, 3)), jnp.zeros((4, 2)))
    found = measure(recipe, now, {}, {"loss": jnp.float32(7)}, valid)
    assert set(found) == {"train_loss", "valid_loss"} and found["train_loss"] == 7
    assert set(measure(recipe, now, {}, {"loss": jnp.float32(7)}, None)) == {"train_loss"}
