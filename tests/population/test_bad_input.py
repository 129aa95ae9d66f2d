"""One table of mistakes: each is refused in words, soon, and before anything is compiled."""

from time import perf_counter

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnets as jn
from jaxnets.data import Dataset
from jaxnets.nn.hyper import hyperparameter
from tests.small import DATA, NET, ROOT, compilations, fit, part, regression

X, Y = part(10, 1)
MLP = "members[0] (MLP(features=(4,), outputs=3)): "


def data(x=X, y=Y, valid=None) -> Dataset:
    return Dataset.from_splits(train=(x, y), valid=valid, test=None)


def at(index: tuple[int, ...], value: float) -> np.ndarray:
    changed = X.copy()
    changed[index] = value
    return changed


def _init(key, x):
    return {"w": jnp.ones((3, 3))}, {}


def _apply(params, state, x, *, key, train):
    return x @ params["w"], state


def pair(init=_init, apply=_apply) -> jn.Member:
    return jn.member((init, apply))


def failing(key, x):
    raise RuntimeError("no weights today")


class Growing(nn.Module):
    """Its state has another structure after every step."""

    @nn.compact
    def __call__(self, x):
        self.sow("acts", "h", x.sum())
        return nn.Dense(3)(x)


class Paced(nn.Module):
    """Has a number of its own that the optimizer has as well."""

    @nn.compact
    def __call__(self, x):
        return hyperparameter(self, "learning_rate", 1.0) * nn.Dense(3)(x)


class Table(nn.Module):
    table: np.ndarray

    @nn.compact
    def __call__(self, x):
        return x


def second(**settings) -> list[jn.Member]:
    """A good member and then one with these settings."""
    return [jn.member(NET), jn.member(NET, **settings)]


SECOND = "members[1] (MLP(features=(4,), outputs=3)): "
DROPPING = jn.nn.MLP([4], outputs=3, dropout_rate=0.1)
RAW = jax.random.PRNGKey(0)
RBG = jax.random.key(0, impl="rbg")
KEYS = jax.random.split(ROOT, 3)

