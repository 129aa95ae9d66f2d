"""What one program returns: its members after their last epoch, in the order of the group."""

from collections.abc import Iterable, Mapping
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

    @classmethod
    def from_pieces(
        cls, program: Program, pieces: Iterable[Piece], *, compile_seconds: float
    ) -> "GroupResult":
        """Join what the dispatches return, in the order of the group.

        They are asked for one by one and copied to where they belong: of many members the results
        are never there twice.
        """
        members, seconds = len(program.group.rows), 0.0
        whole: dict[str, Any] = {}
        for piece in pieces:
            part = piece.by_name()
            if not whole:
                whole = jax.tree.map(lambda a: np.empty((members, *a.shape[1:]), a.dtype), part)
            for to, array in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
                to[piece.places] = array
            seconds += piece.seconds
        return cls(**whole, program=program, compile_seconds=compile_seconds, run_seconds=seconds)
