"""What a check found."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from jaxnets.verify.comparison import Comparison

EXACT = 0.0
"""The tolerance of a law about bits."""


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        law: its number and name, ``"2 independence"``; what is not a law has no number.
        devices: on how many devices; several where they are compared with each other.
        compared: pairs of members that were compared.
        arrays: pairs of arrays, over all members.
        largest: the largest difference: 0 if every bit was the same, infinite where shapes or
            what is finite differ. Absolute where ``tolerance`` is 0, otherwise relative to the
            largest value of the same kind.
        tolerance: what is allowed.
        passed: whether the law held.
        detail: what differed, and where; or what was not compared, and why.
    """

    law: str
    devices: tuple[int, ...]
    compared: int
    arrays: int
    largest: float
    tolerance: float
    passed: bool
    detail: str = ""

    def __post_init__(self) -> None:
        if self.passed and not self.largest <= self.tolerance:
            raise ValueError(
                f"passed: a difference of {self.largest} is more than {self.tolerance}."
            )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and strings; an infinite difference is ``null``, as JSON has no infinity.

        Example:
            >>> Finding("1 purity", (2,), 3, 30, float("inf"), 0.0, False).to_json()["largest"]
        """
        return {
            **asdict(self),
            "devices": list(self.devices),
            "largest": self.largest if math.isfinite(self.largest) else None,
        }


def of_law(
    law: str,
    devices: tuple[int, ...],
    found: Comparison,
    *,
    tolerance: float = EXACT,
    problems: Iterable[str] = (),
    note: str = "",
) -> Finding:
    """Judge what was compared.

    Args:
        law: its number and name.
        devices: on how many devices.
        found: the comparison.
        tolerance: 0 for a law about bits: no bit may differ.
        problems: what is wrong besides.
        note: what is to be said though nothing is wrong.

    Returns:
        The finding; nothing compared is nothing seen to hold.

    Example:
        >>> of_law("1 purity", (1,), Comparison(0, 0, 0.0, "")).detail
        'nothing was compared'
    """
    wrong = list(problems)
    if not found.members:
        wrong.append("nothing was compared")
    if not (found.same if tolerance == EXACT else found.largest <= tolerance):
        wrong.insert(0, f"{found.where} differs by {found.largest:.1e}")
    return Finding(
        law=law,
        devices=devices,
        compared=found.members,
        arrays=found.arrays,
        largest=found.largest,
        tolerance=tolerance,
        passed=not wrong,
        detail="; ".join(wrong) or note,
    )
