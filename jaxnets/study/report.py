"""The answer of a study: tables, and what may be said of them in a sentence."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table

from jaxnets.study.folder import replacing
from jaxnets.study.measure import Measure
from jaxnets.study.question import DepthWidth

SUMMARY, PAIRED = "summary.csv", "paired.csv"


@dataclass(frozen=True)
class Report:
    """What came out.

    Attributes:
        question: what was asked.
        measure: what the numbers are.
        summary: one row per depth, see ``summary.csv``.
        paired: one row per depth after the first: its difference to the first over common seeds.
        folder: where everything is.
        trained: how many depths were trained now, not found in the folder.
    """

    question: DepthWidth
    measure: Measure
    summary: pd.DataFrame
    paired: pd.DataFrame
    folder: Path
    trained: int = 0

    def save(self) -> None:
        """Write the two tables."""
        for name, frame in ((SUMMARY, self.summary), (PAIRED, self.paired)):
            with replacing(self.folder / name) as temporary:
                frame.to_csv(temporary, index=False)

    @classmethod
    def read(cls, question: DepthWidth, measure: Measure, folder: Path) -> "Report":
        """The report of a finished study from its folder."""
        tables = [
            pd.read_csv(folder / name, float_precision="round_trip") for name in (SUMMARY, PAIRED)
        ]
        return cls(question, measure, tables[0], tables[1], folder)

    def table(self) -> Table:
        """The result as a table for `rich`; it fits into 80 columns."""
        measure, question = self.measure, self.question
        table = Table(
            title=f"test {measure.label} with 95 % intervals over {question.seeds} seeds",
            caption="epochs: median to the threshold on validation; diverged: of all members at all "
            "rates; time: wall clock per step and member, compilation apart",
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        goal = f"{measure.show(question.threshold, 0 if measure.rising else 2)}{measure.unit}"
        for name in ("hidden\nlayers", "param-\neters", "learning\nrate", f"test\n{measure.label}"):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("valid", f"epochs\nto {goal}", "di-\nverged", "FLOP\n/step", "µs\n/step"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in self.summary.to_dict("records"):
            table.add_row(*self._cells(row))
        return table

    def _cells(self, row: dict[Any, Any]) -> list[str]:
        measure, name = self.measure, self.measure.name
        return [
            f"{row['depth']} x {row['width']}",
            f"{row['parameters']:,}",
            f"{row['learning_rate']:g}",
            f"{measure.show(row[f'test_{name}'])} "
            + self._interval(row[f"test_{name}_low"], row[f"test_{name}_high"]),
            measure.show(row[f"valid_{name}"]),
            _epochs(row["epochs_to_threshold"], row["reached"], row["seeds"]),
            f"{row['diverged']}/{row['members']}",
            _short(row["flops_per_step"]),
            f"{row['microseconds_per_member_step']:.0f}",
        ]

    def sentences(self) -> list[str]:
        """What may be said: differences to the first depth, and what to be careful about."""
        return [line for line in (self._differences(), *self._warnings()) if line]

    def _differences(self) -> str:
        if self.paired.empty:
            return ""
        rows = self.paired.to_dict("records")
        parts = [self._difference(row) for row in rows]
        base, seeds = rows[0]["base_depth"], rows[0]["seeds"]
        return f"Against depth {base}, paired over {seeds} seeds: {'; '.join(parts)}."

    def _difference(self, row: dict[Any, Any]) -> str:
        size = row["difference"] if self.measure.rising else -row["difference"]
        interval = self._interval(row["low"], row["high"])
        unit = self.measure.unit_of_difference
        if math.isnan(row["low"]):
            shown = self.measure.show(row["difference"])
            return f"depth {row['depth']} differs by {shown}{unit} (one seed: no interval)"
        if row["low"] <= 0.0 <= row["high"]:
            shown = self.measure.show(row["difference"])
            return f"depth {row['depth']}: no difference found, {shown}{unit} {interval}"
        word = "better" if size > 0 else "worse"
        shown = self.measure.show(abs(row["difference"]))
        return f"depth {row['depth']} is {word} by {shown}{unit} {interval}"

    def _warnings(self) -> list[str]:
        rates, lines = self.question.learning_rates, []
        for word, edge in (("smallest", min(rates)), ("largest", max(rates))):
            depths = [
                str(row["depth"])
                for row in self.summary.to_dict("records")
                if row["learning_rate"] == edge
            ]
            if depths and len(rates) > 1:
                plural = "s" if len(depths) > 1 else ""
                lines.append(
                    f"Depth{plural} {', '.join(depths)} chose the {word} rate tried, {edge:g}: "
                    "a better one may lie beyond it."
                )
        diverged = int(self.summary["diverged_chosen"].sum())
        if diverged:
            lines.append(
                f"{diverged} member(s) at the chosen rates diverged; they count with the best "
                "weights they had before."
            )
        if 1 < self.question.seeds < 5:
            lines.append("So few seeds make the intervals too narrow: use 8 or more.")
        return lines

    def _interval(self, low: float, high: float) -> str:
        if math.isnan(low):
            return ""
        return f"[{self.measure.show(low)}, {self.measure.show(high)}]"


def _epochs(median: float, reached: float, seeds: int) -> str:
    count = f"{round(reached * seeds)}/{seeds}"
    if reached == 1.0:
        return f"{median:g}"
    return f"{median:g} ({count})" if math.isfinite(median) else f"never ({count})"


def _short(value: float) -> str:
    for scale, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    return f"{value:.3g}"
