"""What every case is told."""

from collections.abc import Callable
from dataclasses import dataclass

Tell = Callable[[str], None]


def silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Settings:
    """How thoroughly to measure.

    Attributes:
        rounds: turns of every row.
        quick: tiny sizes: whether everything works, not how fast it is.
        systems: only these, by the names in `benchmarks.systems.SYSTEMS`; empty: all.
        tell: told what is going on.
    """

    rounds: int = 5
    quick: bool = False
    systems: tuple[str, ...] = ()
    tell: Tell = silent
