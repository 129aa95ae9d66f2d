"""Layers that behave differently in training have to hear of it."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from tests.small import DATA, LOSS, check_refused, fit, leaves


class Silent(nn.Module):
    """No argument called ``train``."""

    layer: nn.Module

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(3)(self.layer(nn.Dense(4)(x)))


class Sure(nn.Module):
    """It says what its layers are to do, whatever it is told itself."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jn.nn.Dropout(0.5)(x, False)
        return nn.BatchNorm()(nn.Dense(3)(x), use_running_average=True)


SILENT = {
    "dropout": (jn.nn.Dropout(0.5), "Dropout"),
    "noise": (jn.nn.GaussianNoise(0.1), "GaussianNoise"),
    "batch statistics": (jn.nn.MLP([4], outputs=3, norm="batch"), "MLP"),
    "dropped connections": (jn.nn.Dense(3, dropconnect_rate=0.5), "Dense"),
    "within a sequence": (nn.Sequential((nn.relu, jn.nn.Dropout(0.5))), "Dropout"),
}


@pytest.mark.parametrize("name", SILENT)
@pytest.mark.parametrize("kind", ["Sequential", "Silent"])
def test_layers_that_are_not_told_are_named(kind: str, name: str):
    layer, called = SILENT[name]
    sequence = nn.Sequential((nn.Dense(4), layer, nn.Dense(3)))
    network = {"Sequential": sequence, "Silent": Silent(layer)}[kind]
    says = f"network: {kind} does not tell its layers", f"and {called} would do in training"
    check_refused(lambda: fit(network), TypeError, *says)
    with pytest.raises(TypeError, match=says[1]):
        jn.make_train(network, DATA.train, loss=LOSS, epochs=1, batch_size=4)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential((jn.nn.Flatten(), jn.nn.Dense(4), nn.relu, jn.nn.MLP([], outputs=3))),
        nn.Sequential((nn.Dropout(0.5, deterministic=True), nn.Dense(3))),
        Silent(jn.nn.Dense(4)),
        Sure(),
    ],
    ids=["sequence", "told by a field", "silent", "told by an argument"],
)
def test_layers_that_are_the_same_in_training_need_not_hear(network: Any):
    runs = fit(network)
    assert all(np.isfinite(leaf).all() for leaf in leaves(runs))


def test_a_layer_that_needs_more_in_training_than_it_gets():
    class Demanding(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
            if train:
                raise RuntimeError("never without my teacher")
            return jnp.tanh(x)

    check_refused(lambda: fit(Silent(Demanding())), TypeError, "and Demanding would do in training")
