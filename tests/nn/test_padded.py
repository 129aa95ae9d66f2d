"""The padded network is the true one: initial bits, outputs, gradients, statistics, masks."""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.network import Network, from_linen
from jaxnets.nn import MLP, initializers
from jaxnets.nn import padded_draws as draws
from jaxnets.nn.padded import pad, padded_width

KEY = jax.random.key(3)
X = np.random.default_rng(1).standard_normal((6, 5)).astype(np.float32)

MODULES = [
    pytest.param(MLP([7, 40], 3, **fields), id="-".join(map(str, fields.values())))
    for fields in (
        {"activation": "prelu", "kernel_init": "torch_uniform", "bias_init": "torch_uniform"},
        {"activation": "sigmoid", "norm": "layer", "bias_init": "small_normal"},
        {"activation": "softplus", "norm": "batch", "bias_init": "ones"},
        {"activation": "tanh", "kernel_init": "glorot_normal", "dropout_rate": 0.4},
        {"activation": "selu", "norm": "batch", "dropout_rate": 0.2, "dropconnect_rate": 0.3},
    )
]


def both(module: MLP) -> tuple[Network, Network, Any, Any]:
    """True and padded network with the initial weights of each."""
    padded, units = pad(module)
    true, wide = from_linen(module), from_linen(padded)
    return true, wide, jax.jit(true.init)(KEY, X), jax.jit(wide.init)(KEY, X, units)


def corner(wide: Any, true: Any) -> Any:
    """The real corner of every leaf that the true tree has."""
    leaves = dict(jax.tree_util.tree_leaves_with_path(wide))
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaves[path][tuple(slice(n) for n in leaf.shape)], true
    )


def rest(wide: Any, true: Any) -> Any:
    """Every leaf with its real corner set to zero."""

    def emptied(a: Any, b: Any) -> np.ndarray:
        a = np.array(a)
        a[tuple(slice(n) for n in b.shape)] = 0.0
        return a

    return jax.tree.map(emptied, wide, true)


@pytest.mark.parametrize("double", [False, True])
def test_the_same_mask_whatever_jaxs_default_dtype_is(double: bool):
    key, rate = jax.random.key(0), jnp.float32(0.5)
    with jax.enable_x64(double):
        true = jax.random.bernoulli(key, rate, (2, 3))
        np.testing.assert_array_equal(draws.bernoulli(3)(key, rate, (2, 8))[:, :3], true)


@pytest.mark.parametrize("module", MODULES)
def test_same_function_and_gradient(module: MLP):
    true, wide, (params, state), (wide_params, wide_state) = both(module)
    jax.tree.map(compare, corner(wide_params, params), params)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(rest(wide_params, params)))

    outputs, after, gradient, evaluated = everything(true, params, state)
    wide_outputs, wide_after, wide_gradient, wide_evaluated = everything(
        wide, wide_params, wide_state
    )
    compare(wide_outputs, outputs)
    compare(wide_evaluated, evaluated)
    jax.tree.map(compare, corner(wide_gradient, gradient), gradient)
    jax.tree.map(compare, corner(wide_after, after), after)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(rest(wide_gradient, gradient)))


@functools.partial(jax.jit, static_argnums=0)
def everything(network: Network, params: Any, state: Any) -> Any:
    """Outputs, state and gradient of a training step, and outputs in evaluation afterwards."""

    def loss(params: Any) -> Any:
        outputs, after = network.apply(params, state, X, key=KEY, train=True)
        return jnp.sum(jnp.sin(outputs + 1.0)), (outputs, after)

    gradient, (outputs, after) = jax.grad(loss, has_aux=True)(params)
    evaluated, _ = network.apply(params, after, X, key=None, train=False)
    return outputs, after, gradient, evaluated


def compare(a: Any, b: Any) -> None:
    """Sums in another order: some roundings of float32, of the largest entry for what cancels."""
    scale = float(np.max(np.abs(b), initial=1.0))
    np.testing.assert_allclose(a, b, rtol=5e-6, atol=5e-6 * scale)


@pytest.mark.parametrize("name", sorted(draws.KERNELS))
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3)])
def test_kernels_are_those_of_the_true_shape(name: str, rows: int, columns: int):
    true = initializers.KERNEL_INITIALIZERS[name](KEY, (rows, columns), jnp.float32)

    @jax.jit
    def drawn(rows: Any, columns: Any) -> Any:
        return draws.kernel_initializer(name, rows, columns)(KEY, (6, 8), jnp.float32)

    wide = np.asarray(drawn(rows, columns))
    np.testing.assert_allclose(wide[:rows, :columns], true, rtol=4e-7)
    assert not wide[rows:].any() and not wide[:, columns:].any()


