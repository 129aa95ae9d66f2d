"""Malformed specifications and data, generated: each ends in a named error, at once."""

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxnets as jn
from jaxnets.population.program import executables

LIMIT = 2.0
"""Seconds until the error, nothing having been compiled."""

NOT_FINITE = (float("nan"), float("inf"), float("-inf"))


class Case(NamedTuple):
    """Something malformed.

    Attributes:
        argument: which the error must name.
        call: does it, with what is drawn and a folder for the results.
    """

    argument: str
    call: Callable[[random.Random, Path], Any]


def _word(draw: random.Random) -> str:
    return "".join(draw.choice("abcdefgh_") for _ in range(draw.randint(1, 9)))


def _no_integer(draw: random.Random) -> Any:
    return draw.choice([0, -draw.randint(1, 99), draw.random() + 0.1, "3", None, True, [2], 1j])


def _no_number(draw: random.Random) -> Any:
    return draw.choice([*NOT_FINITE, "0.1", None, True, [0.1], 1j, 10.0 ** draw.randint(40, 300)])


def _no_rate(draw: random.Random) -> Any:
    return draw.choice([-draw.random() - 1e-6, 1.0 + draw.random(), *NOT_FINITE, "much", [0.1]])


def _any_of(draw: random.Random, *values: Any) -> Any:
    return draw.choice(values)


