"""The answer of a study: tables, and what may be said of them in a sentence."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from jaxnets.files import replacing
from jaxnets.study.measure import Measure
from jaxnets.study.question import DepthWidth
from jaxnets.study.tables import interval, result_table, show

SUMMARY, PAIRED = "summary.csv", "paired.csv"


@dataclass(frozen=True)
class Report:
    """What came out.

    Attributes:
        question: what was asked.
        measure: what the numbers are.
        summary: one row per depth, see ``summary.csv``.
        paired: one row per depth after the first: its difference to the first over common seeds,
            with the ``confidence`` of each interval alone; together they hold with 95 %.
        folder: where everything is.
        trained: how many members were trained now, in whole or in part, not found in the folder.
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
                frame.to_csv(temporary, index=False, na_rep="nan")

    @classmethod
    def read(cls, question: DepthWidth, measure: Measure, folder: Path) -> "Report":
        """The report of a finished study from its folder."""
        summary, paired = (
            pd.read_csv(folder / name, dtype=str).map(_number).infer_objects()
            for name in (SUMMARY, PAIRED)
        )
        return cls(question, measure, summary, paired, folder)

    def table(self) -> Table:
        """The result as a table for `rich`; it fits into 80 columns."""
        return result_table(self.summary, self.question, self.measure)

    def sentences(self) -> list[str]:
        """What may be said: differences to the first depth, and what to be careful about."""
        return [line for line in (self._differences(), *self._warnings()) if line]

    def _differences(self) -> str:
        if self.paired.empty:
            return ""
        rows = self.paired.to_dict("records")
        parts = [self._difference(row) for row in rows]
        base, seeds = rows[0]["base_depth"], rows[0]["seeds"]
        start = f"Against depth {base}, paired over {seeds} seed{'' if seeds == 1 else 's'}"
        if seeds > 1:
            # The seeds are a sample. The rates were chosen with them, and the test rows are always
            # the same: of others nothing is said.
            start += (
                " (95 % interval for other seeds, at these rates and on these test rows)"
                if len(rows) == 1
                else " (the intervals hold together with 95 % confidence for other seeds, at these "
                "rates and on these test rows)"
            )
        return f"{start}: {'; '.join(parts)}."

    def _difference(self, row: dict[Any, Any]) -> str:
        ends = interval(self.measure, row["low"], row["high"])
        unit = self.measure.unit_of_difference
        shown = f"{show(self.measure, row['difference'])}{unit}"
        if not math.isfinite(row["difference"]):
            label = self.measure.label
            return f"depth {row['depth']} cannot be compared: not every {label} is finite"
        if math.isnan(row["low"]):
            return f"depth {row['depth']} differs by {shown} (one seed: no interval)"
        if row["low"] <= 0.0 <= row["high"]:
            return f"depth {row['depth']}: no difference found, {shown} {ends}"
        # Of an accuracy, less than a row of a million.
        if math.isclose(row["low"], row["high"], abs_tol=1e-6 if self.measure.rising else 0.0):
            return f"depth {row['depth']} differs by {shown} at every seed (no interval)"
        better = (row["difference"] > 0) == self.measure.rising
        return f"depth {row['depth']} is {'better' if better else 'worse'}, {shown} {ends}"

    def _warnings(self) -> list[str]:
        rates, lines = self.question.learning_rates, []
        rows = self.summary.to_dict("records")
        # A loss that is infinite decides: whoever was chosen with one, it was the same everywhere.
        nowhere = [
            row["depth"]
            for row in rows
            if row["diverged_chosen"]
            and (not self.measure.rising or row["diverged"] == row["members"])
        ]
        if nowhere:
            lines.append(f"{_depths(nowhere)}: at every rate some seeds diverged.")
        undecided = [
            row["depth"]
            for row in rows
            if not row.get("rates_apart", True) and row["depth"] not in nowhere
        ]
        if undecided and len(rates) > 1:
            lines.append(
                f"{_depths(undecided)}: all rates are equally good on validation, which chose "
                "none; the first one was taken."
            )
        for word, edge in (("smallest", min(rates)), ("largest", max(rates))):
            depths = [
                row["depth"]
                for row in rows
                if row["learning_rate"] == edge and row["depth"] not in nowhere + undecided
            ]
            if depths and len(rates) > 1:
                lines.append(
                    f"{_depths(depths)} chose the {word} rate tried, {edge:g}: a better one may "
                    "lie beyond it."
                )
        diverged = int(self.summary["diverged_chosen"].sum())
        if diverged:
            lines.append(
                f"{diverged} member(s) at the chosen rates diverged; they count with the best "
                "weights they had before (in choosing a rate, as the worst there is)."
            )
        return lines


def _depths(depths: list[int]) -> str:
    return f"Depth{'s' if len(depths) > 1 else ''} {', '.join(map(str, depths))}"


def _number(text: Any) -> Any:
    """What a cell says, to the last bit, which `pandas` does not promise of its own reading."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
