"""A stage of a convolutional network in whatever order, against the order that is written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxnets.nn import Conv, ConvNet, LeNet
from jaxnets.nn.activations import ACTIVATIONS, MONOTONE
from jaxnets.nn.norm import normalize
from jaxnets.nn.pool import POOLS
from jaxnets.nn.stage import conv_stage


class Stage(nn.Module):
    """As the library does it, or layer after layer."""

    norm: str | None
    activation: object
    pool: str | None
    size: object = 2
    as_written: bool = False

    @nn.compact
    def __call__(self, x, train=True):
        conv = Conv(3, 3)
        if not self.as_written:
            return conv_stage(
                conv, x, train=train, norm=self.norm, activation=self.activation,
                pool=self.pool, pool_size=self.size,
            )  # fmt: skip
        function = ACTIVATIONS.get(self.activation, self.activation)
        y = function(normalize(conv(x), self.norm, train=train))
        return y if self.pool is None else POOLS[self.pool](y, self.size)


def images(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def outcome(stage, x):
    variables = stage.init(jax.random.key(0), x)
    start = jax.tree.map(lambda p: p + 0.1, variables["params"])  # biases that are not zero

    def loss(params, x):
        y, _ = stage.apply({**variables, "params": params}, x, mutable=["batch_stats"])
        return (y**2).sum(), y

    (_, y), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(start, x)
    return y, gradients


@pytest.mark.parametrize("pool", [None, "max", "avg"])
@pytest.mark.parametrize("norm", [None, "batch"])
@pytest.mark.parametrize(
    "activation", [*ACTIVATIONS, jnp.sin], ids=lambda f: getattr(f, "__name__", f)
)
def test_any_order_gives_the_same(activation, norm, pool):
    x = images(2, 7, 6, 2)
    found, found_gradients = outcome(Stage(norm, activation, pool), x)
    expected, gradients = outcome(Stage(norm, activation, pool, as_written=True), x)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    assert jax.tree.structure(found_gradients) == jax.tree.structure(gradients)
    for ours, theirs in zip(*map(jax.tree.leaves, (found_gradients, gradients)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_no_pooling_in_one_layer():
    x = images(2, 7, 6, 2)
    found, _ = outcome(Stage(None, "relu", "max", 1), x)
    expected, _ = outcome(Stage(None, "relu", None), x)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_which_never_decrease(name):
    if name in ("prelu", "softmax"):  # a learned slope may be negative; not element by element
        assert name not in MONOTONE
        return
    y = np.asarray(ACTIVATIONS[name](jnp.linspace(-8, 8, 4001)), np.float64)
    assert (np.diff(y) >= -1e-6).all() == (name in MONOTONE)


@pytest.mark.parametrize(
    ("net", "places"),
    [
        (LeNet(), 14),
        (ConvNet([4], 3, pool="max"), 14),
        (LeNet(pool="avg"), 28),
        (LeNet(norm="batch"), 28),
        (LeNet(activation="gelu"), 28),
    ],
    ids=["lenet", "convnet", "mean", "norm", "gelu"],
)
def test_bias_and_activation_wait_for_the_pooling_where_they_may(net, places):
    x = images(2, 28, 28, 1)
    variables = net.init(jax.random.key(0), x)
    _, seen = net.apply(variables, x, capture_intermediates=True)
    (first,) = seen["intermediates"]["Conv_0"]["__call__"]
    assert first.shape[1:3] == (places, places)