def rows(draw: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """Good ones."""
    rng = np.random.default_rng(draw.randrange(2**32))
    n, inputs = draw.randint(12, 40), draw.randint(1, 6)
    return rng.standard_normal((n, inputs)).astype(np.float32), rng.integers(0, 3, n)


def data(draw: random.Random) -> jn.data.Dataset:
    """A good data set."""
    return jn.data.from_arrays(*rows(draw), key=jax.random.key(0))


def fit(draw: random.Random, out: Path, **changed: Any) -> Any:
    """A training of which something is not right."""
    given: dict[str, Any] = {
        "key": jax.random.key(1),
        "data": data(draw) if "data" not in changed else None,
        "members": jn.nn.MLP([4], outputs=3),
        "loss": "softmax_cross_entropy",
        "epochs": 2,
        "batch_size": 4,
        "out": out,
    }
    given |= changed
    return jn.fit(given.pop("key"), given.pop("data"), given.pop("members"), **given)


def _bad_cell(draw: random.Random, out: Path) -> Any:
    x, y = rows(draw)
    x[draw.randrange(len(x)), draw.randrange(x.shape[1])] = draw.choice(NOT_FINITE)
    return fit(draw, out, data=from_arrays(x, y))


def _bad_label(draw: random.Random, out: Path, label: int) -> Any:
    x, y = rows(draw)
    y[draw.randrange(len(y))] = label
    return fit(draw, out, data=jn.data.Dataset.from_splits(train=(x, y), valid=None, test=None))


def from_arrays(x: Any, y: Any, **options: Any) -> jn.data.Dataset:
    """A data set of these arrays."""
    return jn.data.from_arrays(x, y, key=jax.random.key(0), **options)


def _arrays(argument: str, change: Callable[[Any, Any], tuple[Any, Any]]) -> Case:
    """Good arrays, changed, as a data set."""
    return Case(argument, lambda d, out: fit(d, out, data=from_arrays(*change(*rows(d)))))


def _network(argument: str, make: Callable[[random.Random], Any]) -> Case:
    return Case(argument, lambda d, out: fit(d, out, members=make(d)))


def _optimizer(argument: str, make: Callable[[random.Random], Any]) -> Case:
    return Case(argument, lambda d, out: fit(d, out, optimizer=make(d)))


def _option(argument: str, value: Callable[[random.Random], Any]) -> Case:
    return Case(argument, lambda d, out: fit(d, out, **{argument: value(d)}))


def _any(draw: random.Random) -> Callable[..., Any]:
    """One of the optimizers."""
    return getattr(jn.optim, draw.choice(["sgd", "momentum", "adam", "adamw", "rmsprop"]))


GOOD = jn.nn.MLP([4], outputs=3)

CASES: tuple[Case, ...] = (
    _option("key", lambda d: d.choice([0, None, "key", jax.random.PRNGKey(0), jax.random.split(
        jax.random.key(0), 2), jax.random.key(0, impl="rbg"), np.uint32(1)])),
    _option("data", lambda d: d.choice([None, 3, np.ones((4, 2)), "mnist1d", {}])),
    Case("x", _bad_cell),
    _arrays("x and y", lambda x, y: (x, y[:-1])),
    _arrays("x", lambda x, y: (x[:0], y[:0])),
    _arrays("x", lambda x, y: (x.astype(object), y)),
    _arrays("x", lambda x, y: (x.astype("U4"), y)),
    _arrays("x", lambda x, y: (x + 1j, y)),
    _arrays("x", lambda x, y: (x[0, 0], y)),
    _arrays("x", lambda x, y: (None, y)),
    _arrays("x", lambda x, y: ([[1.0], [2.0, 3.0]], y[:2])),
    _arrays("y", lambda x, y: (x, y.astype("U4"))),
    _arrays("y", lambda x, y: (x, np.where(np.arange(len(y)) == 0, np.nan, y))),
    Case("y", lambda d, out: _bad_label(d, out, -1)),
    Case("y", lambda d, out: _bad_label(d, out, d.choice([3, 99]))),
    Case("valid", lambda d, out: fit(d, out, data=from_arrays(
        *rows(d), valid=d.choice([-0.1, 1.5, "half", float("nan")])))),
    _network("features", lambda d: jn.nn.MLP([_no_integer(d)], outputs=3)),
    _network("outputs", lambda d: jn.nn.MLP([4], outputs=_no_integer(d))),
    _network("outputs", lambda d: jn.nn.MLP([4], outputs=d.choice([1, 2]))),
    _network("activation", lambda d: jn.nn.MLP([4], outputs=3, activation=_word(d))),
    _network("kernel_init", lambda d: jn.nn.MLP([4], outputs=3, kernel_init=_word(d))),
    _network("norm", lambda d: jn.nn.MLP([4], outputs=3, norm=_word(d))),
    _network("dropout_rate", lambda d: jn.nn.MLP([4], outputs=3, dropout_rate=_no_rate(d))),
    _network("features", lambda d: jn.nn.ResidualMLP(_no_integer(d), 2, 3)),
    _network(
        "kernel_size",  # [2] is one: of the only layer
        lambda d: jn.nn.ConvNet([4], 3, kernel_size=_any_of(d, 0, -3, 1.5, "3", None, 1j)),
    ),
    _network("padding", lambda d: jn.nn.ConvNet([4], 3, padding=_word(d))),
    _network("depth", lambda d: jn.nn.ResNet(_any_of(d, 0, 1, 3, 7, 21, -8, "20"))),
    _network("features", lambda d: jn.nn.Autoencoder([_no_integer(d)], 2)),
    _network("seed", lambda d: jn.member(GOOD, seed=d.choice([-1, 2**32, 0.5, "0", None, True]))),
    _network("learning_rate", lambda d: jn.member(GOOD, learning_rate=_no_number(d))),
    _network("network", lambda d: jn.member(d.choice([None, 3, "mlp", object()]))),
    _network("learning_rate", lambda d: jn.grid(network=GOOD, learning_rate=[])),
    _network("seed", lambda d: jn.grid(network=GOOD, seed=[0, -d.randint(1, 9)])),
    _network("network", lambda d: jn.grid(network=[], seed=range(2))),
    _network("members", lambda d: jn.grid(network=GOOD, **{_word(d): [0.1]}, seed=range(2))),
    _optimizer("learning_rate", lambda d: _any(d)(learning_rate=_no_number(d))),
    _optimizer("learning_rate", lambda d: _any(d)(learning_rate=-d.random() - 1e-9)),
    _optimizer("clip_norm", lambda d: _any(d)(clip_norm=d.choice([0.0, -1.0, *NOT_FINITE, "1"]))),
    _optimizer("option", lambda d: _any(d)(**{_word(d): 0.1})),
    _optimizer("schedule", lambda d: _any(d)(schedule=_word(d))),
    _optimizer("b1", lambda d: jn.optim.adam(b1=_no_rate(d))),
    _option("optimizer", lambda d: d.choice([_word(d), None, 3, {}])),
    _option("loss", lambda d: d.choice([_word(d), None, 3])),
    Case("y", lambda d, out: fit(d, out, loss="mean_squared_error")),
    _option("epochs", _no_integer),
    _option("batch_size", _no_integer),
    _option("history_every", _no_integer),
    _option("lanes", lambda d: d.choice([0, -1, 1.5, "2", True])),
    _option("devices", lambda d: d.choice([[], "cpu", [0], 3, (None,)])),
    _option("metrics", lambda d: d.choice([3, {"loss": abs}, [None]])),
    Case("metric", lambda d, out: fit(d, out, metrics=[_word(d)])),
    _option("monitor", lambda d: d.choice([_word(d), 3, "valid_" + _word(d)])),
    _option("patience", lambda d: d.choice([0, -2, 0.5, "3", True])),
    _option("keep", lambda d: d.choice([_word(d), None, 1])),
    _option("precision", lambda d: d.choice([_word(d), None, 16])),
    _option("save_every", lambda d: d.choice([-1.0, float("nan"), "often", None])),
    _option("augment", lambda d: d.choice([3, "flip", [1]])),
    _option("shuffle", lambda d: d.choice([None, "yes", 2])),
    Case("argument", lambda d, out: fit(d, out, **{_word(d): 1})),
)  # fmt: skip


def run(count: int) -> dict[str, Any]:
    """``count`` of them, case after case."""
    kinds: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    slowest = 0.0
    with TemporaryDirectory() as place:
        for number in range(count):
            case, draw = CASES[number % len(CASES)], random.Random(number)
            out = Path(place, f"{number}")
            compiled = executables.cache_info().misses
            began = perf_counter()
            error = error_of(case, draw, out)
            seconds = perf_counter() - began
            slowest = max(slowest, seconds)
            kinds[type(error).__name__] += 1
            reason = objection(case.argument, error)
            if not reason and out.exists():
                reason = "left a folder behind"
            if not reason and executables.cache_info().misses > compiled:
                reason = "compiled a training program"
            if not reason and seconds > LIMIT:
                reason = f"took {seconds:.1f} s"
            if reason:
                wrong[f"{number}: {case.argument}"] = reason
    return {"malformed": count, "cases": len(CASES), "ended in": dict(kinds),
            "slowest seconds": round(slowest, 2), "wrong": wrong}  # fmt: skip


def error_of(case: Case, draw: random.Random, out: Path) -> Exception | None:
    """What a case ends in."""
    try:
        case.call(draw, out)
    except Exception as error:
        return error
    return None


def objection(argument: str, error: Exception | None) -> str:
    """What is wrong with the error that something malformed ended in; empty if nothing is."""
    if error is None:
        return "accepted"
    said = f"{type(error).__name__}: {error}"
    if not isinstance(error, ValueError | TypeError):
        return f"another error: {said}"
    if not re.search(rf"\b{re.escape(argument)}\b", str(error)):
        return f"does not name {argument}: {said}"
    return ""
