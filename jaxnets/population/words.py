"""What decides a result, in words: the same in every process, others where code has changed."""

import dataclasses
import dis
import functools
import hashlib
import inspect
import json
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import jax
import numpy as np
from flax import linen

VERSIONED = ("jax", "jaxlib", "jaxnets", "flax", "optax", "numpy", "builtins", "functools")
"""Packages whose version is written down with the environment: the name says enough."""

INSTALLED = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")
)
"""Where packages are whose files nobody edits: of what is theirs, name and version are enough."""

CONSTANTS = (
    bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset,
    np.ndarray, np.generic, jax.Array,
)  # fmt: skip
"""What a name in a module or a class may stand for besides code, and is written down."""

Words = Any
"""What JSON knows: dictionaries, lists, strings, numbers."""


class _Empty(linen.Module):
    """What Linen puts into a class."""


_LINENS_OWN = frozenset(vars(_Empty))


def describe(value: object) -> Words:
    """The same words for the same thing, in every process.

    Of a function or a class that is not from an installed package it is the name, the compiled
    code, defaults, what it has closed over, and what the names in the code stand for in its module:
    functions, classes, constants (numbers, texts, arrays, lists and dictionaries of them), and
    objects of the user's own classes that are called, or dataclasses; these in turn. Of a class it
    is the methods, properties and constants. Of what is installed it is the name, with the version.
    What is not seen: code of a user's that is reached through another module (``tools.scale``) or
    through an object, and what it reads from the world.

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

    def words(self, value: Any) -> Words:
        """Of anything."""
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
        if isinstance(value, np.ndarray | np.generic | jax.Array):
            return self._array(value)
        if isinstance(value, ModuleType | np.dtype):
            return _name(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, set | frozenset):
            return sorted((self.words(v) for v in value), key=json.dumps)
        if isinstance(value, bytes | complex):
            return value.hex() if isinstance(value, bytes) else str(value)
        if isinstance(value, tuple | list):
            words = [self.words(v) for v in value]
            return words if type(value) in (tuple, list) else [_name(type(value)), *words]
        if dataclasses.is_dataclass(value):
            return self._dataclass(value)
        if isinstance(value, functools.partial):
            return ["partial", *map(self.words, (value.func, value.args, value.keywords))]
        return self._function(value) if callable(value) else self._object(value)

    def _array(self, value: Any) -> Words:
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return [str(value.dtype), jax.random.key_data(value).tolist()]
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
        return {"name": _name(cls), **fields, **self._code_of(cls)}

    def _object(self, value: Any) -> Words:
        """An object of some other class: the class and what the object holds."""
        cls = type(value)
        held = self._mapping(dict(getattr(value, "__dict__", {})))
        return {"name": _name(cls), **held, **self._code_of(cls)}

    def _class(self, cls: type) -> Words:
        code = self._code_of(cls)
        return {"name": _name(cls), **code} if code else _name(cls)

    def _code_of(self, cls: type) -> dict[str, Words]:
        """The methods, properties and constants of a class and of those it is made from, as far as
        they are the user's.
        """
        if _known(cls) or id(cls) in self._told:
            return {}
        self._told.add(id(cls))
        fields = getattr(cls, "__dataclass_fields__", {})
        return {
            "code": {
                f"{_name(own)}.{name}": self.words(entry)
                for own in cls.__mro__
                if not _known(own)
                for name, entry in ((n, _innermost(e)) for n, e in sorted(vars(own).items()))
                if _is_users(entry, name, own) and name not in fields
            }
        }

    def _function(self, value: Any) -> Words:
        function = inspect.unwrap(getattr(value, "__func__", value))
        if not isinstance(function, FunctionType):
            return _name(value) if hasattr(value, "__qualname__") else self._object(value)
        words: dict[str, Words] = {"name": _name(function)}
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType):
            words["of"] = self.words(owner)
        for name, found in (
            ("defaults", function.__defaults__),
            ("keywords", function.__kwdefaults__),
            ("closure", dict(_closure(function))),
        ):
            if found:
                words[name] = self.words(found)
        if not _known(function):
            words["code"] = _code(function.__code__)
            names = {k: self._named(v) for k, v in _names(function) if _can_be_told(v)}
            if names:
                words["names"] = names
        return words if len(words) > 1 else words["name"]

    def _named(self, value: Any) -> Words:
        """What a name of a module stands for."""
        function = inspect.unwrap(value) if callable(value) else value
        if isinstance(function, FunctionType):
            if id(function) in self._told:
                return _name(function)
            self._told.add(id(function))
        return self.words(value)


def _is_users(entry: Any, name: str, cls: type) -> bool:
    """Whether this entry of a class is something that was written down there."""
    if isinstance(entry, FunctionType) and entry.__module__ == cls.__module__:
        return True
    special = name.startswith("__") and name.endswith("__")
    return not special and name not in _LINENS_OWN and _can_be_told(entry)


def _can_be_told(value: Any) -> bool:
    """Whether it is a constant, or code, or an object of the user's that says what it is."""
    if value is None or isinstance(value, (*CONSTANTS, type, ModuleType, functools.partial)):
        return True
    own = not _known(type(value))
    if dataclasses.is_dataclass(value) or (callable(value) and not hasattr(value, "__qualname__")):
        return own or isinstance(value, linen.Module) or hasattr(value, "__wrapped__")
    return callable(value)


def _innermost(entry: Any) -> Any:
    """The function in what a class holds: a method, a property, Linen's wrappings of them."""
    inner: Any
    match entry:
        case staticmethod() | classmethod():
            inner = entry.__func__
        case property():
            inner = entry.fget
        case functools.cached_property():
            inner = entry.func
        case type():
            inner = None
        case _:
            inner = getattr(entry, "__wrapped__", None) or getattr(entry, "wrapped", None)
    return entry if inner is None else _innermost(inner)


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _names(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What the names in a function's code, and in that of functions inside it, stand for."""
    codes, found = [function.__code__], set()
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        # Not co_names: those are attributes, too.
        found |= {
            step.argval
            for step in dis.get_instructions(code)
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and step.argval in function.__globals__
        }
    for name in sorted(found):
        yield name, function.__globals__[name]


def _code(code: CodeType) -> str:
    """A digest of what the code does; where it stands in which file is not part of it."""
    parts = [code.co_code.hex(), repr(code.co_names), repr(code.co_varnames[: code.co_argcount])]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(_code(constant))
        elif isinstance(constant, frozenset):
            parts.append(repr(sorted(map(repr, constant))))
        else:
            parts.append(repr(constant))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _name(value: Any) -> str:
    """With its package if that is known: a script is the same whoever imports it."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or str(value)
    top = _top(value)
    if top in VERSIONED:
        return f"{value.__module__}.{name}"
    if not _installed(top):
        return str(name)
    version = getattr(sys.modules.get(top), "__version__", "")
    return f"{value.__module__}.{name} {version}".rstrip()


def _known(value: Any) -> bool:
    """Whether its name says enough."""
    top = _top(value)
    return top in VERSIONED or _installed(top)


def _top(value: Any) -> str:
    return str(getattr(value, "__module__", "") or "").partition(".")[0]


@functools.cache
def _installed(top: str) -> bool:
    if top in ("__main__", *sys.builtin_module_names):
        return top != "__main__"  # what is typed in is the user's, whoever runs it
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is not None and any(Path(file).resolve().is_relative_to(p) for p in INSTALLED)
