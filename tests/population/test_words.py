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
import types
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


MODULE = """
import collections, enum, functools, fractions, types, typing
import flax, jax, jax.numpy as jnp, numpy as np
import flax.linen as nn
import jaxnets as jn
"""
USES = """
class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return USE(nn.Dense(2)(x))
"""
LIFTED = """
class Inner(nn.Module):
    @nn.compact
    def __call__(self, x, _=None):
        return BODY
Lifted = LIFT
class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return Lifted()(x)
"""
METHOD = """
def decorator(by):
    def decorate(function):
        DECORATED
        def inner(self, x, train=False):
            return by * function(self, x, train)
        return inner
    return decorate
class Net(nn.Module):
    @nn.compact
    @decorator(VALUE)
    def __call__(self, x, train=False):
        return nn.Dense(2)(x)
"""
ELSEWHERE = '''
tools = types.ModuleType("tools")
exec("""
def decorator(function):
    def inner(self, x, train=False):
        return VALUE * function(self, x, train)
    return inner
""", vars(tools))
class Net(nn.Module):
    @nn.compact
    @tools.decorator
    def __call__(self, x, train=False):
        return nn.Dense(2)(x)
'''
RULE = """
@jax.custom_vjp
def USE(x):
    return x
USE.defvjp(lambda x: (x, None), lambda saved, g: (VALUE * g,))
"""
FORWARD = """
@jax.custom_jvp
def USE(x):
    return x
@USE.defjvp
def rule(primals, tangents):
    return primals[0], VALUE * tangents[0]
"""
HELD = """
class Net(nn.Module):
    gain: typing.ClassVar[float] = VALUE
    @nn.compact
    def __call__(self, x, train=False):
        return self.gain * nn.Dense(2)(x)
"""
ENUM = """
class Kind(enum.Enum):
    A = 1
    B = 2
HELD = VALUE
def USE(x):
    return HELD.value * x
"""
PARTIAL = """
class Net(nn.Module):
    def scaled(self, x, by):
        return by * x
    double = functools.partialmethod(scaled, by=VALUE)
    @nn.compact
    def __call__(self, x, train=False):
        return self.double(nn.Dense(2)(x))
"""
NAMED = "HELD = VALUE\ndef USE(x):\n    return READ * x\n" + USES


def lifted(lift: str, body: str = "nn.relu(x)") -> str:
    return LIFTED.replace("LIFT", lift).replace("BODY", body)


def named(value: str, read: str) -> str:
    return NAMED.replace("VALUE", value).replace("READ", read)


SCAN = "nn.scan(Inner, variable_axes={'params': 0}, split_rngs={'params': True}, length=%d)"
EDITS: dict[str, tuple[str, str]] = {
    "in a lifted class": tuple(lifted("nn.remat(Inner)", b) for b in ("nn.relu(x)", "nn.tanh(x)")),
    "of a lifted class": tuple(lifted(SCAN % n, "(x, None)") for n in (2, 6)),
    "a decorator's value": tuple(
        METHOD.replace("VALUE", v).replace("DECORATED", "@functools.wraps(function)") for v in "23"
    ),
    "a bare decorator's value": tuple(
        METHOD.replace("VALUE", v).replace("DECORATED", "") for v in "23"
    ),
    "a bare decorator of another module": tuple(ELSEWHERE.replace("VALUE", v) for v in "23"),
    "a backward rule": tuple((RULE + USES).replace("VALUE", v) for v in "23"),
    "a forward rule": tuple((FORWARD + USES).replace("VALUE", v) for v in "23"),
    "a variable of the class": tuple(HELD.replace("VALUE", v) for v in "23"),
    "a mapping": tuple(named(f"types.MappingProxyType({{'a': {v}}})", "HELD['a']") for v in "23"),
    "a frozen mapping": tuple(
        named(f"flax.core.FrozenDict({{'a': {v}}})", "HELD['a']") for v in "23"
    ),
    "a dtype": tuple(named(f"np.dtype('float{n}')", "jnp.ones((), HELD)") for n in (16, 32)),
    "an enumeration": tuple((ENUM + USES).replace("VALUE", f"Kind.{v}") for v in "AB"),
    "a namespace": tuple(named(f"types.SimpleNamespace(a={v})", "HELD.a") for v in "23"),
    "a queue": tuple(named(f"collections.deque([{v}])", "HELD[0]") for v in "23"),
    "a fraction": tuple(named(f"fractions.Fraction(1, {v})", "float(HELD)") for v in "23"),
    "a schedule": tuple(named(f"jn.schedules.cosine({v})", "HELD(1)") for v in "23"),
    "a bound method": tuple(PARTIAL.replace("VALUE", v) for v in "23"),
    "the order of a dictionary": tuple(
        named(v, "sum(HELD.values())") for v in ("{'a': 6, 'b': 3}", "{'b': 3, 'a': 6}")
    ),
}
"""A module before and after an edit that changes what its network does."""

UNCHANGED: dict[str, tuple[str, str]] = {
    "documentation": tuple(
        USES.replace("USE", "").replace("train=False):", f'train=False):\n        "{text}"')
        for text in ("one", "another")
    ),
    "NumPy's float": (named("2.0", "HELD"), named("np.float64(2.0)", "HELD")),
}
"""An edit that does not."""


@pytest.mark.parametrize("held", ["os.environ", "types.MappingProxyType(os.environ.copy())"])
def test_only_what_does_not_change_is_told(held: str, monkeypatch: pytest.MonkeyPatch):
    source = "import os\n" + named(held, "len(HELD['PATH'])")
    before = describe(network_of(source, monkeypatch))
    monkeypatch.setenv("JAXNETS_SOMETHING", "else")
    after = describe(network_of(source, monkeypatch))
    assert (before == after) == (held == "os.environ")


def network_of(source: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = types.ModuleType("edited")
    monkeypatch.setitem(sys.modules, "edited", module)
    exec(MODULE + source, vars(module))
    network = module.Net()
    network.init_with_output(jax.random.key(0), np.ones((3, 2), np.float32))  # it works
    return network


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_seen(name: str, monkeypatch: pytest.MonkeyPatch):
    before, again, after = (
        json.dumps(describe(network_of(source, monkeypatch)), sort_keys=True)
        for source in (EDITS[name][0], *EDITS[name])
    )
    assert before == again != after
    assert "0x" not in before


@pytest.mark.parametrize("name", UNCHANGED)
def test_an_edit_that_changes_nothing_is_not(name: str, monkeypatch: pytest.MonkeyPatch):
    before, after = (describe(network_of(source, monkeypatch)) for source in UNCHANGED[name])
    assert before == after


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
