"""What is equal and of other kinds is told apart."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import pytest

from jaxnets.kinds import kinds_of


@dataclass(frozen=True)
class Clip:
    at: Any


class Pair(NamedTuple):
    a: Any
    b: Any = None


class Own:
    """Equal to what holds the same, and lazy."""

    def __init__(self, at: Any) -> None:
        self.at = at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.at == other.at

    def __hash__(self) -> int:
        return hash(self.at)

    @functools.cached_property
    def later(self) -> int:
        return 1


WRAPS = {
    "value": lambda v: v,
    "tuple": lambda v: (v,),
    "data": Clip,
    "nested": lambda v: Clip((1, Clip(v))),
    "named tuple": Pair,
    "own": Own,
    "value of a mapping": lambda v: {"a": v},
    "key": lambda v: {v: "a"},
    "set": lambda v: frozenset({v}),
    "module": lambda v: nn.Dense(3, dtype=v),
}


@pytest.mark.parametrize("name", WRAPS)
def test_equal_values_of_other_kinds(name: str):
    wrap = WRAPS[name]
    assert wrap(1) == wrap(True) == wrap(1.0)
    assert len({kinds_of(wrap(value)) for value in (1, True, 1.0)}) == 3
    assert kinds_of(wrap(1)) == kinds_of(wrap(2))


def test_what_was_looked_up_before_makes_no_difference():
    new, old = Own(1), Own(1)
    assert old.later
    assert kinds_of(new) == kinds_of(old)


def test_classes_and_functions_are_themselves():
    assert kinds_of(Clip) == kinds_of(Pair) == "builtins.type"
    assert kinds_of(lambda: 1) == kinds_of(lambda: 2)
