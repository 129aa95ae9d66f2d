"""What a user's function has closed over is compared by what it holds, whatever it is."""

import array
import collections
import datetime
import fractions
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import jaxnets as jn
from jaxnets.population.words import describe

WINDOW = slice(0, 2)


def closing_over(value: Any) -> Callable[..., Any]:
    def augment(key: Any, x: Any) -> Any:
        return x * value

    return augment


def windowed(key: Any, x: Any) -> Any:
    return x[:, WINDOW]


def scaled(factor: float) -> Callable[..., Any]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*arguments: Any) -> Any:
            return factor * function(*arguments)

        return wrapped

    return decorate


def plain(key: Any, x: Any) -> Any:
    return x


class Slots:
    """An object without a dictionary."""

    __slots__ = ("factor",)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, key: Any, x: Any) -> Any:
        return self.factor * x


PAIRS: dict[str, Callable[[int], Any]] = {
    "slice": lambda n: closing_over(slice(0, n)),
    "range": lambda n: closing_over(range(n)),
    "a series": lambda n: closing_over(pd.Series([1.0, n])),
    "a frame": lambda n: closing_over(pd.DataFrame({"a": [1.0, n]})),
    "sparse": lambda n: closing_over(scipy.sparse.csr_matrix(n * np.eye(2))),
    "masked": lambda n: closing_over(np.ma.masked_array([1, 2], [n == 1, n == 2])),
    "a deque": lambda n: closing_over(collections.deque([n])),
    "a fraction": lambda n: closing_over(fractions.Fraction(1, n + 1)),
    "a duration": lambda n: closing_over(datetime.timedelta(n)),
    "an array of Python's": lambda n: closing_over(array.array("d", [n])),
    "bytes": lambda n: closing_over(bytearray([n])),
    "a view": lambda n: closing_over(memoryview(bytes([n]))),
    "slots": Slots,
    "a method of slots": lambda n: Slots(n).__call__,
    "a wrapper": lambda n: scaled(n)(plain),
    "a compiled wrapper": lambda n: jax.jit(scaled(n)(plain)),
    "a mapped function": lambda n: jax.vmap(closing_over(n)),
    "a remembered function": lambda n: functools.lru_cache(closing_over(n)),
}


@pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS)
def test_another_value_is_another_function(make: Callable[[int], Any]):
    assert json.dumps(describe(make(1))) == json.dumps(describe(make(1)))
    assert json.dumps(describe(make(1))) != json.dumps(describe(make(2)))


def test_a_slice_of_the_module_is_seen(monkeypatch: pytest.MonkeyPatch):
    before = describe(windowed)
    monkeypatch.setitem(globals(), "WINDOW", slice(0, 3))
    assert describe(windowed) != before


def test_a_wrapper_of_the_module_is_not_what_it_wraps(monkeypatch: pytest.MonkeyPatch):
    def calls(key: Any, x: Any) -> Any:
        return windowed(key, x)

    before = describe(calls)
    monkeypatch.setitem(globals(), "windowed", scaled(2.0)(windowed))
    assert describe(calls) != before


def test_the_words_are_the_same_in_another_process():
    program = (
        "import json; from tests.population.test_words import PAIRS, describe;"
        "print(json.dumps([describe(make(1)) for make in PAIRS.values()]))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root,
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(root)},
    )  # fmt: skip
    here = [describe(make(1)) for make in PAIRS.values()]
    assert "0x" not in done.stdout and json.loads(done.stdout) == json.loads(json.dumps(here))


def test_a_folder_of_another_wrapper_is_refused(tmp_path: Path):
    data = jn.data.Dataset.from_splits(train=(np.eye(6), np.arange(6) % 2), valid=None, test=None)

    def fit(factor: float) -> jn.Runs:
        return jn.fit(
            jax.random.key(0), data, jn.nn.MLP([3], outputs=2), epochs=1, batch_size=3,
            loss="softmax_cross_entropy", augment=scaled(factor)(plain), out=tmp_path,
        )  # fmt: skip

    fit(1.0)
    with pytest.raises(ValueError, match="holds another study: augment"):
        fit(10.0)
