"""Layers that behave differently in training have to hear of it."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.network import TRAINING
from jaxnets.train import heard
from tests.cases import CASES, Case
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


class Forgetful(nn.Module):
    """It hears, and tells nobody."""

    layer: nn.Module
    says: bool | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        told = {} if self.says is None else {"train": self.says}
        return nn.Dense(3)(self.layer(nn.Dense(4)(x), **told))


@pytest.mark.parametrize("name", [name for name in SILENT if name != "within a sequence"])
def test_who_hears_has_to_tell(name: str):
    layer, called = SILENT[name]
    says = "network: Forgetful does not tell its layers", f"and {called} would do in training"
    check_refused(lambda: fit(Forgetful(layer)), TypeError, *says)
    fit(Forgetful(layer, says=False), epochs=1)  # it is to stay as it is


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_networks_of_the_library_tell_all_of_their_layers(
    case: Case, monkeypatch: pytest.MonkeyPatch
):
    """Where one is not told, the step is traced once more for each kind of layer."""
    network, again = jn.as_network(case.module), []
    monkeypatch.setattr(heard, "_told", lambda *arguments: again.append(arguments[-1]))
    x = jax.ShapeDtypeStruct((2, *case.shape), jnp.float32)
    params, collections = jax.eval_shape(network.init, jax.random.key(0), x)
    heard.check_heard(network, params, dict(collections), x)
    assert again == []


class Coded(nn.Module):
    """It would hear, under a name that nobody knows."""

    layer: str

    @nn.compact
    def __call__(self, x: jax.Array, mode: str = "eval") -> jax.Array:
        training = mode == "train"
        if self.layer == "dropout":
            return nn.Dense(3)(nn.Dropout(0.5)(x, deterministic=not training))
        return nn.BatchNorm(use_running_average=not training)(nn.Dense(3)(x))


@pytest.mark.parametrize(("layer", "name"), [("dropout", "Dropout"), ("batch", "BatchNorm")])
def test_a_flag_of_an_unknown_name_is_told(layer: str, name: str):
    says = f"network: {name} in Coded will do in training what .*nothing is known of `mode`"
    with pytest.warns(RuntimeWarning, match=says):
        fit(Coded(layer), epochs=1)


@pytest.mark.parametrize("flag", [name for name in TRAINING if name != "use_running_average"])
def test_every_flag_that_is_known_is_heard(flag: str):
    heard = []

    def call(self: nn.Module, x: jax.Array, **told: bool) -> jax.Array:
        heard.append(told[flag])
        return nn.Dense(3)(x)

    source = f"def __call__(self, x, {flag}=None): return call(self, x, {flag}={flag})"
    made: dict[str, Any] = {"call": call}
    exec(source, made)
    kind = type("Flagged", (nn.Module,), {"__call__": nn.compact(made["__call__"])})
    fit(kind(), epochs=1)
    assert set(heard) == {True, False}


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
