"""Who a member is, in words: the same in every process, another for another member."""

import functools
import inspect
import logging
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas
import pytest
import xarray
from xarray import DataArray

import jaxnets as jn
from jaxnets.population import code
from jaxnets.population.identity import digest
from jaxnets.population.identity import members as identities
from jaxnets.population.words import describe
from tests.small import DATA, LOSS, NET, ROOT

SCALE, SHIFT = 2.0, 1.0


def helper(x):
    return SCALE * x


def augment(key, x):
    return helper(x) + SHIFT


def shifted(key, x, by):
    return x + by


def rewritten(function, **names):
    """The same code, other globals: as if its file had been changed."""
    other = types.FunctionType(
        function.__code__, function.__globals__ | names, function.__name__,
        function.__defaults__, function.__closure__,
    )  # fmt: skip
    other.__module__, other.__qualname__ = function.__module__, function.__qualname__
    return other


def closed_over(value):
    def inner(key, x):
        return x * value

    return inner


WEIGHTS, TABLE = np.array([1.0, 2.0]), {"a": [1, 2]}


def weighted(key, x):
    return x * WEIGHTS[0] * TABLE["a"][0]


class Half(nn.Module):
    """A part of other modules."""

    @nn.compact
    def __call__(self, x):
        return nn.relu(nn.Dense(3)(x))


class Whole(nn.Module):
    gain = 2.0
    _own = 3.0
    act = staticmethod(nn.relu)

    @property
    def twice(self):
        return 2 * self.gain

    @staticmethod
    def once():
        return 1

    @nn.compact
    def __call__(self, x):
        return self.twice * self.once() * Half()(x)


class Loss:
    """An object that is called."""

    def __call__(self, outputs, batch):
        return outputs[:, 0]


class Holder(nn.Module):
    """Its part is a class."""

    part: type = Half

    @nn.compact
    def __call__(self, x):
        return self.part()(x)


y, ACT, GAINS = np.arange(3), nn.relu, {nn.relu: 2.0, nn.tanh: 1.6}
OBJECTS = np.array([{"a": 1}, None], dtype=object)


def with_attribute(outputs, batch):
    return outputs[:, 0] - batch.y


def with_alias(outputs, batch):
    return ACT(outputs)[:, 0]


def with_tables(outputs, batch):
    return GAINS[nn.relu] * outputs[:, 0] * len(OBJECTS)


def names_a_library(outputs, batch):
    return outputs if isinstance(outputs, pandas.DataFrame) else DataArray and outputs[:, 0]


def redefined(cls, **names):
    """The same class, these entries replaced: as if its file had been changed."""
    own = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    other = type(cls.__name__, cls.__bases__, own | names)
    other.__qualname__ = cls.__qualname__
    return other


class Module(nn.Module):
    width: int = 3

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.relu(nn.Dense(self.width)(x)))


def of(**options):
    given = {"loss": LOSS, "epochs": 3, "optimizer": "sgd", "batch_size": 4} | options
    who = given.pop("members", jn.member(NET))
    spec = jn.make_spec(ROOT, DATA, who, **given)
    return [name for p in jn.make_plan(spec).programs for name in identities(spec, p)]