@pytest.mark.parametrize("name", sorted(draws.BIASES))
@pytest.mark.parametrize(("fan_in", "columns"), [(1, 8), (7, 5)])
def test_biases_are_those_of_the_true_shape(name: str, fan_in: int, columns: int):
    true = initializers.BIAS_INITIALIZERS[name](fan_in)(KEY, (columns,), jnp.float32)
    drawn = jax.jit(
        lambda n, m: draws.bias_initializer(name, n, m)(KEY, (8,), jnp.float32)
    )(fan_in, columns)  # fmt: skip
    np.testing.assert_allclose(drawn[:columns], true, rtol=4e-7)
    assert not drawn[columns:].any()


def test_every_initializer_is_padded_or_refused_for_a_reason():
    whole = {"orthogonal"}  # its columns are made orthogonal to each other
    assert set(initializers.KERNEL_INITIALIZERS) == draws.KERNELS | whole
    assert set(initializers.BIAS_INITIALIZERS) == draws.BIASES


def test_ladder():
    rungs = [padded_width(width) for width in range(1, 2000)]
    assert all(rung >= width for width, rung in enumerate(rungs, 1))
    found = sorted(set(rungs))
    assert found[:6] == [32, 96, 192, 320, 480, 672]
    # Wide layers: the arithmetic of a hidden layer at most doubles from 480 units on.
    assert all((b / (a + 1)) ** 2 < 2 for a, b in itertools.pairwise(found) if a >= 480)


@pytest.mark.parametrize(
    ("module", "word"),
    [
        (MLP([], 3), "no hidden"),
        (MLP([4], 3, kernel_init="orthogonal"), "kernel_init"),
        (MLP([4], 3, kernel_init=jax.nn.initializers.he_normal()), "kernel_init"),
        (MLP([4], 3, bias_init=jax.nn.initializers.ones), "bias_init"),
        (MLP([4], 3, activation="softmax"), "activation"),
        (MLP([4], 3, activation=jax.nn.softmax), "activation"),
        (MLP([4], 3, activation=lambda x: x), "activation"),
        (pad(MLP([4], 3))[0], "PaddedMLP"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(module: MLP, word: str):
    assert word in module.padded()


def test_draws_that_depend_on_the_size_are_refused():
    jax.config.update("jax_threefry_partitionable", False)
    try:
        assert "partitionable" in pad(MLP([4], 3))
    finally:
        jax.config.update("jax_threefry_partitionable", True)


def test_functions_of_the_table_are_known_by_unit():
    assert not isinstance(pad(MLP([4], 3, activation=jnp.tanh)), str)


def test_all_fields_are_kept():
    module = MLP([4], 3, "tanh", "he_uniform", "ones", "layer", 0.1, 0.2, "bfloat16")
    padded, _ = pad(module)
    for field in dataclasses.fields(MLP):
        if field.name not in ("features", "parent", "name"):
            assert getattr(padded, field.name) == getattr(module, field.name)


def test_bfloat16_computes_in_bfloat16():
    true, wide, (params, state), (wide_params, wide_state) = both(MLP([7], 3, dtype="bfloat16"))
    a, _ = true.apply(params, state, X, key=None, train=False)
    b, _ = wide.apply(wide_params, wide_state, X, key=None, train=False)
    assert a.dtype == b.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(a), np.float32(b), rtol=0.02, atol=0.02)


def test_an_overflow_does_not_leak_out_of_the_padding():
    """An infinite gradient of the outputs: every true entry is infinite, every other one zero."""
    _, wide, (params, _), (wide_params, state) = both(
        MLP([2, 3], 1, "identity", kernel_init="ones", bias_init="ones")
    )

    def loss(params: Any) -> Any:
        return jnp.sum(wide.apply(params, state, jnp.ones((2, 5)), key=None, train=True)[0] * 1e38)

    gradient = jax.grad(lambda p: loss(p) * 1e38)(wide_params)
    assert all(np.isinf(leaf).all() for leaf in jax.tree.leaves(corner(gradient, params)))
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(rest(gradient, params)))
