"""What one optimizer is: its structure, its numbers, and what Optax and users bring."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import optim, schedules
from tests.descent import (
    START,
    TABLE,
    descend,
    make,
    tree,
)  # fmt: skip


def test_structure_leaves_the_numbers_out_and_keeps_the_parts():
    one, two = (optim.adam(clip_norm=n, schedule=schedules.cosine(d)) for n, d in [(1, 2), (3, 4)])
    assert one.structure == two.structure
    assert one != two
    assert {one: 1}[optim.adam(clip_norm=1, schedule=schedules.cosine(2))] == 1
    assert len({make(name, clip).structure for name, clip in TABLE}) == len(TABLE)
    same = optim.sgd(clip_norm=1, clip_value=2), optim.sgd(clip_value=3, clip_norm=4)
    assert same[0].structure == same[1].structure


def test_names_and_order_of_the_numbers():
    got = {name: [k for k, _ in function().defaults] for name, function in optim.OPTIMIZERS.items()}
    assert got == {
        "sgd": ["learning_rate"],
        "momentum": ["learning_rate", "momentum"],
        "nesterov": ["learning_rate", "momentum"],
        "adagrad": ["learning_rate", "initial_accumulator_value", "eps"],
        "rmsprop": ["learning_rate", "decay", "eps", "initial_scale"],
        "adam": ["learning_rate", "b1", "b2", "eps", "eps_root"],
        "adamw": ["learning_rate", "b1", "b2", "eps", "eps_root", "weight_decay"],
    }


def test_from_optax_and_as_optimizer():
    ready = optax.sgd(0.1)
    wrapped = optim.as_optimizer(ready)
    assert wrapped.defaults == ()
    assert wrapped() is ready
    assert wrapped == optim.from_optax(ready)
    assert wrapped.structure != optim.from_optax(optax.sgd(0.1)).structure

    def lion(learning_rate=1e-3, b1=0.9):
        return optax.lion(learning_rate, b1)

    ours = optim.as_optimizer(lion)
    assert ours.defaults == (("learning_rate", 1e-3), ("b1", 0.9))
    rates = jnp.array([1e-3, 1e-2])
    got = jax.jit(jax.vmap(lambda r: descend(ours(learning_rate=r), tree(START))))(rates)
    for i, rate in enumerate(rates.tolist()):
        want = descend(optax.lion(rate, 0.9), tree(START))
        chex.assert_trees_all_close(jax.tree.map(lambda v, i=i: v[i], got), want, rtol=1e-6)

    assert dict(optim.from_optax(optax.adam, learning_rate=0.1).defaults)["b2"] == 0.999
    assert optim.as_optimizer("nesterov") == optim.nesterov() == optim.as_optimizer(optim.nesterov)
    assert optim.as_optimizer(ours) is ours


def test_a_function_of_optaxs_keeps_narrow_parameters_narrow():
    optimizer = optim.from_optax(optax.adam, learning_rate=0.1)
    params = {"w": jnp.ones(3, jnp.bfloat16)}

    def step(carry, _):
        updates, state = transformation.update(params, carry[1], carry[0])
        return (optax.apply_updates(carry[0], updates), state), None

    transformation = optimizer(learning_rate=jnp.float32(0.1))
    (moved, _), _ = jax.lax.scan(step, (params, transformation.init(params)), length=3)
    assert moved["w"].dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(moved["w"], np.float32), 0.7, rtol=0.01)


def test_extra_arguments_pass_through():
    def update(gradients, state, params=None, *, value, **_):
        return jax.tree.map(lambda g: g * value, gradients), state

    init = optax.init_empty_state
    ready = optax.GradientTransformationExtraArgs(init, update)
    optimizer = optim.from_optax(ready)()
    updates, _ = optimizer.update(tree(START), optimizer.init(None), value=2.0)
    np.testing.assert_allclose(updates["bias"], 2 * START["bias"], rtol=1e-6)


BAD = [
    (lambda: optim.adam()(learning_rat=1), ValueError, r"of adam: .* Did you mean 'learning_rate'"),
    (lambda: optim.sgd()(momentum=0.9), ValueError, "of sgd: unknown name 'momentum'"),
    (lambda: optim.sgd()(clip_norm=jnp.float32(1)), ValueError, "unknown name 'clip_norm'"),
    (lambda: optim.sgd(clipnorm=1.0), ValueError, r"option of sgd: .* Did you mean 'clip_norm'"),
    (lambda: optim.sgd(-1), ValueError, r"learning_rate: .* \[0, inf\), got -1"),
    (lambda: optim.sgd(float("inf")), ValueError, "learning_rate: .* got inf"),
    (lambda: optim.sgd("0.1"), TypeError, "learning_rate: expected a real number, got '0.1'"),
    (lambda: optim.sgd(True), TypeError, "learning_rate: expected a real number, got True"),
    (lambda: optim.adam(b1=1.0), ValueError, r"b1: .* \[0, 1\), got 1"),
    (lambda: optim.adam(clip_norm=0), ValueError, r"clip_norm: .* \(0, inf\), got 0"),
    (lambda: optim.adam()(b2=2.0), ValueError, r"b2: .* \[0, 1\), got 2"),
    (lambda: optim.adam()(b2=jnp.ones(3)), ValueError, r"b2: expected a scalar, got shape \(3,\)"),
    (lambda: optim.adam()(b2="a"), TypeError, "b2: expected a real number, got 'a'"),
    (lambda: optim.adam().check({"b2": 2.0}, "member 3: "), ValueError, "member 3: b2: "),
    (lambda: optim.adam().check({"b3": 2.0}, "member 3: "), ValueError, "member 3: .* 'b3'"),
    (lambda: jax.jit(lambda r: optim.sgd(r)())(0.1), TypeError, "learning_rate: .* traced"),
    (lambda: optim.sgd(schedule="cosine"), TypeError, "schedule: expected a .* got 'cosine'"),
    (lambda: optim.sgd(schedule=lambda s, *, learning_rate=1: s), ValueError, "already has a"),
    (lambda: optim.as_optimizer("adm"), ValueError, "unknown name 'adm'. Did you mean 'adam'"),
    (lambda: optim.as_optimizer(3), TypeError, "optimizer: expected an optax.Gradient"),
    (lambda: optim.as_optimizer(optax.adam), TypeError, "learning_rate: adam has no default"),
    (lambda: optim.from_optax(optax.adam, learning_rate="a"), TypeError, "learning_rate: expected"),
    (lambda: optim.from_optax(optax.adam, learning_rate=1, b3=1), ValueError, "Did you mean 'b2'"),
    (lambda: optim.from_optax(optax.sgd(0.1), b3=1), ValueError, "a ready transformation: unknown"),
    (lambda: optim.from_optax(lambda a=1.0: a)(), TypeError, "should make an optax.Gradient"),
]  # fmt: skip


@pytest.mark.parametrize(("make_it", "error", "message"), BAD)
def test_mistakes(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()


def test_the_numbers_of_a_users_optimizer_are_part_of_its_structure():
    """Which of a function's arguments are numbers depends on the defaults that are given."""
    plain, heavy = (
        optim.from_optax(optax.sgd, learning_rate=0.1, **k) for k in ({}, {"momentum": 0.9})
    )
    assert plain.structure != heavy.structure
    assert plain.structure == optim.from_optax(optax.sgd, learning_rate=0.2).structure
