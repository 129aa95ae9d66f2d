"""The explanation of what was chosen is what is computed."""

import jax
import jax.numpy as jnp
import pytest

import jaxnets as jn
from jaxnets.devices import platform, traced_for
from jaxnets.nn import MLP, Conv, LeNet, ResNet, explain_convolutions
from jaxnets.nn.conv_choices import QUESTIONS
from jaxnets.nn.trilinear import ROLES


def test_the_parts_are_those_of_the_primitive():
    assert tuple(QUESTIONS) == ROLES


def test_every_convolution_with_its_layer_and_shapes():
    rows = explain_convolutions(jn.from_linen(ResNet(8)), (32, 32, 3), 16)
    layers = [row.layer for row in rows]
    each = 3 if jax.default_backend() == "cpu" else 1
    assert layers == [f"Conv_{i}" for i in range(7) for _ in range(each)]
    assert rows[-1].input == (16, 8, 8, 64) and rows[-1].kernel == (3, 3, 64, 64)
    if each == 3:
        assert [row.part for row in rows[:3]] == list(QUESTIONS.values())
        assert all("ms: " in row.reason and row.method in row.reason for row in rows)


def test_what_was_asked_for_is_said():
    rows = explain_convolutions(jn.from_linen(LeNet(method="banded")), (28, 28, 1), 32)
    assert all(row.method.startswith("banded") for row in rows)
    assert all(row.reason.startswith("asked for banded") for row in rows)


def test_what_is_explained_is_what_is_computed():
    layer = Conv(6, 5, method="banded")
    rows = {
        row.part: row.method for row in explain_convolutions(jn.from_linen(layer), (9, 9, 2), 4)
    }
    x = jnp.ones((4, 9, 9, 2))
    variables = layer.init(jax.random.key(0), x)
    jaxpr = jax.make_jaxpr(lambda v, x: layer.apply(v, x))(variables, x)
    (equation,) = (e for e in jaxpr.eqns if e.primitive.name == "trilinear")
    methods = dict(zip(ROLES, equation.params["methods"], strict=True))
    assert rows == {QUESTIONS[role]: str(method) for role, method in methods.items()}


@pytest.mark.parametrize(("where", "name"), [("cpu", "trilinear"), ("gpu", "conv_general_dilated")])
def test_what_is_traced_for_a_device_is_computed_in_its_way(where, name):
    layer, x = Conv(6, 5), jnp.ones((4, 9, 9, 2))
    variables = layer.init(jax.random.key(0), x)
    with traced_for(where):
        jaxpr = jax.make_jaxpr(lambda v, x: layer.apply(v, x))(variables, x)
        rows = explain_convolutions(jn.from_linen(layer), (9, 9, 2), 4)
    assert name in {e.primitive.name for e in jaxpr.eqns}
    assert len(rows) == (3 if where == "cpu" else 1)
    assert where == "cpu" or rows[0].reason == "XLA's own convolution on a gpu"
    assert platform() == jax.default_backend()


def test_signals_have_no_height():
    net = jn.nn.ConvNet([4], 2, method="patches")
    row = explain_convolutions(jn.from_linen(net), (10,), 3)[0]
    assert row.input == (3, 10, 1) and row.kernel == (3, 1, 4)


def test_a_network_without_convolutions():
    assert explain_convolutions(jn.from_linen(MLP([4], outputs=2)), (3,), 5) == []


def test_nothing_is_noted_when_nobody_asks():
    from jaxnets.nn import conv_choices

    explain_convolutions(jn.from_linen(Conv(2)), (5, 5, 1), 1)
    assert conv_choices._notes.get() is None and conv_choices._layer.get() == ""


@pytest.mark.parametrize("network", [LeNet(), 3])
def test_what_is_no_network(network):
    with pytest.raises(TypeError, match=r"network: expected a jaxnets.Network, .* got (LeNet|int)"):
        explain_convolutions(network, (28, 28, 1), 1)


@pytest.mark.parametrize("shape, batch", [((28, 28, 1), 0), ((28, 0, 1), 3)])
def test_shapes_that_are_none(shape, batch):
    with pytest.raises(ValueError, match="expected an integer of at least 1"):
        explain_convolutions(jn.from_linen(LeNet()), shape, batch)
