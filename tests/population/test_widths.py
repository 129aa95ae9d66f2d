"""Networks of different widths in one program: the same training, independent members, one plan."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import jaxnets as jn
from jaxnets.nn.hyper import hyperparameter
from jaxnets.population.widths import trimmed
from tests.small import BATCH, DATA, LOSS, compilations, fit, leaves, regression, same

MLP = jn.nn.MLP
optim = jn.optim
WIDTHS = ([2, 3], [9, 4])
ROWS = jn.data.Batch(DATA.train.x, DATA.train.y)

# Not a normalisation of the batch with an optimizer that divides by the gradient's own size: the
# bias before it has gradient zero but for rounding, and Adam makes whole steps of that.
CASES = {
    "sgd": (
        {"activation": "prelu", "kernel_init": "torch_uniform", "bias_init": "torch_uniform"},
        optim.sgd(0.1, clip_norm=0.5, weight_decay=0.01),
        {"l1": 0.01, "l2": 0.02, "noise_sigma": 0.1},
    ),
    "momentum": (
        {"activation": "elu", "norm": "batch", "dropout_rate": 0.2, "dropconnect_rate": 0.3},
        optim.momentum(0.1, 0.9, clip_value=0.05),
        {"dropout_rate": 0.4},
    ),
    "adam": (
        {"activation": "sigmoid", "norm": "layer"},
        optim.adam(0.01, clip_norm=0.1, schedule=jn.schedules.cosine(9)),
        {},
    ),
    "adamw": (
        {"activation": "tanh", "kernel_init": "glorot_uniform"},
        optim.adamw(0.01, weight_decay=0.1, clip_adaptive=0.01),
        {"init_gain": 0.5},
    ),
    "rmsprop": ({"activation": "softplus"}, optim.rmsprop(0.01), {"l2": 0.01}),
    "adagrad": ({"bias_init": "ones", "norm": "layer"}, optim.adagrad(0.1), {}),
}


def members(fields: dict[str, Any] | None = None, **numbers: float) -> list[jn.Member]:
    networks = [MLP(widths, 3, **(fields or {})) for widths in WIDTHS]
    return jn.grid(network=networks, seed=[0, 3], **numbers)


def trained(
    network: Any, optimizer: Any, numbers: dict[str, float], *, rows: Any, loss: Any, steps: int
) -> tuple[Any, list[float]]:
    """Weights after so many steps and the losses of these, without a population."""
    recipe = jn.train.make_recipe(network, loss=loss, optimizer=optimizer, batch_size=BATCH)
    keys = jn.rng.member_keys(jax.random.key(2))
    numbers = recipe.defaults | numbers
    state = jax.jit(lambda x: jn.train.init_state(recipe, keys, numbers, x))(rows.x)
    step = jax.jit(lambda state, batch: jn.train.step(recipe, state, batch, keys, numbers))
    losses = []
    for _ in range(steps):
        state, record = step(state, rows)
        losses.append(float(record["loss"]))
    assert int(state.fault) == 0
    return (state.params, state.collections), losses


@pytest.mark.parametrize("name", CASES)
def test_padded_and_exact_widths_train_alike(name: str):
    fields, optimizer, numbers = CASES[name]
    check_alike(MLP([9, 4], 3, **fields), optimizer, numbers)


def check_alike(
    module: jn.nn.MLP,
    optimizer: Any,
    numbers: dict[str, float],
    rows: Any = ROWS,
    loss: Any = LOSS,
    steps: int = 4,
) -> Any:
    wide, units = module.padded()
    how = {"rows": rows, "loss": loss, "steps": steps}
    exact, losses = trained(module, optimizer, numbers, **how)
    weights, wide_losses = trained(wide, optimizer, numbers | units, **how)
    networks = jn.from_linen(module), jn.from_linen(wide)
    compare(trimmed(*networks, rows.x.shape[1:], weights), exact)
    np.testing.assert_allclose(wide_losses, losses, rtol=2e-5, atol=1e-7)
    check_zero(weights[0], exact[0])
    return exact


def compare(ours: Any, true: Any) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(true)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(true), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def check_zero(wide: Any, true: Any) -> None:
    """What is not real is zero to the last: it never took part."""
    found = dict(jax.tree_util.tree_leaves_with_path(wide))
    for path, leaf in jax.tree_util.tree_leaves_with_path(true):
        rest = np.array(found[path])
        rest[tuple(slice(n) for n in leaf.shape)] = 0.0
        assert not rest.any(), path


def test_what_a_padded_population_returns_is_the_true_networks():
    everyone = members({"activation": "sigmoid", "norm": "batch", "dropout_rate": 0.1})
    exact = fit(everyone)
    padded = fit(everyone, widths="padded")
    assert (len(exact.groups), len(padded.groups)) == (2, 1)
    for i in range(len(everyone)):
        assert padded[i].network == exact[i].network
        ours, true = padded[i], exact[i]
        compare((ours.params, ours.collections), (true.params, true.collections))
        check_zero(jax.tree.map(lambda a, i=i: a[i], padded.groups[0].kept[0]), true.params)
    for variable in ("train_loss", "valid_loss", "valid_accuracy"):
        np.testing.assert_allclose(padded.history[variable], exact.history[variable], rtol=2e-5)
    assert padded.history.coords.equals(exact.history.coords)
    xs = DATA.test.x
    np.testing.assert_allclose(padded.predict(xs), exact.predict(xs), rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(
        padded.evaluate("test")["loss"], exact.evaluate("test")["loss"], rtol=1e-4
    )


def check_independence(**options: Any) -> None:
    everyone = members({"dropout_rate": 0.2, "norm": "layer"}, learning_rate=0.1)
    runs = fit(everyone, widths="padded", **options)
    before = [leaves(runs, i) for i in range(len(everyone))]
    for order in ([3, 0], [2], [1, 3, 2]):
        others = fit([everyone[i] for i in order], widths="padded", **options)
        for place, i in enumerate(order):
            assert same(before[i], leaves(others, place)), (i, order)
    assert same(before[3], leaves(runs.replay(3)))
    poisoned = [*everyone[:2], jn.member(everyone[2].network, learning_rate=1e38), *everyone[2:]]
    others = fit(poisoned, widths="padded", **options)
    assert [row for row, _, _ in others.diverged] == [2]
    assert same(before[2], leaves(others, 3))


@pytest.mark.optimized
def test_a_padded_member_does_not_depend_on_its_neighbours_optimized():
    check_independence()


def test_a_padded_member_does_not_depend_on_its_neighbours_in_many_lanes():
    check_independence(lanes=3)


def test_a_width_of_the_ladder_is_padded_like_the_others():
    """Whether a member is padded must not depend on whether it would be wider."""
    (program,) = planned([jn.member(MLP([32], 3)), jn.member(MLP([5], 3))]).programs
    (alone,) = planned([jn.member(MLP([32], 3))]).programs
    assert alone.group.recipe.network == program.group.recipe.network
    assert alone.group.recipe.network != jn.from_linen(MLP([32], 3))


def test_many_widths_are_one_compilation():
    everyone = [jn.member(MLP([w, w + 1], 3, "selu"), learning_rate=0.1) for w in range(1, 12)]
    with compilations() as compiled:
        fit(everyone, widths="padded")
    assert sum("chunk" in name or "over" in name for name in compiled) == 2, compiled
    with compilations() as compiled:
        fit([jn.member(MLP([w, 30], 3, "selu"), learning_rate=0.1) for w in (12, 31)],
            widths="padded")  # fmt: skip
    assert not any("chunk" in name or "over" in name for name in compiled), compiled


class Scaled(nn.Module):
    """A number of its own decides its initial weights: no width."""

    scale: float = 1.0

    @property
    def numbers_at_init(self):
        return ("scale",)

    @nn.compact
    def __call__(self, x, train=False):
        scale = hyperparameter(self, "scale", self.scale)
        start = self.param("start", lambda key: jnp.ones(3) * scale)
        return jn.nn.MLP([4], 3)(x) + start[None]


def test_a_number_for_the_initial_weights_is_no_width():
    plan = planned([jn.member(Scaled(), scale=0.1), jn.member(Scaled(), scale=0.5)], widths="exact")
    assert "width" not in words(plan) and "Scaled()" in words(plan)


def test_the_plan_says_who_shares_and_what_it_wastes():
    plan = planned([*members(), jn.member(MLP([40, 7], 3))])
    first, second = plan.programs
    assert "for widths 2-3, 9-4; " in words(plan)
    assert "for widths 40-7; " in words(plan)
    # 3-2-3-3 and 3-9-4-3 in 3-32-32-3, by their kernels.
    wide = 3 * 32 + 32 * 32 + 32 * 3
    true = (3 * 2 + 2 * 3 + 3 * 3) + (3 * 9 + 9 * 4 + 4 * 3)
    assert first.wasted == pytest.approx(1 - true / (2 * wide))
    assert f"{first.wasted:.0%} of it padding" in words(plan)
    assert second.wasted == pytest.approx(
        1 - (3 * 40 + 40 * 7 + 7 * 3) / (3 * 96 + 96 * 32 + 32 * 3)
    )


def own_loss(outputs: Any, batch: Any, *, units_0: float = 1.0) -> Any:
    return units_0 * jnp.mean(jnp.square(outputs - batch.y), axis=-1)


NOT_PADDED = {
    "drawn entry by entry": ({"kernel_init": "orthogonal"}, {}),
    "adam with an eps of 0": ({}, {"optimizer": optim.adam(0.01, eps=0.0)}),
    "not known to leave zeros": ({}, {"optimizer": optax.sgd(0.1)}),
    "has a name of units_0": ({}, {"loss": own_loss}),
}


@pytest.mark.parametrize("reason", NOT_PADDED)
def test_what_cannot_be_padded_runs_as_it_is(reason: str):
    fields, options = NOT_PADDED[reason]
    module = MLP([4], 2, **fields)
    plan = planned([jn.member(module)], regression(), **{"loss": "mean_squared_error", **options})
    check_exact(plan, 0, module, reason)


def test_networks_of_other_kinds_run_as_they_are():
    residual = jn.nn.ResidualMLP(4, 1, 3)
    pure = jn.Network(
        lambda key, x: ({"w": jnp.zeros((3, 3))}, {}),
        lambda params, state, x, *, key, train: (x @ params["w"], state),
    )
    plan = planned([jn.member(residual), jn.member(MLP([5], 3)), jn.member(pure)])
    check_exact(plan, 0, residual, "ResidualMLP cannot be padded")
    check_exact(plan, 2, pure, "network cannot be padded")
    assert plan.programs[1].group.unpadded == ""


def test_what_forbids_padding_now_is_not_remembered():
    who = jn.member(MLP([3, 7, 5], outputs=3), learning_rate=0.1)
    jax.config.update("jax_threefry_partitionable", False)
    try:
        assert "partitionable" in planned([who]).spec.groups[0].unpadded
    finally:
        jax.config.update("jax_threefry_partitionable", True)
    assert planned([who]).spec.groups[0].unpadded == ""


def check_exact(plan: jn.Plan, program: int, network: object, reason: str) -> None:
    group = plan.programs[program].group
    assert group.recipe.network == jn.network.as_network(network)
    assert not any(name.startswith("units") for name in set(group.numbers) - {"units_0"})
    assert plan.programs[program].wasted == 0.0
    assert reason in group.unpadded
    assert f"not padded: {group.unpadded}" in words(plan)


def planned(everyone: list[jn.Member], data: Any = DATA, **options: Any) -> jn.Plan:
    settings = {"epochs": 1, "loss": LOSS, "batch_size": BATCH, "widths": "padded", **options}
    return jn.make_plan(jn.make_spec(jax.random.key(0), data, everyone, **settings))


def words(plan: jn.Plan) -> str:
    """The first column of its table."""
    rows = [line.split("│")[1] for line in str(plan).splitlines() if "│" in line]
    return " ".join(" ".join(rows).split())


def root_loss(outputs: Any, batch: Any) -> Any:
    """Zero where the outputs are the targets, with an infinite derivative there."""
    return jnp.sum(jnp.sqrt(outputs - batch.y), axis=-1)


def test_an_infinite_gradient_stays_in_the_true_network():
    """Clipped by value it does no harm, padded or not."""
    network = MLP([2], 1, kernel_init="ones", bias_init="ones")
    x = np.ones((4, 1), np.float32)
    rows = jn.data.Batch(x, 5 * x)
    optimizer = optim.momentum(1e-3, clip_value=1.0)
    weights = check_alike(network, optimizer, {}, rows, root_loss, steps=1)
    assert all(np.max(leaf) < 1.0 for leaf in jax.tree.leaves(weights))


def test_an_unknown_treatment_of_widths_is_refused():
    with pytest.raises(ValueError, match=r"widths: unknown name 'padd'. Did you mean 'padded'"):
        fit(widths="padd")
