"""A table of mistakes in members, names, options and devices."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest

import jaxnets as jn
from tests.small import NET, check_refused, compilations, fit, regression

MLP = "members[0] (MLP(features=(4,), outputs=3)): "
SECOND = "members[1] (MLP(features=(4,), outputs=3)): "
TWO = jn.nn.MLP([4], outputs=2)
DROPPING = jn.nn.MLP([4], outputs=3, dropout_rate=0.1)


class Nested(nn.Module):
    """Its numbers are those of its layers."""

    @nn.compact
    def __call__(self, x, train=False):
        x = jn.nn.GaussianNoise(0.1)(jn.nn.Dropout(0.1)(x, train), train)
        return jn.nn.MLP([4], outputs=3, dropout_rate=0.1)(x, train)


@dataclass
class Unhashable:
    """A loss that compares by value and cannot be looked up."""

    scale: float = 1.0

    def __call__(self, outputs, batch):
        return self.scale * outputs[:, 0]


def second(**settings) -> list[jn.Member]:
    """A good member and then one with these settings."""
    return [jn.member(NET), jn.member(NET, **settings)]


TABLE = {
    # Members.
    "own batch": (lambda: fit(second(batch_size=64)), ValueError, SECOND, "batch_size: ", "got 64"),
    "no members": (lambda: fit([]), ValueError, "members: expected at least one"),
    "modules": (lambda: fit([NET, NET]), TypeError, "members[0]: expected a Member", "got MLP"),
    "nested": (
        lambda: fit([jn.member(NET), [jn.member(NET)]]),
        TypeError,
        "members[1]: expected a Member",
        "list",
    ),
    "not members": (lambda: fit("mlp"), TypeError, "members[0]: expected a Member", "got str"),
    "a class": (lambda: fit(jn.nn.MLP), TypeError, "network: expected a Network"),
    "seed": (lambda: fit(second(seed=-1)), ValueError, "seed: expected 0 <= seed < 2**32, got -1."),
    "seed float": (
        lambda: fit(second(seed=0.5)),
        TypeError,
        "seed: expected an integer, got float 0.5.",
    ),
    "seed name": (lambda: fit(second(data_seed=1)), ValueError, "member: unknown name 'data_seed'"),
    "text": (
        lambda: fit(second(learning_rate="0.1")),
        TypeError,
        "learning_rate: expected a real number, got '0.1'",
    ),
    "nan": (
        lambda: fit(second(learning_rate=float("nan"))),
        ValueError,
        "learning_rate: expected a finite",
        "nan",
    ),
    "negative": (
        lambda: fit(second(learning_rate=-0.1)),
        ValueError,
        SECOND,
        "learning_rate: ",
        "[0, inf), got -0.1",
    ),
    "too large": (
        lambda: fit(second(l2=1e39)),
        ValueError,
        "l2: expected a finite number in (-inf, inf), got 1e+39, inf in float32",
    ),
    "too small": (
        lambda: fit(jn.member(TWO, delta=1e-50), regression(), loss="huber"),
        ValueError,
        "members[0] (MLP(",
        "delta: ",
        "got 1e-50, 0 in float32",
    ),
    "almost one": (
        lambda: jn.optim.adam(b2=0.99999999),
        ValueError,
        "b2: expected a finite number in [0, 1), got 0.99999999, 1 in float32",
    ),
    "not its own": (
        lambda: fit(second(momentum=0.9)),
        ValueError,
        SECOND,
        "unknown name 'momentum'",
    ),
    "misspelt": (
        lambda: fit(second(learnig_rate=0.9)),
        ValueError,
        SECOND,
        "Did you mean 'learning_rate'?",
    ),
    "smoothing": (
        lambda: fit(second(label_smoothing=1.5)),
        ValueError,
        SECOND,
        "label_smoothing: ",
        "[0, 1], got 1.5",
    ),
    "no dropout": (
        lambda: fit(second(dropout_rate=0.5)),
        ValueError,
        SECOND,
        "unknown name 'dropout_rate'",
    ),
    "dropout of a layer": (
        lambda: fit(jn.member(Nested(), rate=-0.5)),
        ValueError,
        "members[0]",
        "rate: ",
    ),
    "dropout of a network within": (
        lambda: fit(jn.member(Nested(), dropout_rate=1.5)),
        ValueError,
        "members[0]",
        "dropout_rate: ",
    ),
    "noise of a layer": (
        lambda: fit(jn.member(Nested(), scale=-1.0)),
        ValueError,
        "members[0]",
        "scale: ",
    ),
    "dropout": (
        lambda: fit(jn.member(DROPPING, dropout_rate=1.0)),
        ValueError,
        "members[0] (MLP(",
        "dropout_rate: ",
        "got 1.0",
    ),
    "own optimizer": (
        lambda: fit(second(optimizer="adma")),
        ValueError,
        SECOND,
        "optimizer: ",
        "'adam'",
    ),
    "own loss": (
        lambda: fit(second(loss="hubert")),
        ValueError,
        SECOND,
        "loss: ",
        "Did you mean 'huber'?",
    ),
    "l2": (lambda: fit(second(l2=-0.1)), ValueError, SECOND, "l2: expected a finite number in [0"),
    "noise": (lambda: fit(second(noise_sigma=-1)), ValueError, SECOND, "noise_sigma: expected"),
    # Names and options.
    "loss": (
        lambda: fit(loss="cross_entropy"),
        ValueError,
        MLP,
        "loss: unknown name",
        "'softmax_cross_entropy'",
    ),
    "loss without hash": (
        lambda: fit(loss=Unhashable()),
        TypeError,
        MLP,
        "loss: expected what can be hashed",
        "got Unhashable",
    ),
    "out": (lambda: fit(out=3), TypeError, "out: expected the path of a folder, got 3"),
    "bar": (lambda: fit(progress="no"), TypeError, "progress: expected True, False or None"),
    "save every": (lambda: fit(save_every=-1), ValueError, "save_every: expected at least 0"),
    "loss none": (lambda: fit(loss=None), TypeError, MLP, "loss: expected a name or a function"),
    "loss mean": (
        lambda: fit(loss=lambda o, b: jnp.mean(o)),
        ValueError,
        MLP,
        "loss: <lambda>: expected one number per example",
    ),
    "loss numbers": (lambda: fit(loss=lambda o, b, *, kind: o[:, 0]), TypeError, MLP, "kind: "),
    "optimizer": (
        lambda: fit(optimizer="asgd"),
        ValueError,
        MLP,
        "optimizer: unknown name 'asgd'",
        "'sgd'",
    ),
    "optimizer 3": (lambda: fit(optimizer=3), TypeError, MLP, "optimizer: expected"),
    "optax": (
        lambda: fit(optimizer=optax.sgd),
        TypeError,
        MLP,
        "learning_rate: sgd has no default",
    ),
    "metrics": (
        lambda: fit(metrics=["acuracy"]),
        ValueError,
        MLP,
        "metric: ",
        "Did you mean 'accuracy'?",
    ),
    "metric": (
        lambda: fit(metrics={"top": lambda o, b: 0.0}),
        ValueError,
        MLP,
        "metrics: top: expected one number",
    ),
    "monitor": (
        lambda: fit(monitor="val_loss"),
        ValueError,
        MLP,
        "monitor: ",
        "Did you mean 'valid_loss'?",
    ),
    "keep": (
        lambda: fit(keep="all"),
        ValueError,
        MLP,
        "keep: expected 'last' or 'best', got 'all'.",
    ),
    "patience": (lambda: fit(patience=0), ValueError, MLP, "patience: expected at least 1, got 0."),
    "precision": (lambda: fit(precision="float16"), ValueError, "precision: ", "got 'float16'."),
    "option": (
        lambda: fit(batchsize=3),
        ValueError,
        "unknown name 'batchsize'. Did you mean 'batch_size'?",
    ),
    "a number of members": (
        lambda: fit(learning_rate=0.1),
        ValueError,
        "learning_rate: a member's own, expected in jaxnets.grid(...)",
    ),
    "a seed of members": (lambda: fit(seed=3), ValueError, "seed: a member's own, expected in"),
    "an option of make_spec": (
        lambda: fit(history_evry=3),
        ValueError,
        "Did you mean 'history_every'? Known: augment, batch_size, devices,",
    ),
    "shuffle": (
        lambda: fit(shuffle="no"),
        TypeError,
        MLP,
        "shuffle: expected True or False, got 'no'.",
    ),
    "epochs 0": (lambda: fit(epochs=0), ValueError, "epochs: expected at least 1, got 0."),
    "epochs -1": (lambda: fit(epochs=-1), ValueError, "epochs: expected at least 1, got -1."),
    "epochs 1.5": (
        lambda: fit(epochs=1.5),
        TypeError,
        "epochs: expected an integer, got float 1.5.",
    ),
    "epochs True": (
        lambda: fit(epochs=True),
        TypeError,
        "epochs: expected an integer, got bool True.",
    ),
    "epochs text": (
        lambda: fit(epochs="3"),
        TypeError,
        "epochs: expected an integer, got str '3'.",
    ),
    "every": (
        lambda: fit(history_every=0),
        ValueError,
        "history_every: expected at least 1, got 0.",
    ),
    "batch 0": (
        lambda: fit(batch_size=0),
        ValueError,
        MLP,
        "batch_size: expected at least 1, got 0.",
    ),
    "batch text": (
        lambda: fit(batch_size="4"),
        TypeError,
        MLP,
        "batch_size: expected an integer, got str '4'.",
    ),
    # Devices.
    "lanes 0": (lambda: fit(lanes=0), ValueError, "lanes: expected at least 1, got 0."),
    "lanes 1.5": (lambda: fit(lanes=1.5), TypeError, "lanes: expected an integer, got float 1.5."),
    "devices": (lambda: fit(devices=[]), ValueError, "devices: expected at least one, got none."),
    "devices text": (
        lambda: fit(devices="cpu"),
        TypeError,
        "devices: expected a list of devices",
        "'cpu'",
    ),
    "devices int": (
        lambda: fit(devices=2),
        TypeError,
        "devices: expected a list of devices",
        "got 2",
    ),
    "dropout rate that float32 rounds to one": (
        lambda: fit(jn.member(DROPPING, dropout_rate=0.99999999)),
        ValueError,
        "members[0]",
        "dropout_rate: ",
    ),
    "a metric with the name of a label": (
        lambda: fit(metrics={"depth": jn.metrics.accuracy}),
        ValueError,
        "metrics: 'depth' is what results call a property of the members",
    ),
    "a metric with the name of a number": (
        lambda: fit(
            jn.member(NET, learning_rate=0.1), metrics={"learning_rate": jn.metrics.accuracy}
        ),
        ValueError,
        "metrics: 'learning_rate' is what results call",
    ),
    "devices twice": (
        lambda: fit(devices=jax.local_devices()[:1] * 2),
        ValueError,
        "devices: expected different",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_refused_in_words_before_anything_is_compiled(name: str):
    check_refused(*TABLE[name])


def test_a_good_member_among_the_bad_ones_is_not_trained_either():
    reached = []

    def loss(outputs, batch):
        reached.append(isinstance(outputs, jax.core.Tracer))
        return jn.losses.softmax_cross_entropy(outputs, batch)

    with pytest.raises(ValueError, match=r"members\[1\]"), compilations() as compiled:
        fit(second(momentum=0.9), loss=loss)
    assert all(reached) and compiled == []
