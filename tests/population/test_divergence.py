"""A member that diverges is frozen and named, alone or in lanes, and touches nobody else."""

import jax
import numpy as np
import pytest

import jaxnets as jn
from tests import fragile
from tests.small import ROOT, leaves, same

FAULTS = [
    ({"breaks": fragile.LOSS}, "loss"),
    ({"breaks": fragile.GRADIENT}, "gradient"),
    ({"breaks": fragile.UPDATE}, "update"),
    ({"burst": 1.0}, "update"),
]
HEALTHY = {"at": -1.0, "breaks": 0.0, "burst": -1.0}


def broken(at: float) -> list[jn.Member]:
    """Healthy members of seed 0 and 1 among some that fail in step ``at``, all of seed 0."""
    found = [jn.member(fragile.COUNTER, seed=0, **HEALTHY)]
    for numbers, _ in FAULTS:
        own = HEALTHY | numbers | ({"burst": at} if "burst" in numbers else {"at": at})
        found.append(jn.member(fragile.COUNTER, seed=0, **own))
    return [*found, jn.member(fragile.COUNTER, seed=1, **HEALTHY)]


def run_fragile(members: list[jn.Member], lanes: int | None, **options) -> jn.Runs:
    given = {"epochs": 4, "keep": "last", "metrics": []} | options
    return jn.fit(ROOT, fragile.DATA, members, loss=fragile.fragile, optimizer=fragile.OPTIMIZER,
                  batch_size=4, lanes=lanes, **given)  # fmt: skip


@pytest.mark.parametrize(
    ("at", "lanes"), [(0, None), (4, None), (6, None), (11, None), (4, 4), (6, 4)]
)
def test_divergence_is_named_and_touches_nobody_else(at: int, lanes: int | None):
    members = broken(float(at))
    runs = run_fragile(members, lanes)
    assert runs.diverged == [(i, at, name) for i, (_, name) in enumerate(FAULTS, start=1)]
    healthy = run_fragile([members[0], members[-1]], lanes)
    assert same(leaves(runs, 0), leaves(healthy, 0)) and same(leaves(runs, 5), leaves(healthy, 1))
    assert np.array_equal(runs.history["valid_loss"][[0, 5]], healthy.history["valid_loss"])

    epochs, within = divmod(at, fragile.STEPS)
    history = runs.history
    for i in range(1, 5):
        row = history.isel(member=i)
        assert bool(row["diverged"]) and int(row["fault_step"]) == at
        assert int(row["epochs"]) == epochs == int(row["best_epoch"])
        assert np.array_equal(row["train_loss"][:epochs], history["train_loss"][0, :epochs])
        assert (
            np.isnan(row["train_loss"][epochs:]).all()
            and np.isnan(row["valid_loss"][epochs:]).all()
        )
        params = jax.tree.leaves(runs[i].params)
        if within == 0 and epochs:  # the last finite state is that of a run that was stopped there
            stopped = run_fragile(members[:1], lanes, epochs=epochs)
            assert same(params, jax.tree.leaves(stopped[0].params))
        assert same(params, jax.tree.leaves(runs[1].params))  # however it failed
        assert runs[i].collections["count"]["n"] == at
    assert history["fault"].values.tolist() == ["", *(name for _, name in FAULTS), ""]
    assert history["fault_step"].values[[0, 5]].tolist() == [-1, -1]


def test_best_weights_survive_divergence():
    members = broken(7.0)
    runs = run_fragile(members, None, keep="best")
    curves = runs.history["valid_loss"].values[:, :2]
    for i in range(1, 5):
        best = int(np.nanargmin(curves[i])) + 1
        assert int(runs.history["best_epoch"][i]) == best
        until = run_fragile([members[i]], None, keep="last", epochs=best)
        assert same(leaves(runs, i), leaves(until)), "the best, not those at the end"
    assert len(runs.diverged) == 4


@pytest.mark.parametrize("order", [[2], [5, 4, 3, 2, 1, 0], [0, 2, 0, 2, 5, 1, 3, 4, 2, 0]])
def test_places_and_neighbours_do_not_matter_in_lanes(order: list[int]):
    """Two workers share them, four lanes at a time, and padding."""
    members = broken(4.0)
    runs = run_fragile(members, 4)
    others = run_fragile([members[i] for i in order], 4)
    program = others.plan.programs[0]
    assert (program.lanes, program.turns) == (4, 16)
    assert program.pieces == (1 if len(order) <= 4 else 2)
    for place, i in enumerate(order):
        assert same(leaves(others, place), leaves(runs, i))
        for name in ("train_loss", "valid_loss", "fault_step"):
            assert np.array_equal(
                others.history[name][place], runs.history[name][i], equal_nan=True
            )
    replayed = runs.replay(2)
    assert same(leaves(replayed), leaves(runs, 2)) and replayed.diverged == [(0, 4, "gradient")]


def test_steps_that_were_made_are_counted():
    members = broken(4.0)
    (group,) = run_fragile(members, None).groups
    whole = 4 * fragile.STEPS
    assert group.member_steps == 2 * whole + 4 * 4 < len(members) * whole
