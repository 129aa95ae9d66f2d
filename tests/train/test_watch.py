"""The epoch that looks only when it must: the same as one that looks at every step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.data import Batch
from jaxnets.rng import member_keys
from jaxnets.train import Fault, init_state, make_recipe, selection
from jaxnets.train.loop import one_epoch
from jaxnets.train.watch import watched, watched_epoch
from tests import fragile

ROWS = Batch(*map(jnp.asarray, fragile.rows(18)))  # four batches of four, one of two
RECIPE = make_recipe(
    fragile.COUNTER, loss=fragile.fragile, optimizer="adam", batch_size=4, metrics=[]
)
QUIET = {"learning_rate": 0.1, "burst": -1.0, "breaks": 0.0, "at": -1.0}
KINDS = {
    "healthy": ({}, Fault.NONE),
    "loss": ({"breaks": fragile.LOSS}, Fault.LOSS),
    "gradient": ({"breaks": fragile.GRADIENT}, Fault.GRADIENT),
    "collection": ({"burst": None}, Fault.UPDATE),
}


def numbers(kind: str, at: int) -> dict[str, float]:
    """What breaks in step ``at``."""
    given = QUIET | {"at": float(at)} | KINDS[kind][0]
    return given | ({"burst": float(at)} if given["burst"] is None else {})


def beginning(seed, hyper):
    keys = member_keys(jax.random.fold_in(jax.random.key(8), seed))
    return selection.begin(RECIPE, init_state(RECIPE, keys, hyper, ROWS.x[:1])), keys


@functools.cache
def walker(axis: str | None):
    """``epochs`` epochs of one run, or of several along ``axis``."""

    def one(seed, hyper, going):
        run, keys = beginning(seed, RECIPE.defaults | hyper)
        return watched_epoch(RECIPE, run, keys, RECIPE.defaults | hyper, ROWS, going, axis)

    return jax.jit(one if axis is None else jax.vmap(one, axis_name=axis))


@jax.jit
def reference(seed, hyper):
    run, keys = beginning(seed, RECIPE.defaults | hyper)
    return one_epoch(RECIPE, run, keys, RECIPE.defaults | hyper, ROWS)[:2]


def compare(found, expected) -> None:
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("at", [0, 1, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_one_run(kind: str, at: int):
    hyper = numbers(kind, at)
    run, means = walker(None)(1, hyper, True)
    compare((run, means), reference(1, hyper))
    fault = KINDS[kind][1]
    assert run.train.fault == fault and run.train.step == (at if fault else 5)
    assert run.epoch == (0 if fault else 1) and np.isnan(means["loss"]) == bool(fault)


def test_lanes_walk_together_and_end_where_they_would_alone():
    cases = [("healthy", 0), ("loss", 3), ("gradient", 1), ("collection", 3), ("loss", 0)]
    each = [numbers(*case) for case in cases]
    stacked = {name: jnp.array([one[name] for one in each]) for name in QUIET}
    seeds = jnp.arange(len(cases))
    found = walker("lane")(seeds, stacked, jnp.ones(len(cases), bool))
    for lane, hyper in enumerate(each):
        own = jax.tree.map(lambda leaf, lane=lane: leaf[lane], found)
        compare(own, reference(lane, hyper))


def test_a_second_walk_that_ends_well_is_taken():
    """As on a device that does not repeat itself to the bit."""
    state = init_state(RECIPE, member_keys(jax.random.key(0)), RECIPE.defaults, ROWS.x[:1])
    blank = {"loss": jnp.zeros(3), "fault ": jnp.zeros(3, jnp.int32)}

    def walk(steps, search):
        found = blank | {"loss": jnp.where(search, 2.0, jnp.nan) * jnp.ones(3)}
        bad = jnp.where(search, Fault.NONE, Fault.LOSS).astype(jnp.int32)
        return state._replace(step=state.step + steps), found | {"fault ": blank["fault "] + bad}

    ended, records = jax.jit(lambda: watched(walk, state, blank, jnp.bool_(True), jnp.int32(3)))()
    assert ended.step == 3 and ended.fault == Fault.NONE
    assert records["loss"].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("axis", [None, "lane"])
def test_a_run_that_takes_no_part_does_not_change(axis: str | None):
    hyper = numbers("loss", 2)
    before, _ = beginning(1, RECIPE.defaults | hyper)
    if axis is None:
        run, means = walker(axis)(1, hyper, False)
    else:
        stacked = {name: jnp.array([value] * 2) for name, value in hyper.items()}
        found = walker(axis)(jnp.array([1, 2]), stacked, jnp.array([False, True]))
        assert found[0].train.step.tolist() == [0, 2]
        run, means = jax.tree.map(lambda leaf: leaf[0], found)
    compare(run, before)
    assert np.isnan(means["loss"])
