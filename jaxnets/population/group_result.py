"""What one program returns: its members after their last epoch, in the order of the group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jax
import numpy as np

from jaxnets.network import Collections, Params
from jaxnets.population.piece import Piece
from jaxnets.population.plan import Program


@dataclass(frozen=True)
class GroupResult:
    """The members of one program, in the order of ``program.group.rows``.

    Attributes:
        program: which program.
        kept: parameters and other collections of every member, stacked along a leading axis.
        epochs: int32 ``(members,)``, epochs completed.
        best_epoch: int32 ``(members,)``, the epochs after which the kept weights were taken.
        steps: int32 ``(members,)``, steps taken; of a diverged member, the one that failed.
        fault: int32 ``(members,)``, a `jaxnets.train.Fault`.
        history: float32 ``(members, records)`` by name; NaN where a member no longer trained.
        compile_seconds, run_seconds: wall time of compiling and of running the program, also in
            former sittings.
        older: lanes, by place, of members that were saved before a device had no memory for so
            many, and the program was made smaller.
    """

    program: Program
    kept: tuple[Params, Collections]
    epochs: np.ndarray
    best_epoch: np.ndarray
    steps: np.ndarray
    fault: np.ndarray
    history: Mapping[str, np.ndarray]
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
            program=program,
            kept=jax.tree.map(joined, *[piece.kept for piece in pieces]),
            epochs=joined(*[piece.epochs for piece in pieces]),
            best_epoch=joined(*[piece.best_epoch for piece in pieces]),
            steps=joined(*[piece.steps for piece in pieces]),
            fault=joined(*[piece.fault for piece in pieces]),
            history=jax.tree.map(joined, *[piece.history for piece in pieces]),
            compile_seconds=compile_seconds,
            run_seconds=sum(piece.seconds for piece in pieces),
        )
