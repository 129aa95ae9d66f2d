"""The figure of a study: which depth wins, how they get there, and whether the rates were tuned."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from jaxnets.files import replacing
from jaxnets.study.measure import Measure
from jaxnets.study.question import DepthWidth
from jaxnets.study.selection import best_values
from jaxnets.study.statistics import mean_interval
from jaxnets.study.summarize import Outcome

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "jaxnets",
}
MARKERS = "osD^vP*X"


def draw(outcome: Outcome, question: DepthWidth, measure: Measure, name: str) -> Figure:
    """Three panels: test measure by depth, validation curves, validation measure by rate.

    Args:
        outcome: of the study.
        question: what was asked.
        measure: what is drawn.
        name: of the data set.

    Returns:
        The figure; `save` writes it.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(12.0, 4.0), layout=ConstrainedLayoutEngine(w_pad=0.12), dpi=160)
        left, middle, right = figure.subplots(1, 3)
        colors = _colors(len(outcome.choices))
        _by_depth(left, outcome, measure, colors)
        _curves(middle, outcome, question, measure, colors)
        _by_rate(right, outcome, question, measure, colors)
        figure.suptitle(
            f"{name}: fully connected networks of about {question.params:,} parameters, "
            f"{question.seeds} seed{'' if question.seeds == 1 else 's'}",
            x=0.008, ha="left", fontsize=11,
        )  # fmt: skip
    return figure


def save(figure: Figure, folder: Path, stem: str) -> list[str]:
    """Write the figure as PNG and SVG.

    Returns:
        The names of the files.
    """
    names = []
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        with replacing(folder / f"{stem}{suffix}") as path, matplotlib.rc_context(STYLE):
            figure.savefig(path, metadata=metadata)
        names.append(f"{stem}{suffix}")
    return names


def _colors(count: int) -> list[Any]:
    """Dark to light in the order of the depths: told apart in grey and by every kind of eye."""
    return [matplotlib.colormaps["viridis"](x) for x in np.linspace(0.0, 0.78, max(count, 2))]


def _title(axes: Axes, title: str, explanation: str) -> None:
    axes.set_title(f"{title}\n")
    axes.annotate(
        explanation, (0.0, 1.0), (0.0, 5.0), xycoords="axes fraction",
        textcoords="offset points", color="0.35", fontsize=8.5,
    )  # fmt: skip


def _axis_label(part: str, measure: Measure) -> str:
    unit = f" ({measure.unit.strip()})" if measure.unit else ""
    return f"{part} {measure.label}{unit}"


def _by_depth(axes: Axes, outcome: Outcome, measure: Measure, colors: list[Any]) -> None:
    test = outcome.history[f"test_{measure.name}"].values * measure.scale
    rows = outcome.summary.to_dict("records")
    for place, (row, choice) in enumerate(zip(rows, outcome.choices, strict=True)):
        values = test[list(choice.members)]
        spread = np.linspace(0.10, 0.26, len(values)) if len(values) > 1 else np.array([0.18])
        axes.plot(place + spread, values, "o", color=colors[place], alpha=0.55, ms=4.5, mew=0)
        mean = row[f"test_{measure.name}"] * measure.scale
        ends = [row[f"test_{measure.name}_{end}"] * measure.scale for end in ("low", "high")]
        if np.all(np.isfinite(ends)):
            axes.plot([place, place], ends, color=colors[place], lw=2.4, solid_capstyle="butt")
        axes.plot(place, mean, MARKERS[place % len(MARKERS)], color=colors[place], ms=7)
    axes.set_xticks(range(len(rows)), [f"{row['depth']} x {row['width']}" for row in rows])
    axes.set_xlim(-0.5, len(rows) - 0.35)
    axes.grid(False, axis="x")
    axes.set(xlabel="hidden layers x width", ylabel=_axis_label("test", measure))
    several = any(row["seeds"] > 1 for row in rows)
    shown = "mean, 95 % interval, single seeds" if several else "one seed"
    _title(axes, f"a  Test {measure.label}", shown)


def _curves(
    axes: Axes, outcome: Outcome, question: DepthWidth, measure: Measure, colors: list[Any]
) -> None:
    rows = outcome.summary.to_dict("records")
    for place, (row, choice) in enumerate(zip(rows, outcome.choices, strict=True)):
        own = outcome.history.isel(member=list(choice.members))
        curves = own[f"valid_{measure.name}"].values * measure.scale
        shown = ~np.all(np.isnan(curves), axis=0)  # where at least one member still trained
        epochs, curves = own["epoch"].values[shown], curves[:, shown]
        if not len(epochs):
            continue
        low, high = np.nanmin(curves, axis=0), np.nanmax(curves, axis=0)
        axes.fill_between(epochs, low, high, color=colors[place], alpha=0.15, lw=0)
        label = f"depth {row['depth']}, rate {row['learning_rate']:g}"
        axes.plot(
            epochs, np.nanmean(curves, axis=0), color=colors[place], label=label,
            marker=MARKERS[place % len(MARKERS)], markevery=[len(epochs) - 1],
        )  # fmt: skip
    goal = question.threshold * measure.scale
    axes.axhline(goal, color="0.45", lw=0.9, ls=(0, (4, 3)))
    if not measure.rising:
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel=_axis_label("validation", measure))
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    seeds = "mean and range of the seeds" if question.seeds > 1 else "one seed"
    _title(axes, "b  Learning at the chosen rate", f"{seeds}; dashed: {goal:g}{measure.unit}")
    if axes.get_legend_handles_labels()[0]:  # nobody may have come as far as the first record
        axes.legend(frameon=False, loc="lower right" if measure.rising else "upper right")


def _by_rate(
    axes: Axes, outcome: Outcome, question: DepthWidth, measure: Measure, colors: list[Any]
) -> None:
    history = outcome.history
    best = best_values(
        history[f"valid_{measure.name}"].values, history["diverged"].values, rising=measure.rising
    )
    order = np.argsort(question.learning_rates)
    rates = np.array(question.learning_rates)
    nearest = np.argmin(np.abs(history["learning_rate"].values[:, None] - rates), axis=1)
    for place, choice in enumerate(outcome.choices):
        depth = int(outcome.summary["depth"].iloc[place])
        own = history["depth"].values == depth
        # Points of one rate stand beside each other so that their intervals can be read.
        nudge = 1.0 + 0.04 * (place - (len(outcome.choices) - 1) / 2)
        scores = np.array(choice.scores) * measure.scale
        finite = np.isfinite(scores[order])
        axes.plot(rates[order][finite] * nudge, scores[order][finite], color=colors[place], lw=1.2)
        for setting, rate in enumerate(rates):
            values = best[own & (nearest == setting)]
            if not np.all(np.isfinite(values)):
                continue
            estimate = mean_interval(values * measure.scale)
            axes.plot(
                [rate * nudge] * 2, [estimate.low, estimate.high], color=colors[place], lw=1.2
            )
            won = setting == choice.setting
            axes.plot(
                rate * nudge, estimate.mean, MARKERS[place % len(MARKERS)], color=colors[place],
                ms=6, mfc=colors[place] if won else "white",
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.set(xlabel="learning rate", ylabel=_axis_label("best validation", measure))
    spread = ", 95 % interval" if question.seeds > 1 else ""
    diverged = "; diverged: as 0" if measure.rising and history["diverged"].any() else ""
    told = f"each at its best epoch{spread}; filled: chosen{diverged}"
    _title(axes, "c  Choice of the rate", told)