TABLE = {
    # The root key.
    "key int": (lambda: fit(key=0), TypeError, "key: expected a typed key", "got int 0."),
    "key none": (lambda: fit(key=None), TypeError, "key: expected a typed key"),
    "key raw": (lambda: fit(key=RAW), TypeError, "key: ", "use jax.random.key instead of"),
    "key rbg": (lambda: fit(key=RBG), ValueError, "key: expected a threefry2x32 key, got 'rbg'"),
    "keys": (lambda: fit(key=KEYS), ValueError, "key: expected one key", "shape (3,)"),
    # The data.
    "data tuple": (
        lambda: fit(data=(X, Y)),
        TypeError,
        "data: expected a jaxnets.data.Dataset, got tuple",
    ),
    "data split": (lambda: fit(data=DATA.train), TypeError, "data: ", "got Split"),
    "data none": (lambda: fit(data=None), TypeError, "data: ", "got NoneType"),
    "x nan": (
        lambda: data(at((3, 1), np.nan)),
        ValueError,
        "train: x[3, 1] (row 3, column 1) is nan",
    ),
    "x inf": (lambda: data(at((9, 0), np.inf)), ValueError, "train: x[9, 0]", "is inf"),
    "x rank": (lambda: data(X[:, 0]), ValueError, "train: x must have rank 2 or more", "(10,)"),
    "x text": (lambda: data(X.astype(str)), TypeError, "train: x must hold real numbers"),
    "x empty": (lambda: data(X[:0], Y[:0]), ValueError, "train: x is empty", "(0, 3)"),
    "y length": (lambda: data(y=Y[:9]), ValueError, "train: x and y", "got 10", "and 9"),
    "y negative": (lambda: data(y=Y - 1), ValueError, "train: y", "is -1, expected labels from 0"),
    "y nan": (lambda: data(y=np.full(10, np.nan)), ValueError, "train: y[0] (row 0) is nan"),
    "valid empty": (lambda: data(valid=(X[:0], Y[:0])), ValueError, "valid: x is empty"),
    "valid size": (
        lambda: data(valid=(X[:, :2], Y)),
        ValueError,
        "valid: x must be like the training",
    ),
    "valid kind": (
        lambda: data(valid=(X, Y / 2)),
        ValueError,
        "valid: y must be like the training",
    ),
    "no fraction": (
        lambda: jn.data.from_arrays(X, Y, key=ROOT, valid=0.001),
        ValueError,
        "valid: ",
        "empty part",
    ),
    # What does not fit together.
    "labels": (
        lambda: fit(data=data(y=Y + 1)),
        ValueError,
        MLP,
        "data.train.y: ",
        "labels in 0..2, got 3",
    ),
    "valid labels": (
        lambda: fit(data=data(valid=(X, Y + 2))),
        ValueError,
        MLP,
        "data.valid.y: ",
        "got ",
    ),
    "float labels": (
        lambda: fit(data=data(y=Y / 1)),
        ValueError,
        MLP,
        "data.train.y: ",
        "dtype float32",
    ),
    "binary": (
        lambda: fit(jn.nn.MLP([4], 1), data(), loss="sigmoid_binary_cross_entropy"),
        ValueError,
        "data.train.y: ",
        "targets in [0, 1], got 2",
    ),
    "outputs": (
        lambda: fit(jn.nn.MLP([4], 4), regression(), loss="huber"),
        ValueError,
        "members[0] (MLP(features=(4,), outputs=4)): data.train.y: huber: ",
        "(10, 4)",
        "(10, 2)",
    ),
    "outputs 2": (
        lambda: fit(jn.nn.MLP([4], 2)),
        ValueError,
        "outputs=2)): ",
        "labels in 0..1, got 2",
    ),
    "no classes": (
        lambda: fit(jn.member((_init, lambda p, s, x, *, key, train: (x[:, 0], s)))),
        ValueError,
        "members[0] (network): data.train.y: ",
        "(batch, ..., classes)",
    ),
    "second": (
        lambda: fit([jn.member(NET), jn.member(jn.nn.MLP([4], 2))]),
        ValueError,
        "members[1] (MLP(features=(4,), outputs=2)): ",
    ),
    "rank": (
        lambda: fit(jn.nn.Conv(4, (3, 3))),
        ValueError,
        "members[0] (Conv(",
        "network: cannot take inputs of shape (4, 3) float32",
    ),
    "lenet": (
        lambda: fit(jn.nn.LeNet()),
        ValueError,
        "members[0] (LeNet(",
        "network: cannot take inputs",
    ),
    "batch": (
        lambda: fit(batch_size=11),
        ValueError,
        MLP,
        "batch_size: expected at most the 10 training",
        "got 11",
    ),
    "own batch": (lambda: fit(second(batch_size=64)), ValueError, SECOND, "batch_size: ", "got 64"),
    "no valid": (
        lambda: fit(data=data(), keep="best"),
        ValueError,
        MLP,
        "data.valid: monitor='valid_loss'",
    ),
    "no valid 2": (
        lambda: fit(data=data(), patience=3),
        ValueError,
        MLP,
        "data.valid: monitor='valid_loss'",
    ),
    # Networks.
    "init fails": (
        lambda: fit(pair(failing)),
        ValueError,
        "members[0] (network): network: ",
        "no weights today",
    ),
    "init triple": (
        lambda: fit(pair(lambda key, x: (1, 2, 3))),
        ValueError,
        "members[0] (network): network: ",
    ),
    "no state": (
        lambda: fit(pair(lambda key, x: ({}, None))),
        TypeError,
        "network: expected init to return",
    ),
    "no pair": (
        lambda: fit(pair(apply=lambda p, s, x, *, key, train: x)),
        ValueError,
        "members[0] (network): ",
    ),
    "no train": (
        lambda: fit(pair(apply=lambda p, s, x: (x, s))),
        ValueError,
        "members[0] (network): ",
        "'key'",
    ),
    "growing": (lambda: fit(Growing()), ValueError, "members[0] (Growing()): "),
    "two masters": (
        lambda: fit(Paced()),
        ValueError,
        "members[0] (Paced()): hyperparameter 'learning_rate': both the optimizer and the network",
    ),
    "unhashable": (
        lambda: fit(Table(np.ones(2))),
        TypeError,
        "network: Table has a field that cannot be hashed",
    ),
    # Members.
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
        SECOND,
        "l2: expected a float32 number",
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
    # Names and options.
    "loss": (
        lambda: fit(loss="cross_entropy"),
        ValueError,
        MLP,
        "loss: unknown name",
        "'softmax_cross_entropy'",
    ),
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
    "devices twice": (
        lambda: fit(devices=jax.local_devices()[:1] * 2),
        ValueError,
        "devices: expected different",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_refused_in_words_before_anything_is_compiled(name: str):
    call, kind, *fragments = TABLE[name]
    start = perf_counter()
    with compilations() as compiled, pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is kind, repr(caught.value)
    assert all(fragment in message for fragment in fragments), message
    assert compiled == []
    assert perf_counter() - start < 2


def test_a_good_member_among_the_bad_ones_is_not_trained_either():
    reached = []

    def loss(outputs, batch):
        reached.append(isinstance(outputs, jax.core.Tracer))
        return jn.losses.softmax_cross_entropy(outputs, batch)

    with pytest.raises(ValueError, match=r"members\[1\]"), compilations() as compiled:
        fit(second(momentum=0.9), loss=loss)
    assert all(reached) and compiled == []
