"""What one program returns: its members after their last epoch, in the order of the group."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxnets.population.piece import Ended, Piece
from jaxnets.population.plan import Program


@dataclass(frozen=True)
class GroupResult(Ended):
    """The members of one program, in the order of ``program.group.rows``.

    Attributes:
        program: which program.
        compile_seconds, run_seconds: wall time of compiling and of running the program, also in
            former sittings.
        older: lanes, by place, of members that were saved before a device had no memory for so
            many, and the program was made smaller.
    """

    program: Program
    compile_seconds: float
    run_seconds: float
    older: Mapping[int, int] = field(default_factory=dict)

    @property
    def member_steps(self) -> int:
        """Steps that were made, of all members together: those that stopped early or diverged made
        fewer than were planned.
        """
        return int(self.steps.sum(dtype=np.int64))


class Gathering:
    """Puts together what the dispatches of a program return, in the order of the group.

    What is added is copied to where it belongs: of many members the results are never there twice.
    """

    def __init__(self, program: Program) -> None:
        self._program, self._seconds = program, 0.0
        self._whole: dict[str, Any] = {}

    def add(self, piece: Piece) -> None:
        """Members that have come to their end."""
        part, members = piece.by_name(), len(self._program.group.rows)
        if not self._whole:
            self._whole = jax.tree.map(lambda a: np.empty((members, *a.shape[1:]), a.dtype), part)
        for to, array in zip(jax.tree.leaves(self._whole), jax.tree.leaves(part), strict=True):
            to[piece.places] = array
        self._seconds += piece.seconds

    def result(self, *, compile_seconds: float, older: Mapping[int, int]) -> GroupResult:
        """All of them. Those that have not been added have any numbers."""
        return GroupResult(
            **self._whole, program=self._program, compile_seconds=compile_seconds,
            run_seconds=self._seconds, older=older,
        )  # fmt: skip
