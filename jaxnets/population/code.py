"""Code and where it comes from: what a function is and names, and what is installed."""

import dis
import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any

VERSIONED = ("jax", "jaxlib", "jaxnets", "flax", "optax", "numpy", "builtins", "functools")
"""Packages whose version is written down with the environment: the name says enough."""

INSTALLED = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")
)
"""Where packages are that are not edited in place."""


def innermost(entry: Any) -> Any:
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
        case FunctionType():  # if not Linen's, it is a function of its own, see `python_function`
            linens = entry.__globals__.get("__name__") == "flax.linen.module"
            inner = getattr(entry, "__wrapped__", None) if linens else None
        case _:
            inner = getattr(entry, "__wrapped__", None) or getattr(entry, "wrapped", None)
    return entry if inner is None else innermost(inner)


def python_function(value: Any) -> Any:
    """What `jax.jit` and other objects that are called are made of. A function that stands before
    another one (a decorator's) is a function of its own, which has closed over the other.
    """
    while not isinstance(value, FunctionType) and hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value


def home_of(function: FunctionType) -> Any:
    """Something from the module that a function was written in: a wrapper claims to be from that of
    the function before which it stands.
    """
    if not hasattr(function, "__wrapped__"):
        return function
    return SimpleNamespace(__module__=function.__globals__.get("__name__", ""))


def held_by(value: Any) -> dict[str, Any]:
    """What an object holds: its attributes; or, if Python sees none, what it is copied from."""
    held = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                held[name] = getattr(value, name)
    if held:
        return held
    try:
        _, *parts = value.__reduce_ex__(4)
    except Exception:  # what cannot be copied is told by its class alone
        return {}
    return {f"{i}": list(p) if isinstance(p, Iterator) else p for i, p in enumerate(parts)}


def closed_over(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What a function has closed over, by name."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def named_in(function: FunctionType) -> Iterator[tuple[str, Any]]:
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


def code_digest(code: CodeType, documentation: str | None = None) -> str:
    """A digest of what the code does; where it stands in which file is not part of it, nor is its
    documentation.
    """
    parts = [code.co_code.hex(), repr(code.co_names), repr(code.co_varnames[: code.co_argcount])]
    documented = documentation is not None and code.co_consts[:1] == (documentation,)
    for constant in code.co_consts[documented:]:
        if isinstance(constant, CodeType):
            parts.append(code_digest(constant))
        elif isinstance(constant, frozenset):
            parts.append(repr(sorted(map(repr, constant))))
        else:
            parts.append(repr(constant))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def name_of(value: Any) -> str:
    """With its package if that is known: a script is the same whoever imports it."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None) or str(value)
    top = top_of(value)
    if versioned(value):
        return f"{value.__module__}.{name}"
    if not installed(top):
        return str(name)
    version = getattr(sys.modules.get(top), "__version__", "")
    return f"{value.__module__}.{name} {version}".rstrip()


def versioned(value: Any) -> bool:
    """Whether the version of its package is written down with the environment."""
    return top_of(value) in VERSIONED


def known(value: Any) -> bool:
    """Whether it is from a package that is installed, and not the user's."""
    return versioned(value) or installed(top_of(value))


def top_of(value: Any) -> str:
    """The package that it is from."""
    return str(getattr(value, "__module__", "") or "").partition(".")[0]


@functools.cache
def installed(top: str) -> bool:
    """Whether a package lies where packages are installed."""
    if top in ("__main__", *sys.builtin_module_names):
        return top != "__main__"  # what is typed in is the user's, whoever runs it
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is not None and any(Path(file).resolve().is_relative_to(p) for p in INSTALLED)
