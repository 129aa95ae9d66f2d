"""The pure pair and its adapters."""

import dataclasses

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.network import Network, as_network, from_linen

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (6, 5))


class Plain(nn.Module):
    """No argument called ``train``; everything random and every collection is Linen's own."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x)


class Counting(nn.Module):
    """Two collections: calls counted in training, and a number of its own."""

    @nn.compact
    def __call__(self, x, train=False):
        calls = self.variable("calls", "n", lambda: jnp.float32(0))
        gain = self.variable("hyper", "gain", lambda: jnp.float32(2))
        if train:
            calls.value = calls.value + 1
        return gain.value * nn.Dense(2)(x)


class Streams(nn.Module):
    """One draw from each of two streams, and one more from the first."""

    @nn.compact
    def __call__(self, x, train=False):
        names = ("dropout", "other", "dropout") if train else ()
        return [jax.random.normal(self.make_rng(name)) for name in names]


class Unhashable(nn.Module):
    table: np.ndarray

    @nn.compact
    def __call__(self, x):
        return x


class Drop(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dropout(0.5, deterministic=not train)(x)


def test_a_module_without_train():
    network = from_linen(Plain())
    params, state = network.init(KEY, X)
    assert state == {}
    for train in (False, True):
        outputs, after = network.apply(params, state, X, key=KEY, train=train)
        dense = params["Dense_0"]
        expected = np.asarray(X, np.float64) @ np.asarray(dense["kernel"]) + np.asarray(
            dense["bias"]
        )
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
        assert after == {}


def test_collections_change_in_training_only_and_hyper_never():
    network = from_linen(Counting())
    params, state = network.init(KEY, X)
    assert state == {"calls": {"n": 0}, "hyper": {"gain": 2}}
    outputs, after = network.apply(params, state, X, key=KEY, train=True)
    assert after == {"calls": {"n": 1}, "hyper": {"gain": 2}} and state["calls"]["n"] == 0
    doubled = {**after, "hyper": {"gain": jnp.float32(4)}}
    again, unchanged = network.apply(params, doubled, X, key=KEY, train=False)
    np.testing.assert_allclose(again, 2 * outputs, rtol=1e-6)
    assert unchanged == doubled


def test_batch_statistics():
    network = from_linen(jn.nn.MLP([4], outputs=2, norm="batch"))
    params, state = network.init(KEY, X)
    trained, after = network.apply(params, state, X, key=KEY, train=True)
    evaluated, same = network.apply(params, after, X, key=None, train=False)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    mean = "batch_stats", "BatchNorm_0", "mean"
    hidden = np.asarray(X) @ np.asarray(params["Dense_0"]["kernel"])
    value = after[mean[0]][mean[1]][mean[2]]
    np.testing.assert_allclose(value, 0.1 * hidden.mean(0), atol=1e-5)
    assert same is after and not np.allclose(trained, evaluated)


def test_the_key_feeds_dropout_as_a_dropout_stream_would():
    module = Drop()
    network = from_linen(module)
    params, state = network.init(KEY, X)
    ours, _ = network.apply(params, state, X, key=jax.random.key(9), train=True)
    theirs = module.apply({}, X, train=True, rngs={"dropout": jax.random.key(9)})
    assert (ours == theirs).all() and (ours == 0).any()
    other, _ = network.apply(params, state, X, key=jax.random.key(10), train=True)
    assert (ours != other).any()


def test_streams_of_one_module_draw_different_numbers():
    network = from_linen(Streams())
    draws, _ = network.apply({}, {}, X, key=KEY, train=True)
    assert len({float(draw) for draw in draws}) == 3
    again, _ = network.apply({}, {}, X, key=KEY, train=True)
    assert draws == again


class Cell(nn.Module):
    @nn.compact
    def __call__(self, carry, _):
        return carry, nn.Dropout(0.5, deterministic=False)(jnp.ones(40))


class Steps(nn.Module):
    """Five steps with the same weights."""

    dropout: bool

    @nn.compact
    def __call__(self, x, train=False):
        scan = nn.scan(
            Cell, variable_broadcast="params", length=5,
            split_rngs={"params": not self.dropout, "dropout": self.dropout},
        )  # fmt: skip
        return scan()(x, None)[1] if train else x


@pytest.mark.parametrize("dropout", [True, False])
def test_lifted_transforms_draw_new_masks_of_dropout_where_they_say_so(dropout: bool):
    module = Steps(dropout)
    ours, _ = from_linen(module).apply({}, {}, X, key=KEY, train=True)
    theirs = module.apply({}, X, train=True, rngs={"params": jax.random.key(7), "dropout": KEY})
    assert (ours == theirs).all()
    assert len(np.unique(ours, axis=0)) == (5 if dropout else 1)


def test_training_without_a_key_is_refused_by_what_draws():
    network = from_linen(Drop())
    with pytest.raises(flax.errors.InvalidRngError):
        network.apply({}, {}, X, key=None, train=True)
    assert network.apply({}, {}, X, key=None, train=False)[0] is not None


@pytest.mark.parametrize(
    ("argument", "in_training"),
    [("train", 1), ("training", 1), ("is_training", 1), ("deterministic", 0),
     ("use_running_average", 0)],
)  # fmt: skip
def test_whatever_training_is_called(argument: str, in_training: float):
    names: dict = {}
    exec(f"def call(self, x, {argument}=None): return x + float({argument})", names)
    module = type("Told", (nn.Module,), {"__call__": names["call"], "__annotations__": {}})()
    network = from_linen(module)
    for train in (False, True):
        (value,), _ = network.apply({}, {}, jnp.zeros(1), key=KEY, train=train)
        assert value == (in_training if train else 1 - in_training)


class Power(nn.Module):
    of: object = 2

    def __call__(self, x):
        return x / 3 if isinstance(self.of, float) else x


def test_equal_numbers_of_different_types_are_different_architectures():
    two, real, yes = (from_linen(Power(of)) for of in (2, 2.0, (True, (1,))))
    assert two != real and two.apply({}, {}, X, key=None, train=False)[0] is X
    third = real.apply({}, {}, X, key=None, train=False)[0]
    np.testing.assert_allclose(third, X / 3, rtol=1e-6)
    assert yes != from_linen(Power((1, (1,)))) and yes == from_linen(Power((True, (1,))))


@dataclasses.dataclass(frozen=True)
class Settings:
    power: object = 2


def test_types_are_looked_for_inside_settings():
    whole, real = (from_linen(Power(Settings(power))) for power in (2, 2.0))
    assert whole != real and whole == from_linen(Power(Settings(2)))
    assert from_linen(Power(frozenset({1}))) != from_linen(Power(frozenset({True})))


class Settled(nn.Module):
    """Told when it is made, or when it is called, but not both."""

    deterministic: bool | None = None

    @nn.compact
    def __call__(self, x, deterministic=None):
        settled = nn.merge_param("deterministic", self.deterministic, deterministic)
        return x + (0.0 if settled else 1.0)


@pytest.mark.parametrize(("given", "found"), [(None, [1, 0]), (True, [0, 0]), (False, [1, 1])])
def test_what_a_module_was_made_with_counts(given: bool | None, found: list[int]):
    network = from_linen(Settled(given))
    for train, value in zip((True, False), found, strict=True):
        outputs, _ = network.apply({}, {}, jnp.zeros(1), key=KEY, train=train)
        assert outputs[0] == value


def test_equal_modules_are_one_architecture():
    assert from_linen(jn.nn.MLP([4], 2)) is from_linen(jn.nn.MLP((4,), outputs=2))
    assert from_linen(jn.nn.MLP([4], 2)) != from_linen(jn.nn.MLP([5], 2))
    module = Plain()
    assert from_linen(module).module == module
    assert "features=(4,)" in from_linen(jn.nn.MLP([4], 2)).name


def test_a_pair_of_functions():
    def init(key, x):
        return {"w": jnp.zeros(x.shape[-1])}, {}

    def apply(params, state, x, *, key, train):
        return x @ params["w"], state

    pair = as_network((init, apply))
    assert pair == Network(init, apply, name="mine") and hash(pair) == hash(Network(init, apply))
    assert pair != Network(init, lambda *args, **kwargs: apply(*args, **kwargs))
    assert pair.module is None and as_network(pair) is pair


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: from_linen(Unhashable(np.zeros(2))),
            "Unhashable has a field that cannot be hashed",
        ),
        (lambda: from_linen(nn.Dense), "expected a flax.linen.Module, got type"),
        (lambda: as_network(nn.Dense), "got type"),
        (lambda: as_network("mlp"), "got str"),
        (lambda: as_network([Plain(), Plain()]), "got list"),
        (lambda: as_network((Plain().init,)), "got tuple"),
        (lambda: as_network((1, 2)), "got tuple"),
        (lambda: as_network(None), "got NoneType"),
    ],
)
def test_what_is_no_network(call, message: str):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value).startswith("network: ") and message in str(caught.value)
