"""What equality does not tell apart: 2, 2.0 and True are equal, and so are two modules or two
losses that hold them. What is made with one of them need not be what is made with another.
"""

import dataclasses
import functools
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from flax import linen


def kinds_of(value: Any) -> Hashable:
    """The types of a value and of all that it is made of.

    Args:
        value: anything; modules, dataclasses, tuples, mappings and frozen sets are looked into to
            the bottom, other objects that say themselves when they are equal to their attributes.

    Returns:
        Something hashable: what is made of two equal values is the same if this is equal, too.

    Example:
        >>> kinds_of((1, 0.5)) == kinds_of((2, 0.5)), kinds_of((1, 0.5)) == kinds_of((True, 0.5))
        (True, False)
    """
    if isinstance(value, frozenset):
        return frozenset(kinds_of(part) for part in value)
    parts = _parts(value)
    if parts is None:  # not to the bottom: such objects may hold each other
        held = (part for name, part in vars(value).items() if not _cached(value, name))
        inner: tuple[Hashable, ...] = tuple(_name(part) for part in held)
    else:
        inner = tuple(kinds_of(part) for part in parts)
    return (_name(value), *inner) if inner else _name(value)


def _parts(value: Any) -> Iterable[Any] | None:
    """What it is made of; ``None`` of an object that says itself what it is equal to."""
    if isinstance(value, linen.Module):
        names = (name for name in value.__dataclass_fields__ if name not in ("parent", "name"))
        return [getattr(value, name) for name in names]
    if isinstance(value, type):
        return ()
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    if isinstance(value, tuple):
        return value
    own = type(value).__eq__ is not object.__eq__ and hasattr(value, "__dict__")
    return None if own else ()


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _cached(value: Any, name: str) -> bool:
    return isinstance(getattr(type(value), name, None), functools.cached_property)
