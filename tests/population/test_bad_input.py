"""A table of mistakes in key, data and network; those in settings are in ``test_bad_settings``."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnets as jn
from jaxnets.data import Dataset
from jaxnets.nn.hyper import hyperparameter
from tests.small import DATA, NET, ROOT, check_refused, fit, part, regression

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


SCALES = (
    lambda key, x: ({"w": jnp.ones(3)}, {}),
    lambda p, s, x, *, key, train: (x * p["w"][None], s),
)


WIDENING = optax.GradientTransformation(
    lambda params: optax.tree.cast(params, jnp.bfloat16),
    lambda updates, state, params=None: (updates, optax.tree.cast(state, jnp.float32)),
)


def failing(key, x):
    raise RuntimeError("no weights today")


class Growing(nn.Module):
    """Its state has another structure after every step."""

    @nn.compact
    def __call__(self, x):
        self.sow("acts", "h", x.sum())
        return nn.Dense(3)(x)


class Halved(nn.Module):
    """Its statistics become wider after every step."""

    @nn.compact
    def __call__(self, x, train=False):
        mean = self.variable("stats", "mean", lambda: jnp.zeros((), jnp.bfloat16))
        if train:
            mean.value = jnp.mean(x)
        return nn.Dense(3)(x)


class Narrowed(nn.Module):
    """Its statistics lose an axis after the first step."""

    @nn.compact
    def __call__(self, x, train=False):
        mean = self.variable("stats", "mean", lambda: jnp.zeros(3))
        if train:
            mean.value = jnp.mean(x)
        return nn.Dense(3)(x)


class Counted(nn.Module):
    """Its own number is an integer: a member's would be cut off."""

    @nn.compact
    def __call__(self, x):
        times = self.variable("hyper", "times", lambda: jnp.int32(2)).value
        return times * nn.Dense(3)(x)


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
    "another dtype": (
        lambda: fit(Halved()),
        TypeError,
        "members[0] (Halved()): the training state.collections['stats']['mean']: ",
        "what it was, bfloat16[]; after one it is float32[]",
    ),
    "another shape": (
        lambda: fit(Narrowed()),
        TypeError,
        "the training state.collections['stats']['mean']: ",
        "what it was, float32[3]; after one it is float32[]",
    ),
    "another dtype of the optimizer": (
        lambda: fit(nn.Dense(3), optimizer=WIDENING),
        TypeError,
        "the training state.opt_state",
        "bfloat16[3]; after one it is float32[3]",
    ),
    "an integer of its own": (
        lambda: fit(Counted()),
        TypeError,
        "members[0] (Counted()): ",
        "'hyper' to be floating-point, got 'times' of dtype int32",
    ),
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
        TypeError,
        "members[0] (network): network: expected init to return (params, state)",
        "got one tuple",
    ),
    "params alone": (
        lambda: fit(pair(lambda key, x: {"w": jnp.ones((3, 3))})),
        TypeError,
        "network: expected init to return (params, state)",
        "got one dict",
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
        TypeError,
        "network: expected apply(params, state, x, *, key, train), got apply(p, s, x)",
        "'key'",
    ),
    "two outputs": (
        lambda: fit(pair(apply=lambda p, s, x, *, key, train: ((x, x), s))),
        ValueError,
        "network: expected one array of outputs, which softmax_cross_entropy compares",
    ),
    "no weights": (
        lambda: fit(jn.member(SCALES, l2=0.1)),
        ValueError,
        "members[0] (network): l2: acts on weights",
    ),
    "traced key": (
        lambda: jax.jit(lambda key: fit(key=key))(ROOT),
        TypeError,
        "key: expected one that is not traced",
        "make_train",
    ),
    "growing": (
        lambda: fit(Growing()),
        TypeError,
        "members[0] (Growing()): the training state.collections['acts']['h'][1]: expected a step",
        "what it was, nothing; after one it is float32[]",
    ),
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
}


@pytest.mark.parametrize("name", TABLE)
def test_refused_in_words_before_anything_is_compiled(name: str):
    check_refused(*TABLE[name])
