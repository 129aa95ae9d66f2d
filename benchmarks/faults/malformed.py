"""Malformed specifications and data, generated: each ends in a named error, at once."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import jax
import numpy as np

import jaxnets as jn
from jaxnets.population.program import executables

LIMIT = 2.0
"""Seconds until the error, nothing having been compiled."""

Broken = Callable[[random.Random], Any]
NOT_FINITE = (float("nan"), float("inf"), float("-inf"))


def _word(draw: random.Random) -> str:
    return "".join(draw.choice("abcdefgh_") for _ in range(draw.randint(1, 9)))


def _no_integer(draw: random.Random) -> Any:
    return draw.choice([0, -draw.randint(1, 99), draw.random() + 0.1, "3", None, True, [2], 1j])


def _no_number(draw: random.Random) -> Any:
    return draw.choice([*NOT_FINITE, "0.1", None, True, [0.1], 1j, 10.0 ** draw.randint(40, 300)])


def _no_rate(draw: random.Random) -> Any:
    return draw.choice([-draw.random() - 1e-6, 1.0 + draw.random(), *NOT_FINITE, "much", None])


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


def _bad_cell(draw: random.Random) -> Any:
    x, y = rows(draw)
    x[draw.randrange(len(x)), draw.randrange(x.shape[1])] = draw.choice(NOT_FINITE)
    return jn.data.from_arrays(x, y, key=jax.random.key(0))


def _bad_rows(draw: random.Random) -> Any:
    x, y = rows(draw)
    broken = [
        lambda: (x, y[: -draw.randint(1, 5)]),
        lambda: (x[:0], y[:0]),
        lambda: (x.astype(object), y),
        lambda: (x.astype("U4"), y),
        lambda: (x, y.astype("U4")),
        lambda: (x + 1j, y),
        lambda: (x[0, 0], y),
        lambda: (x, np.where(np.arange(len(y)) == 0, np.nan, y)),
        lambda: (None, y),
        lambda: ([[1.0], [2.0, 3.0]], y[:2]),
    ]
    return jn.data.from_arrays(*draw.choice(broken)(), key=jax.random.key(0))


def _bad_labels(draw: random.Random, out: Path) -> Any:
    x, y = rows(draw)
    y[draw.randrange(len(y))] = draw.choice([-1, 3, 99])
    whole = jn.data.Split(x, y)
    return fit(draw, out, data=jn.data.Dataset.from_splits(train=whole, valid=None, test=None))


def _network(draw: random.Random) -> Any:
    broken: list[Callable[[], Any]] = [
        lambda: jn.nn.MLP([_no_integer(draw)], outputs=3),
        lambda: jn.nn.MLP([4], outputs=_no_integer(draw)),
        lambda: jn.nn.MLP([4], outputs=3, activation=_word(draw)),
        lambda: jn.nn.MLP([4], outputs=3, kernel_init=_word(draw)),
        lambda: jn.nn.MLP([4], outputs=3, norm=_word(draw)),
        lambda: jn.nn.MLP([4], outputs=3, dropout_rate=_no_rate(draw)),
        lambda: jn.nn.ResidualMLP(_no_integer(draw), 2, 3),
        lambda: jn.nn.ConvNet([4], 3, kernel_size=_no_integer(draw)),
        lambda: jn.nn.ConvNet([4], 3, padding=_word(draw)),
        lambda: jn.nn.ResNet(draw.choice([0, 1, 3, 7, 21, -8, "20"])),
        lambda: jn.nn.Autoencoder([_no_integer(draw)], 2),
    ]
    return draw.choice(broken)()


def _optimizer(draw: random.Random) -> Any:
    name = draw.choice(["sgd", "momentum", "adam", "adamw", "rmsprop"])
    make = getattr(jn.optim, name)
    broken: list[Callable[[], Any]] = [
        lambda: make(learning_rate=_no_number(draw)),
        lambda: make(learning_rate=-draw.random() - 1e-9),
        lambda: make(clip_norm=draw.choice([0.0, -1.0, *NOT_FINITE, "1"])),
        lambda: make(**{_word(draw): 0.1}),
        lambda: make(schedule=_word(draw)),
        lambda: jn.optim.adam(b1=_no_rate(draw)),
    ]
    return draw.choice(broken)()


def _member(draw: random.Random) -> Any:
    good = jn.nn.MLP([4], outputs=3)
    broken: list[Callable[[], Any]] = [
        lambda: jn.member(good, seed=draw.choice([-1, 2**32, 0.5, "0", None, True])),
        lambda: jn.member(good, learning_rate=_no_number(draw)),
        lambda: jn.member(draw.choice([None, 3, "mlp", object()])),
        lambda: jn.grid(network=good, learning_rate=[]),
        lambda: jn.grid(network=good, seed=[0, -draw.randint(1, 9)]),
        lambda: jn.grid(network=[], seed=range(2)),
    ]
    return draw.choice(broken)()


CASES: dict[str, Callable[[random.Random, Path], Any]] = {
    "key": lambda d, out: fit(
        d, out, key=d.choice([0, None, "key", jax.random.PRNGKey(0), jax.random.split(
            jax.random.key(0), 2), jax.random.key(0, impl="rbg"), np.uint32(1)])
    ),
    "data": lambda d, out: fit(d, out, data=d.choice([None, 3, np.ones((4, 2)), "mnist1d", {}])),
    "cell": lambda d, out: fit(d, out, data=_bad_cell(d)),
    "rows": lambda d, out: fit(d, out, data=_bad_rows(d)),
    "labels": _bad_labels,
    "network": lambda d, out: fit(d, out, members=_network(d)),
    "members": lambda d, out: fit(d, out, members=_member(d)),
    "member's number": lambda d, out: fit(
        d, out, members=jn.grid(network=jn.nn.MLP([4], 3), **{_word(d): [0.1]}, seed=range(2))
    ),
    "outputs": lambda d, out: fit(d, out, members=jn.nn.MLP([4], d.choice([1, 2]))),
    "loss": lambda d, out: fit(d, out, loss=d.choice([_word(d), None, 3, "mean_squared_error"])),
    "optimizer": lambda d, out: fit(d, out, optimizer=_optimizer(d)),
    "optimizer's name": lambda d, out: fit(d, out, optimizer=d.choice([_word(d), None, 3, {}])),
    "epochs": lambda d, out: fit(d, out, epochs=_no_integer(d)),
    "batch size": lambda d, out: fit(d, out, batch_size=_no_integer(d)),
    "history": lambda d, out: fit(d, out, history_every=_no_integer(d)),
    "lanes": lambda d, out: fit(d, out, lanes=d.choice([0, -1, 1.5, "2", True])),
    "devices": lambda d, out: fit(d, out, devices=d.choice([[], "cpu", [0], 3, (None,)])),
    "metrics": lambda d, out: fit(d, out, metrics=d.choice([[_word(d)], 3, {"loss": abs}, [None]])),
    "monitor": lambda d, out: fit(d, out, monitor=d.choice([_word(d), None, "valid_" + _word(d)])),
    "patience": lambda d, out: fit(
        d, out, patience=d.choice([0, -2, 0.5, "3", True])
    ),
    "keep": lambda d, out: fit(d, out, keep=d.choice([_word(d), None, 1])),
    "precision": lambda d, out: fit(d, out, precision=d.choice([_word(d), None, 16])),
    "option": lambda d, out: fit(d, out, **{_word(d): 1}),
    "save": lambda d, out: fit(d, out, save_every=d.choice([-1.0, float("nan"), "often", None])),
    "augment": lambda d, out: fit(d, out, augment=d.choice([3, "flip", [1]])),
    "shuffle": lambda d, out: fit(d, out, shuffle=d.choice([None, "yes", 2])),
    "split": lambda d, out: fit(d, out, data=jn.data.from_arrays(
        *rows(d), key=jax.random.key(0), valid=d.choice([-0.1, 1.5, "half", float("nan")]))),
}  # fmt: skip


def run(count: int) -> dict[str, Any]:
    """``count`` of them, case after case."""
    jn.use_all_cores()
    names, kinds = list(CASES), Counter[str]()
    wrong: dict[str, str] = {}
    slowest = 0.0
    with TemporaryDirectory() as place:
        for number in range(count):
            name, draw = names[number % len(names)], random.Random(number)
            out = Path(place, f"{number}")
            compiled = executables.cache_info().misses
            began = perf_counter()
            outcome = _outcome(CASES[name], draw, out)
            seconds = perf_counter() - began
            slowest = max(slowest, seconds)
            kinds[outcome.partition(":")[0]] += 1
            if not outcome.startswith(("ValueError", "TypeError")):
                wrong[f"{number}: {name}"] = outcome
            elif out.exists():
                wrong[f"{number}: {name}"] = "left a folder behind"
            elif executables.cache_info().misses > compiled:
                wrong[f"{number}: {name}"] = "compiled a training program"
            elif seconds > LIMIT:
                wrong[f"{number}: {name}"] = f"took {seconds:.1f} s"
    return {"malformed": count, "cases": len(names), "ended in": dict(kinds),
            "slowest seconds": round(slowest, 2), "wrong": wrong}  # fmt: skip


def _outcome(case: Callable[[random.Random, Path], Any], draw: random.Random, out: Path) -> str:
    try:
        case(draw, out)
    except (ValueError, TypeError) as error:
        named = len(str(error)) > 10 and "jaxnets" not in type(error).__module__
        return f"{type(error).__name__}: {error}" if named else f"unnamed {type(error).__name__}"
    except Exception as error:
        return f"another error: {type(error).__name__}: {error}"
    return "accepted"
