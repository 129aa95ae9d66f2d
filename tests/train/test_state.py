"""The state before the first step, and the names of the numbers that enter it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.nn.hyper import hyperparameter
from jaxnets.rng import Stream, member_keys
from jaxnets.train import init_state, make_recipe
from jaxnets.train.state import known_hyperparameters, network_hyperparameters
from tests.small import LOSS, compilations

KEYS = member_keys(jax.random.key(2))
X = jnp.ones((1, 3))
DROPPING = jn.nn.MLP([4], outputs=3, dropout_rate=0.1, norm="layer")


class Named(nn.Module):
    """Declares a number of this name."""

    number: str

    @nn.compact
    def __call__(self, x):
        return hyperparameter(self, self.number, 1.0) * nn.Dense(3)(x)


def state(network: nn.Module, **numbers: float):
    recipe = make_recipe(network, loss=LOSS, optimizer="adam")
    return init_state(recipe, KEYS, recipe.defaults | numbers, X)


def test_it_is_what_the_network_makes_of_the_init_key():
    found = state(DROPPING)
    variables = DROPPING.init(KEYS[Stream.INIT], X)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, found.params, variables["params"]))
    assert found.step == 0 and found.fault == 0
    assert found.step.dtype == found.fault.dtype == jnp.int32
    moments = [leaf for leaf in jax.tree.leaves(found.opt_state) if leaf.ndim]
    assert len(moments) == 2 * len(jax.tree.leaves(found.params))


def test_init_gain_multiplies_kernels_and_nothing_else():
    one, three = state(DROPPING).params, state(DROPPING, init_gain=3.0).params
    for path, leaf in jax.tree_util.tree_leaves_with_path(one):
        other = three[path[0].key][path[1].key]
        np.testing.assert_array_equal(other, leaf * (3 if path[1].key == "kernel" else 1))


def test_init_gain_leaves_the_dtype():
    half = nn.Dense(2, param_dtype=jnp.bfloat16)
    kinds = {leaf.dtype for leaf in jax.tree.leaves(state(half, init_gain=3.0).params)}
    assert kinds == {jnp.dtype(jnp.bfloat16)}


def test_the_members_number_replaces_the_modules():
    assert state(DROPPING).collections["hyper"]["dropout_rate"] == jnp.float32(0.1)
    replaced = state(DROPPING, dropout_rate=0.4).collections["hyper"]["dropout_rate"]
    assert replaced == jnp.float32(0.4) and replaced.dtype == jnp.float32


def test_names_are_known_without_computing():
    recipe = make_recipe(DROPPING, loss="huber", optimizer=jn.optim.sgd(clip_norm=1.0))
    with compilations() as compiled:
        assert network_hyperparameters(recipe, X) == {"dropout_rate": (DROPPING,)}
        known = known_hyperparameters(recipe, X)
    assert not compiled
    own = {"learning_rate", "clip_norm", "delta", "dropout_rate"}
    assert set(known) == own | {"l1", "l2", "noise_sigma", "init_gain"}


def tilted(outputs, batch, *, l2=1.0):
    return l2 * jnp.sum(outputs, axis=-1)


def paced(outputs, batch, *, momentum=1.0):
    return momentum * jnp.sum(outputs, axis=-1)


@pytest.mark.parametrize(
    ("network", "loss", "message"),
    [
        (Named("momentum"), LOSS, "'momentum': both the optimizer and the network"),
        (Named("label_smoothing"), LOSS, "'label_smoothing': both the loss and the network"),
        (Named("l1"), LOSS, "'l1': both every run and the network"),
        (DROPPING, tilted, "'l2': both the loss and every run"),
        (DROPPING, paced, "'momentum': both the optimizer and the loss"),
    ],
)
def test_one_number_does_not_do_two_things(network: nn.Module, loss: object, message: str):
    recipe = make_recipe(network, loss=loss, optimizer="momentum")
    with pytest.raises(ValueError, match=message):
        known_hyperparameters(recipe, X)
