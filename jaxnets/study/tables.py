"""Tables for a terminal of 80 columns: the plan before, the result after."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import box
from rich.table import Table

from jaxnets.population.plan_tables import PIECE, each_device
from jaxnets.study.measure import Measure
from jaxnets.study.question import DepthWidth

if TYPE_CHECKING:
    from jaxnets.population.plan import Plan

Shape = tuple[int, int]

LEAST = 1e-4
"""Per cent: of an accuracy, one row of a million. Less is what rounding leaves of nothing."""


def plan_table(plan: "Plan", shapes: Sequence[Shape], behind: Sequence[int] = ()) -> Table:
    """What is going to be trained.

    Args:
        plan: one program per shape.
        shapes: depth and width of every program.
        behind: of every program, the epochs that its members have behind them already, all
            together; none if not given.

    Returns:
        A table for `rich`.
    """
    kind, plural = plan.devices[0].device_kind, "" if len(shapes) == 1 else "s"
    made = [
        (epochs * program.steps_per_epoch, program.step_flops)
        for epochs, program in zip(behind or [0] * len(shapes), plan.programs, strict=True)
    ]
    steps = plan.steps - sum(count for count, _ in made)
    flops = plan.flops - sum(count * each for count, each in made)
    table = _table(
        f"Plan: {len(plan.spec.members)} members in {len(shapes)} program{plural}, "
        f"{plan.spec.epochs} epochs, {len(plan.devices)} x {kind}",
        f"{steps:,} member-steps, {short(flops)}FLOP; {plan.device_bytes / 2**20:.1f} MiB of data "
        f"and states{each_device(plan)}, results {plan.result_bytes / 2**20:.1f} MiB\n{PIECE}",
    )
    for heading in (
        "depth x\nwidth", "para-\nmeters", "mem-\nbers", "at\nonce", "in\nturn", "pieces",
        "steps", "FLOP\n/step", "KiB\n/member",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for (depth, width), program in zip(shapes, plan.programs, strict=True):
        table.add_row(
            f"{depth} x {width}",
            f"{program.parameters:,}",
            f"{len(program.group.rows)}",
            f"{program.lanes * len(program.mesh)}",
            f"{program.turns}",
            f"{program.pieces}",
            f"{program.steps_per_epoch * plan.spec.epochs:,}",
            short(program.step_flops),
            f"{program.state_bytes / 2**10:,.0f}",
        )
    return table


def result_table(summary: pd.DataFrame, question: DepthWidth, measure: Measure) -> Table:
    """What came out.

    Args:
        summary: see `jaxnets.study.report.Report`.
        question: what was asked.
        measure: what the numbers are.

    Returns:
        A table for `rich`.
    """
    goal = f"{question.threshold * measure.scale:g}{measure.unit}"
    unit = f", {measure.label} in{measure.unit}" if measure.unit else f", {measure.label}"
    one = question.seeds == 1
    spread = "one seed" if one else "mean ± half its 95 % interval over the seeds (Student's t)"
    table = _table(
        f"Result: {question.seeds} seed{'' if one else 's'} per depth and rate{unit}",
        f"test: {spread}; valid: best epoch; "
        f"epochs to {goal}: median on validation (how many reached it, if not all); "
        "diverged: at all rates; "
        "µs: wall clock of all devices per step of a member, compilation apart",
    )
    for heading in (
        "depth x\nwidth", "para-\nmeters", "\nrate", "test",
        "valid", f"epochs\nto {goal}", "diver-\nged", "FLOP\n/step", "µs\n/step",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for row in summary.to_dict("records"):
        table.add_row(*_cells(row, measure))
    return table


def show(measure: Measure, value: float) -> str:
    """A value in the measure's unit, without the unit; of a large one three digits or two, and
    three of an error that is small. What is not nothing is not shown as 0.0: the end of an interval
    has a side.
    """
    shown = value * measure.scale
    if abs(shown) >= 1e6:
        return f"{shown:.2g}"
    if abs(shown) >= 1000 or (not measure.rising and 0 < abs(shown) < 0.01):
        return f"{shown:.3g}"
    if measure.rising and LEAST <= abs(shown) < 0.05:
        return f"{shown:.1g}"
    digits = 1 if measure.rising else 3
    return f"{round(shown, digits) + 0.0:.{digits}f}"  # never "-0.0"


def interval(measure: Measure, low: float, high: float) -> str:
    """``[low, high]``; nothing where there is no interval."""
    return "" if math.isnan(low) else f"[{show(measure, low)}, {show(measure, high)}]"


def short(value: float) -> str:
    """Three digits and a prefix.

    Example:
        >>> short(8_397_725)
        '8.4 M'
    """
    for scale, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {letter}"
    return f"{value:.3g} "


def _cells(row: Mapping[Any, Any], measure: Measure) -> list[str]:
    name = f"test_{measure.name}"
    # Student's interval is symmetric, and both of its ends would not fit into 80 columns.
    half = row[f"{name}_high"] - row[name]
    spread = "" if math.isnan(half) else f" ± {show(measure, half)}"
    return [
        f"{row['depth']} x {row['width']}",
        f"{row['parameters']:,}",
        f"{row['learning_rate']:.3g}",
        f"{show(measure, row[name])}{spread}",
        show(measure, row[f"valid_{measure.name}"]),
        _epochs(row["epochs_to_threshold"], row["reached"], row["seeds"]),
        f"{row['diverged']}/{row['members']}",
        short(row["flops_per_step"]).strip(),
        f"{row['microseconds_per_member_step']:.0f}",
    ]


def _epochs(median: float, reached: float, seeds: int) -> str:
    if reached == 1.0:
        return f"{median:g}"
    first = f"{median:g}" if math.isfinite(median) else "never"
    return f"{first} ({round(reached * seeds)}/{seeds})"


def _table(title: str, caption: str) -> Table:
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
    )
