"""What one program returns: its members after their last epoch, in the order of the group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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

    @classmethod
    def from_pieces(
        cls, program: Program, pieces: Sequence[Piece], *, compile_seconds: float
    ) -> "GroupResult":
        """Join what the dispatches returned, in the order of the group."""
        order = np.argsort(np.concatenate([piece.places for piece in pieces]))

        def joined(*arrays: np.ndarray) -> np.ndarray:
            return np.concatenate(arrays)[order]

        return cls(
            **jax.tree.map(joined, *[piece.by_name() for piece in pieces]),
            program=program,
            compile_seconds=compile_seconds,
            run_seconds=sum(piece.seconds for piece in pieces),
        )