DIFFERENT = {
    "seed": ({"members": jn.member(NET)}, {"members": jn.member(NET, seed=1)}),
    "one seed": ({"members": jn.member(NET)}, {"members": jn.member(NET, order_seed=1)}),
    "rate": (
        {"members": jn.member(NET, learning_rate=0.1)},
        {"members": jn.member(NET, learning_rate=float(np.nextafter(np.float32(0.1), 1)))},
    ),
    "network": ({}, {"members": jn.member(jn.nn.MLP([5], outputs=3))}),
    "a field": ({"members": jn.member(Module())}, {"members": jn.member(Module(4))}),
    "another number": ({"members": jn.member(NET)}, {"members": jn.member(NET, l2=0.0)}),
    "batch": ({}, {"batch_size": 5}),
    "patience": ({}, {"patience": 2}),
    "clipping": ({}, {"optimizer": jn.optim.sgd(clip_norm=1.0)}),
    "a ready optimizer": ({"optimizer": optax.sgd(0.1)}, {"optimizer": optax.sgd(0.2)}),
    "a schedule": (
        {"optimizer": jn.optim.sgd(schedule=lambda step: 1.0 / (1.0 + step))},
        {"optimizer": jn.optim.sgd(schedule=lambda step: 1.0 / (2.0 + step))},
    ),
    "augmentation": ({"augment": augment}, {"augment": closed_over(1.0)}),
    "what is closed over": ({"augment": closed_over(1.0)}, {"augment": closed_over(2.0)}),
    "a constant it names": ({"augment": augment}, {"augment": rewritten(augment, SHIFT=3.0)}),
    "a constant further on": (
        {"augment": augment},
        {"augment": rewritten(augment, helper=rewritten(helper, SCALE=3.0))},
    ),
    "a function it calls": (
        {"augment": augment},
        {"augment": rewritten(augment, helper=lambda x: x + 1)},
    ),
    "a bound argument": (
        {"augment": functools.partial(shifted, by=1.0)},
        {"augment": functools.partial(shifted, by=2.0)},
    ),
    "a metric's": (
        {"metrics": {"mine": jn.metrics.top_k_accuracy(1)}},
        {"metrics": {"mine": jn.metrics.top_k_accuracy(2)}},
    ),
    "a function that is compiled": (
        {"augment": jax.jit(closed_over(1.0))}, {"augment": jax.jit(closed_over(2.0))}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_member(name: str):
    first, second = DIFFERENT[name]
    assert of(**first) != of(**second)
    assert of(**first) == of(**first)


def test_the_same_member():
    assert of() == of(epochs=30), "how far is not who"
    assert of(optimizer=jn.optim.sgd(0.5)) == of(members=jn.member(NET, learning_rate=0.5))
    assert of(members=[jn.member(NET, seed=1), jn.member(NET)])[1] == of()[0]
    assert of(augment=closed_over(1.0)) == of(augment=closed_over(1.0)), "made again"
    assert of(members=jn.member(Module())) == of(members=jn.member(Module()))
    assert len(set(of(members=jn.grid(network=NET, learning_rate=[0.1, 0.2], seed=range(4))))) == 8


def test_a_setting_of_jax_is_no_part_of_a_member():
    """It is part of the environment, which a folder holds."""
    name, before = "jax_disable_most_optimizations", of()
    jax.config.update(name, not jax.config.values[name])
    try:
        assert of() == before
    finally:
        jax.config.update(name, not jax.config.values[name])


def test_a_class_of_the_users_own_is_its_code():
    changed = type("Module", (nn.Module,), dict(Module.__dict__) | {"__call__": lambda self, x: x})
    changed.__qualname__ = Module.__qualname__
    assert describe(Module()) != describe(changed())
    assert describe(Module())["width"] == 3


CHANGED = {
    "an array it names": (weighted, rewritten(weighted, WEIGHTS=np.array([1.0, 3.0]))),
    "a table it names": (weighted, rewritten(weighted, TABLE={"a": [1, 3]})),
    "a constant of a class": (Whole(), redefined(Whole, gain=3.0)()),
    "a property": (Whole(), redefined(Whole, twice=property(lambda self: 3 * self.gain))()),
    "a static method": (Whole(), redefined(Whole, once=staticmethod(lambda: 2))()),
    "a constant of one's own": (Whole(), redefined(Whole, _own=4.0)()),
    "a function in a class": (Whole(), redefined(Whole, act=staticmethod(nn.tanh))()),
    "a class in a field": (
        Holder(), Holder(redefined(Half, __call__=lambda self, x: nn.tanh(x)))
    ),
    "an alias": (with_alias, rewritten(with_alias, ACT=nn.tanh)),
    "a table of functions": (
        with_tables, rewritten(with_tables, GAINS={nn.relu: 2.0, nn.gelu: 1.6})
    ),
    "an array of objects": (
        with_tables, rewritten(with_tables, OBJECTS=np.array([{"a": 2}, None], dtype=object))
    ),
    "an object that is called": (Loss(), redefined(Loss, __call__=lambda self, o, b: o[:, 1])()),
    "a class that it names": (
        Whole(),
        redefined(
            Whole, __call__=rewritten(
                inspect.unwrap(vars(Whole)["__call__"]),
                Half=redefined(Half, __call__=lambda self, x: nn.tanh(x)),
            ),
        )(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_what_has_changed_in_the_users_files_is_seen(name: str):
    before, after = CHANGED[name]
    assert describe(before) == describe(before) != describe(after)


def test_an_attribute_is_no_name():
    assert describe(with_attribute) == describe(rewritten(with_attribute, y=np.arange(4)))


def test_what_is_installed_is_told_by_its_name_and_version():
    words = describe(names_a_library)
    named = f"xarray.core.dataarray.DataArray {xarray.__version__}"
    assert words["names"] == {"DataArray": named, "pandas": "pandas"}
    assert describe(pandas.DataFrame) == f"pandas.DataFrame {pandas.__version__}"


def test_the_code_of_installed_functions_and_networks_is_compared(monkeypatch: pytest.MonkeyPatch):
    """A package of the user's may be installed anew under the same version."""
    monkeypatch.setattr(code, "installed", lambda top: top == "tests")
    changed = rewritten(augment, helper=rewritten(helper, SCALE=3.0))
    assert describe(augment) == describe(augment) != describe(changed)
    other = redefined(Module, __call__=lambda self, x: x)
    assert describe(Module()) == describe(Module()) != describe(other())


def test_a_librarys_objects_in_a_table_are_told_by_their_class():
    logs = rewritten(with_tables, GAINS={nn.relu: 2.0, "log": logging.getLogger("tests")})
    words = describe(logs)["names"]["GAINS"]
    assert next(entry for key, entry in words if key == "log").startswith("logging.Logger")


def test_words_of_code_have_no_addresses():
    thing = [with_tables, Holder(), Whole(), Loss()]
    assert " at 0x" not in str(describe(thing))


def test_parts_that_share_parts_are_told_once():
    """Sixty functions, each of which names the two before it: there are 10^12 ways to the first."""
    names: dict[str, object] = {"f0": helper, "f1": helper}
    for i in range(2, 60):
        exec(f"def f{i}(x): return f{i - 1}(x) + f{i - 2}(x)", names)
        names[f"f{i}"] = jax.jit(names[f"f{i}"]) if i % 2 else names[f"f{i}"]
    assert len(str(describe(names["f59"]))) < 20_000


def test_classes_made_again_are_the_same():
    again = redefined(Whole, once=staticmethod(vars(Whole)["once"].__func__))
    assert describe(Whole()) == describe(again())
    assert describe(Loss()) == describe(redefined(Loss)())


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.1, "text", (1, [2.0]), {"a": {1, 2}}, jnp.arange(3), np.float32(2),
        jnp.float32, jnp.tanh, jax.nn.relu, jax.nn.initializers.he_normal(), nn.Dense(3),
        jax.random.key(3), optax.adam(0.1), b"bytes", jn.optim.adam(), print, np.dtype("int8"),
    ],
    ids=lambda value: str(type(value)),
)  # fmt: skip
def test_words_are_json_and_have_no_addresses(value: object):
    words = describe(value)
    assert digest(words) == digest(describe(value)) and " at 0x" not in str(words)


def test_what_contains_itself():
    loop: list[object] = []
    loop.append(loop)
    assert describe(loop) == ["itself"]
