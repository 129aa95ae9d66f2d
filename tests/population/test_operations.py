"""Floating-point operations, counted by hand."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

import jaxnets as jn
from jaxnets.population.operations import operations

A, B, X = jnp.ones((3, 4)), jnp.ones((4, 5)), jnp.ones((7,))
IMAGES = jnp.ones((2, 8, 8, 3))
OURS, FLAX = jn.nn.Conv(6, (3, 3), padding="SAME"), nn.Conv(6, (3, 3), use_bias=False)
PLACES = 2 * 8 * 8 * (3 * 3 * 3 * 6)


def turns(count: Any) -> Callable[..., Any]:
    return lambda a: lax.scan(lambda c, _: (jnp.sin(c), None), a, length=count)[0]


def gradients(module: nn.Module) -> Callable[..., Any]:
    params = jax.eval_shape(module.init, jax.random.key(0), IMAGES)
    return lambda p, x: jax.grad(lambda *them: module.apply(*them).sum(), (0, 1))(p, x), params


CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], float]] = {
    "product": (lambda a, b: a @ b, (A, B), 2 * 3 * 4 * 5),
    "batched product": (lambda a: jnp.einsum("bij,bjk->bik", a, a), (jnp.ones((6, 2, 2)),), 96),
    "sum and exponential": (lambda x: jnp.exp(x).sum(), (X,), 14),
    "moves": (lambda x: jnp.stack([x, x])[::-1].T, (X,), 0),
    "integers": (lambda k: jax.random.bits(k, (9,)), (jax.random.key(0),), 0),
    "turns of a loop": (turns(11), (X,), 77),
    "a branch": (lambda x: lax.cond(x[0] > 0, jnp.sin, lambda y: y @ y * y, x), (X,), 21),
    "a convolution": (lambda x, k: nn.Conv(6, (3, 3), use_bias=False).apply(k, x),
                      (IMAGES, {"params": {"kernel": jnp.ones((3, 3, 3, 6))}}), 2 * PLACES),
    "a function within": (jax.jit(lambda x: jax.checkpoint(jnp.sin)(x)), (X,), 7),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_by_hand(case: str):
    function, arguments, expected = CASES[case]
    assert operations(jax.make_jaxpr(function)(*arguments).jaxpr) == expected


@pytest.mark.parametrize("module", [OURS, FLAX], ids=["jaxnets", "flax"])
def test_a_convolution_and_both_of_its_gradients(module: nn.Module):
    function, params = gradients(module)
    found = operations(jax.make_jaxpr(function)(params, IMAGES).jaxpr)
    # The output, although nobody looks at it, the gradients, and a bias or two.
    assert 2 * 2 * PLACES <= found <= 3.1 * 2 * PLACES


def test_as_xla_counts_where_it_counts_right():
    network = jn.nn.MLP([32, 32], outputs=10)
    params = network.init(jax.random.key(0), jnp.ones((1, 20)))
    step = jax.jit(jax.grad(lambda p, x: (network.apply(p, x) ** 2).sum()))
    x = jnp.ones((64, 20))
    theirs = step.lower(params, x).cost_analysis()["flops"]
    assert operations(step.trace(params, x).jaxpr.jaxpr) == pytest.approx(theirs, rel=0.05)


@pytest.mark.parametrize("strides", [1, 2])
def test_zeros_between_the_places_of_an_input_are_no_work(strides: int):
    """Flax's strided convolution, whose gradients XLA spreads out, and ours, which knows itself."""
    pair = [kind(6, (3, 3), strides=strides, padding="SAME") for kind in (nn.Conv, jn.nn.Conv)]
    theirs, own = (operations(jax.make_jaxpr(f)(p, IMAGES).jaxpr) for f, p in map(gradients, pair))
    assert theirs == pytest.approx(own, rel=0.15)  # the bias, and sums of it
    up = nn.ConvTranspose(6, (2, 2), strides=(2, 2), use_bias=False)
    params = up.init(jax.random.key(0), IMAGES)
    counted = operations(jax.make_jaxpr(up.apply)(params, IMAGES).jaxpr)
    assert counted == 2 * IMAGES.size * 2 * 2 * 6  # each number of the input times the kernel
