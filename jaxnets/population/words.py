"""What decides a result, in words: the same in every process, others where code has changed."""

import collections
import dataclasses
import enum
import functools
import hashlib
import inspect
import json
import numbers
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType, ModuleType, SimpleNamespace
from typing import Any

import jax
import numpy as np
from flax import linen
from flax.core import FrozenDict

from jaxnets.optimizer import Optimizer
from jaxnets.population.code import (
    closed_over,
    code_digest,
    held_by,
    home_of,
    innermost,
    known,
    name_of,
    named_in,
    python_function,
    versioned,
)
from jaxnets.schedule import Schedule

CONSTANTS = (
    bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset,
    slice, range, np.ndarray, np.generic, np.dtype, jax.Array, MappingProxyType, FrozenDict,
    SimpleNamespace, numbers.Number, enum.Enum, collections.deque, functools.partialmethod,
)  # fmt: skip
"""What a name in a module or a class may stand for besides code, and is written down. Not every
mapping: the environment is one, and another in every process."""

Words = Any
"""What JSON knows: dictionaries, lists, strings, numbers."""


class _Empty(linen.Module):
    """What Linen puts into a class."""


_RULES = ("fwd", "bwd", "jvp", "nondiff_argnums")
"""Where what has a derivative of the user's own keeps it."""

_LINENS_OWN = frozenset(vars(_Empty))


def describe(value: object) -> Words:
    """The same words for the same thing, in every process.

    Of a function or a class that is not from an installed package it is the name, the compiled
    code, defaults, what it has closed over, and what the names in the code stand for in its module:
    functions, classes, constants (numbers, texts, arrays, lists and dictionaries of them), and
    objects of the user's own classes that are called, or dataclasses; these in turn. Of a class it
    is the methods, properties and constants. Of what is installed it is the name, with the version;
    of a function and of a network (or another dataclass) the code and the functions that it names,
    too. What is not seen: code of a user's that is reached through another module
    (``tools.scale``) or through an object, and what it reads from the world.

    Args:
        value: numbers, texts, arrays, dataclasses, Linen modules, functions, and all that is built
            from them.

    Returns:
        Words for JSON.

    Example:
        >>> describe({"rate": 0.5, "shape": (2, 3)})
        {'rate': 0.5, 'shape': [2, 3]}
        >>> describe(print)
        'builtins.print'
    """
    return _Describer().words(value)


