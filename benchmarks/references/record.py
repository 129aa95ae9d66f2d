"""What an experiment returns, and how it is printed and kept."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.record import RESULTS as FOLDER
from benchmarks.record import environment

RESULTS = FOLDER / "references.json"


@dataclass(frozen=True)
class Line:
    """One number, measured once or with several seeds.

    Attributes:
        quantity: what was measured.
        published: what the source says, for a reader.
        values: what came out, one per seed.
        low, high: the band in which the median has to lie; ``None``: reported only.
    """

    quantity: str
    published: str
    values: Sequence[float]
    low: float | None = None
    high: float | None = None

    @property
    def median(self) -> float:
        """The number that is compared."""
        return float(np.median(self.values))

    @property
    def met(self) -> bool | None:
        """Whether the median lies in the band; ``None`` without one."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.median <= self.high

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "quantity": self.quantity,
            "published": self.published,
            "band": None if self.low is None else [self.low, self.high],
            "median": round(self.median, 5),
            "values": [round(float(value), 5) for value in self.values],
            "met": self.met,
        }


def keep(path: Path, experiment: str, lines: Sequence[Line], seconds: float) -> None:
    """Replace one experiment in the file, leaving the others as they are."""
    known = json.loads(path.read_text()) if path.exists() else {}
    known[experiment] = {
        "seconds": round(seconds, 1),
        "environment": environment(),
        "lines": [line.as_json() for line in lines],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def show(experiment: str, lines: Sequence[Line], seconds: float) -> None:
    """Print one experiment as a table."""
    table = Table(title=f"{experiment} ({seconds:.0f} s)", title_justify="left")
    for name in ("quantity", "published", "accepted", "median", "all", "met"):
        table.add_column(name, justify="left" if name in ("quantity", "all") else "right")
    for line in lines:
        band = "" if line.low is None else f"{line.low:g} to {line.high:g}"
        values = " ".join(f"{value:.4g}" for value in line.values)
        met = {None: "", True: "yes", False: "NO"}[line.met]
        table.add_row(line.quantity, line.published, band, f"{line.median:.4g}", values, met)
    Console(width=110).print(table)
