"""What makes a member who it is, in words that another process understands."""

import dataclasses
import functools
import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

import jax
import numpy as np
from flax import linen

from jaxnets import rng
from jaxnets.population.plan import Program
from jaxnets.population.spec import Spec
from jaxnets.population.workshop import Blueprint

VERSIONED = ("jax", "jaxlib", "jaxnets", "flax", "optax", "numpy", "builtins", "functools")
"""Packages whose version is written down: of their functions the name says enough."""

CONSTANTS = (
    bool, int, float, complex, str, bytes, tuple, list, dict, set, frozenset,
    np.ndarray, np.generic, jax.Array,
)  # fmt: skip
"""What a name in a module or a class may stand for besides code, and is written down."""

Words = Any
"""What JSON knows: dictionaries, lists, strings, numbers."""


def members(spec: Spec, program: Program) -> tuple[str, ...]:
    """The identity of every member of a group, as 32 hexadecimal digits.

    Two members of equal identity under one root key, one data set and one environment have the
    same result, bit for bit. Not part of it: the other members, the place in the list, the number
    of epochs.

    Args:
        spec: the population.
        program: of one group.

    Returns:
        One text per member, in the order of ``program.group.rows``.
    """
    blueprint = describe(Blueprint.of(spec, program))
    # How much is recorded between two looks, and how many take turns, decides nothing; flags do,
    # and are part of the environment.
    del blueprint["periods"], blueprint["turns"], blueprint["flags"]
    common = digest(blueprint)
    group = program.group
    seeds = [stream.seed_name for stream in rng.Stream]
    return tuple(
        digest({
            "program": common,
            "seeds": dict(zip(seeds, group.seeds[place].tolist(), strict=True)),
            "numbers": {name: float(values[place]) for name, values in group.numbers.items()},
        })
        for place in range(len(group.rows))
    )  # fmt: skip


def digest(words: Words) -> str:
    """A short name for what `describe` returned.

    Example:
        >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
        True
    """
    text = json.dumps(words, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def describe(value: object) -> Words:
    """The same words for the same thing, in every process.

    Of a function that is not from a package whose version is known it is the name, the compiled
    code, defaults, what it has closed over, and the functions, classes and constants (numbers,
    texts, arrays, and lists and dictionaries of them) of its own module that it names, these in
    turn; of a class its methods, properties and constants. What is not seen: code that it reaches
    through another module or an object there, and what it reads from the world.

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
    return _describe(value, ())


def _describe(value: Any, above: tuple[int, ...]) -> Words:
    if value is None or isinstance(value, bool | int | float | str):
        return value if type(value) in (bool, int, float, str, type(None)) else str(value)
    if id(value) in above:
        return "itself"
    above = (*above, id(value))
    if isinstance(value, jax.Device):
        return [value.platform, value.device_kind]
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _array(value)
    if isinstance(value, type | ModuleType | np.dtype):
        return _name(value)
    if isinstance(value, Mapping):
        return {str(k): _describe(v, above) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_describe(v, above) for v in value), key=json.dumps)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        words = [_describe(v, above) for v in value]
        return words if type(value) in (tuple, list) else [_name(type(value)), *words]
    if dataclasses.is_dataclass(value):
        return _dataclass(value, above)
    if isinstance(value, functools.partial):
        return ["partial", *(_describe(v, above) for v in (value.func, value.args, value.keywords))]
    if callable(value):
        return _function(value, above)
    return _object(value, above)


def _array(value: Any) -> Words:
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return [str(value.dtype), jax.random.key_data(value).tolist()]
    array = np.asarray(value)
    return [array.dtype.name, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]


def _dataclass(value: Any, above: tuple[int, ...]) -> Words:
    """The fields by which it is compared; of a Linen module not where it stands."""
    skipped = ("parent", "name") if isinstance(value, linen.Module) else ()
    fields = {
        field.name: _describe(getattr(value, field.name), above)
        for field in dataclasses.fields(value)
        if field.compare and field.name not in skipped
    }
    words = {"name": _name(type(value)), **fields}
    return words if _versioned(type(value)) else words | {"code": _class_code(type(value), above)}


def _class_code(cls: type, above: tuple[int, ...]) -> Words:
    """The methods, properties and constants of a class and of those it is made from, down to a
    known package.
    """
    if id(cls) in above:
        return "itself"
    above = (*above, id(cls))
    fields = getattr(cls, "__dataclass_fields__", {})
    return {
        f"{_name(own)}.{name}": _describe(entry, above)
        for own in cls.__mro__
        if not _versioned(own)
        for name, entry in ((n, _innermost(e)) for n, e in sorted(vars(own).items()))
        if (
            entry.__module__ == own.__module__
            if isinstance(entry, FunctionType)
            else name not in fields and not name.startswith("_") and _is_constant(entry)
        )
    }


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
        case _:
            inner = getattr(entry, "__wrapped__", None) or getattr(entry, "wrapped", None)
    return entry if inner is None else _innermost(inner)


def _function(value: Any, above: tuple[int, ...]) -> Words:
    function = inspect.unwrap(getattr(value, "__func__", value))
    if not isinstance(function, FunctionType):
        return _name(value) if hasattr(value, "__qualname__") else _object(value, above)
    words: dict[str, Words] = {"name": _name(function)}
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        words["of"] = _describe(owner, above)
    for name, found in (
        ("defaults", function.__defaults__),
        ("keywords", function.__kwdefaults__),
        ("closure", dict(_closure(function))),
    ):
        if found:
            words[name] = _describe(found, above)
    if not _versioned(function):
        words["code"] = _code(function.__code__)
        names = {k: v for k, v in _names(function) if _is_own(v)}
        if names:
            words["names"] = {
                k: _class_code(v, above) if isinstance(v, type) else _describe(v, above)
                for k, v in names.items()
            }
    return words if len(words) > 1 else words["name"]


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
        found |= {name for name in code.co_names if name in function.__globals__}
    for name in sorted(found):
        yield name, function.__globals__[name]


def _is_own(value: Any) -> bool:
    if isinstance(value, functools.partial):
        return True
    if isinstance(value, type):
        return not _versioned(value)
    if callable(value):
        inner = inspect.unwrap(value)
        return isinstance(inner, FunctionType) and not _versioned(inner)
    return _is_constant(value)


def _is_constant(value: Any) -> bool:
    return value is None or isinstance(value, CONSTANTS)


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


def _object(value: Any, above: tuple[int, ...]) -> Words:
    """An object of some other class: the class and what the object holds."""
    cls = type(value)
    words = {"name": _name(cls), **_describe(dict(getattr(value, "__dict__", {})), above)}
    return words if _versioned(cls) else words | {"code": _class_code(cls, above)}


def _name(value: Any) -> str:
    """With its package if that is known: a script is the same whoever imports it."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or str(value)
    return f"{value.__module__}.{name}" if _versioned(value) else str(name)


def _versioned(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] in VERSIONED