class _Describer:
    """Describes one thing. A class or a function of a module is told in full the first time that it
    is met, and by its name afterwards: parts that share parts would be told over and over.
    """

    def __init__(self) -> None:
        self._above: list[int] = []
        self._told: set[int] = set()
        self._names = 0  # how many names of modules lie between here and what is described

    def words(self, value: Any) -> Words:
        """Of anything."""
        if type(value) is np.float64:
            return float(value)
        if value is None or isinstance(value, bool | int | float | str):
            return value if type(value) in (bool, int, float, str, type(None)) else str(value)
        if id(value) in self._above:
            return "itself"
        self._above.append(id(value))
        try:
            return self._words(value)
        finally:
            self._above.pop()

    def _words(self, value: Any) -> Words:
        if isinstance(value, jax.Device):
            return [value.platform, value.device_kind]
        if isinstance(value, enum.Enum):
            return [name_of(type(value)), value.name, self.words(value.value)]
        if isinstance(value, np.ndarray | np.generic | jax.Array):
            return self._array(value)
        if isinstance(value, ModuleType | np.dtype):
            return name_of(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, Mapping):
            keys = list(value)
            in_order = len(self._above) == 1 or keys == sorted(keys, key=str)
            # Layers may be made in the order of a dictionary.
            return self._mapping(value) if in_order else [self.words(keys), self._mapping(value)]
        if isinstance(value, set | frozenset):
            return sorted((self.words(v) for v in value), key=json.dumps)
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value).hex()
        if isinstance(value, complex):
            return str(value)
        if isinstance(value, slice | range):
            ends = (value.start, value.stop, value.step)
            return [name_of(type(value)), *map(self.words, ends)]
        if isinstance(value, tuple | list | collections.deque):
            words = [self.words(v) for v in value]
            return words if type(value) in (tuple, list) else [name_of(type(value)), *words]
        if dataclasses.is_dataclass(value):
            return self._dataclass(value)
        if isinstance(value, functools.partial | functools.partialmethod):
            given = self.words(value.args), self._mapping(value.keywords)
            return ["partial", self.words(value.func), *given]
        if isinstance(value, SimpleNamespace):
            return ["namespace", self._mapping(vars(value))]
        if isinstance(value, numbers.Number):
            return [name_of(type(value)), str(value)]
        return self._function(value) if callable(value) else self._object(value)

    def _array(self, value: Any) -> Words:
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return [str(value.dtype), jax.random.key_data(value).tolist()]
        if isinstance(value, np.ma.MaskedArray):
            hidden = np.ma.getmaskarray(value)
            return ["masked", self._array(value.filled()), self._array(hidden)]
        array = np.asarray(value)
        if array.dtype.hasobject:  # its bytes are addresses
            return [array.dtype.name, list(array.shape), self.words(array.tolist())]
        return [array.dtype.name, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]

    def _mapping(self, value: Mapping[Any, Any]) -> Words:
        if all(isinstance(key, str) for key in value):
            return {str(key): self.words(entry) for key, entry in value.items()}
        pairs = [[self.words(key), self.words(entry)] for key, entry in value.items()]
        return sorted(pairs, key=json.dumps)

    def _dataclass(self, value: Any) -> Words:
        """The fields by which it is compared; of a Linen module not where it stands."""
        cls = type(value)
        skipped = ("parent", "name") if isinstance(value, linen.Module) else ()
        fields = {
            field.name: self.words(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.compare and field.name not in skipped
        }
        return {"name": name_of(cls), **fields, **self._code_of(cls)}

    def _object(self, value: Any) -> Words:
        """An object of some other class: the class and what the object holds. In the tables of a
        module a library's objects (a logger, say) are told by their class alone: what they reach
        is not what decides, and need not be the same in another process.
        """
        cls = type(value)
        if id(value) in self._told or (self._names and known(cls)):
            return name_of(cls)
        self._told.add(id(value))
        held = self._mapping(held_by(value))
        return {"name": name_of(cls), **held, **({} if known(cls) else self._code_of(cls))}

    def _class(self, cls: type) -> Words:
        code = {} if _all(known, cls) else self._code_of(cls)
        return {"name": name_of(cls), **code} if code else name_of(cls)

    def _code_of(self, cls: type) -> dict[str, Words]:
        """The methods of a class and of those it is made from, down to a package whose version is
        written down; if they are the user's, properties and constants, too.
        """
        if _all(versioned, cls) or id(cls) in self._told:
            return {}
        self._told.add(id(cls))
        fields = _fields(cls)
        # What a library makes of a user's class (`nn.scan`, say) holds how, in its functions.
        made = {
            f"{own.__name__}.{name}": self.words(dict(closed_over(entry)))
            for own in cls.__mro__[: cls.__mro__.index(_first(cls))]
            for name, entry in sorted(vars(own).items())
            if isinstance(entry, FunctionType) and entry.__closure__
        }
        return {
            **({"made": made} if made else {}),
            "code": {
                f"{name_of(own)}.{name}": self.words(entry)
                for own in cls.__mro__
                if not versioned(own)
                for name, entry in ((n, innermost(e)) for n, e in sorted(vars(own).items()))
                if _is_users(entry, name, own) and name not in fields
            },
        }

    def _function(self, value: Any) -> Words:
        function = python_function(getattr(value, "__func__", value))
        if not isinstance(function, FunctionType):
            return name_of(value) if hasattr(value, "__qualname__") else self._object(value)
        words: dict[str, Words] = {"name": name_of(function)}
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType):
            words["of"] = self.words(owner)
        rules = isinstance(value, jax.custom_vjp | jax.custom_jvp)
        for name, found in (
            ("derivative", {n: getattr(value, n, None) for n in _RULES} if rules else None),
            ("defaults", function.__defaults__),
            ("keywords", function.__kwdefaults__),
            ("closure", dict(closed_over(function))),
        ):
            if found:
                words[name] = self.words(found)
        home = home_of(function)
        if not versioned(home):
            words["code"] = code_digest(function.__code__, function.__doc__)
            tells = _is_plain if known(home) else _can_be_told
            names = {k: self._named(v) for k, v in named_in(function) if tells(v)}
            if names:
                words["names"] = names
        return words if len(words) > 1 else words["name"]

    def _named(self, value: Any) -> Words:
        """What a name of a module stands for."""
        function = python_function(value) if callable(value) else value
        if isinstance(function, FunctionType):
            if id(function) in self._told:
                return name_of(function)
            self._told.add(id(function))
        self._names += 1
        try:
            return self.words(value)
        finally:
            self._names -= 1


def _all(kind: Callable[[type], bool], cls: type) -> bool:
    return all(map(kind, cls.__mro__))


def _first(cls: type) -> type:
    """The first of the classes that it is made from whose version is not written down."""
    return next(own for own in cls.__mro__ if not versioned(own))


def _fields(cls: type) -> set[str]:
    """Of a dataclass; its other variables belong to the class."""
    if not dataclasses.is_dataclass(cls):
        return set()
    return {field.name for field in dataclasses.fields(cls)}


def _is_users(entry: Any, name: str, cls: type) -> bool:
    """Whether this entry of a class is something that was written down there."""
    users = isinstance(entry, FunctionType) and not known(home_of(entry))
    if users or (isinstance(entry, FunctionType) and entry.__module__ == cls.__module__):
        return True
    special = name.startswith("__") and name.endswith("__")
    return not known(cls) and not special and name not in _LINENS_OWN and _can_be_told(entry)


def _is_plain(value: Any) -> bool:
    """Whether it is a function or an immutable constant: what an installed package's names are told
    of. Its tables are often caches, and another in every process.
    """
    if callable(value) and not isinstance(value, type):
        inner = inspect.unwrap(value)
        return isinstance(inner, FunctionType) and not versioned(inner)
    return value is None or isinstance(value, bool | int | float | str | tuple)


def _can_be_told(value: Any) -> bool:
    """Whether it is a constant, or code, or an object of the user's that says what it is."""
    if value is None or isinstance(value, (*CONSTANTS, type, ModuleType, functools.partial)):
        return True
    own = not known(type(value)) or isinstance(value, Schedule | Optimizer)
    if dataclasses.is_dataclass(value) or (callable(value) and not hasattr(value, "__qualname__")):
        return own or isinstance(value, linen.Module) or hasattr(value, "__wrapped__")
    return callable(value)
