"""Figures of recorded results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.cases.throughput import digits

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "axes.axisbelow": True,
}
OWN, PEER, CEILING = "#1f5fa8", "0.62", "#c26a00"


def throughput(result: dict[str, Any]) -> Figure:
    """Bars of model-steps per second, with the range over the rounds; ceilings as lines."""
    rows = [row for row in result["rows"] if row["rate"] and not row["void"]]
    ceilings = [row for row in rows if row["ceiling"]]
    bars = [row for row in rows if not row["ceiling"]][::-1]
    figure = Figure(figsize=(7.5, 1.0 + 0.27 * len(bars)), layout="constrained", dpi=140)
    axes = figure.subplots()
    names = [row["name"] for row in bars]
    places = np.arange(len(bars))
    colors = [OWN if row["system"].startswith("jaxnets") else PEER for row in bars]
    rates = np.array([row["rate"] for row in bars])
    low = rates - np.array([row["lowest"] for row in bars])
    high = np.array([row["highest"] for row in bars]) - rates
    axes.barh(places, rates, color=colors, xerr=[low, high], error_kw={"lw": 1, "ecolor": "0.2"})
    axes.set_yticks(places, names)
    axes.grid(axis="y", visible=False)
    for place, value, top in zip(places, rates, rates + high, strict=True):
        axes.annotate(
            digits(value), (top, place), xytext=(4, 0), textcoords="offset points", va="center"
        )
    if ceilings:
        best = max(ceilings, key=lambda row: row["rate"])
        axes.axvline(best["rate"], color=CEILING, ls="--", lw=1.2)
        axes.annotate(
            f"{best['name']}: {digits(best['rate'])}", (best["rate"], len(bars) - 0.5),
            xytext=(-4, 0), textcoords="offset points", ha="right", va="center", color=CEILING,
        )  # fmt: skip
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("model-steps per second (median; line: lowest to highest)")
    _title(figure, result["title"])
    return figure


def roofline(result: dict[str, Any]) -> Figure:
    """Time per step by batch, and the achieved rate under the device's ceilings."""
    rows = [row for row in result["rows"] if row["rate"] and not row["void"]]
    figure = Figure(figsize=(11, 7.6), layout="constrained", dpi=140)
    panels = figure.subplots(2, 2)
    equal = [row for row in rows if _equal(row, result)]
    wide = [row for row in rows if not _equal(row, result)]
    for axes, chosen, label, field in (
        (panels[0, 0], equal, "depth", "depth"),
        (panels[0, 1], wide, "width", "width"),
    ):
        _times(axes, chosen, field)
        axes.set_title(
            f"equal parameters ({result['budget']:,}), by depth"
            if label == "depth"
            else "two hidden layers, by width"
        )
    for axes, chosen, field in ((panels[1, 0], equal, "depth"), (panels[1, 1], wide, "width")):
        _roof(axes, chosen, field, result["ceilings"])
    return figure


def _equal(row: dict[str, Any], result: dict[str, Any]) -> bool:
    return abs(row["parameters"] / result["budget"] - 1) < 0.1 if row["parameters"] else False


def _shades(count: int) -> list[Any]:
    return [matplotlib.colormaps["viridis"](value) for value in np.linspace(0.05, 0.85, count)]


def _times(axes: Axes, rows: list[dict[str, Any]], field: str) -> None:
    values = sorted({row[field] for row in rows})
    for value, color in zip(values, _shades(len(values)), strict=True):
        for system, line in (("jaxnets", "o-"), ("torch", "x:")):
            own = sorted(
                (row["batch"], 1e6 / row["rate"])
                for row in rows
                if row[field] == value and row["system"] == system
            )
            if own:
                label = f"{field} {value}" if system == "jaxnets" else None
                axes.plot(*zip(*own, strict=True), line, color=color, ms=4, lw=1.2, label=label)
    axes.set(xscale="log", yscale="log", xlabel="batch", ylabel="µs per step of a member")
    _plain(axes)
    axes.plot([], [], "o-", color="0.4", ms=4, lw=1.2, label="jaxnets, 8 members")
    axes.plot([], [], "x:", color="0.4", ms=4, lw=1.2, label="torch, eager, 1")
    axes.legend(frameon=False, fontsize=8)


def _roof(axes: Axes, rows: list[dict[str, Any]], field: str, ceilings: list[Any]) -> None:
    values = sorted({row[field] for row in rows})
    shades = dict(zip(values, _shades(len(values)), strict=True))
    marks = {"jaxnets": ("o", True), "torch": ("x", True), "ceiling": ("s", False)}
    for row in rows:
        mark, filled = marks[row["system"]]
        color = shades[row[field]]
        face: dict[str, Any] = (
            {} if mark == "x" else {"markerfacecolor": color if filled else "none"}
        )
        steps = row["step_bytes"]
        flops = row["flops_per_second"]
        intensity = flops / row["rate"] / steps
        axes.plot(intensity, flops / 1e9, mark, color=color, ms=4, **face)
    points = [row["flops_per_second"] / row["rate"] / row["step_bytes"] for row in rows]
    if ceilings and points:
        flops = max(one["float32"]["flops_per_second"] for one in ceilings)
        stream = max(one["float32"]["bytes_per_second"] for one in ceilings)
        x = np.geomspace(min(points) / 2, max(points) * 2, 100)
        axes.plot(x, np.minimum(flops, x * stream) / 1e9, color=CEILING, lw=1.4)
        axes.annotate(
            f"{flops / 1e9:,.0f} GFLOP/s (large product), {stream / 1e9:,.0f} GB/s (stream)",
            (0.98, 0.03), xycoords="axes fraction", color=CEILING, ha="right",
        )  # fmt: skip
    for mark, label, filled in (
        ("o", "jaxnets", True),
        ("x", "torch, eager", True),
        ("s", "its products alone, batched", False),
    ):
        hollow: dict[str, Any] = {} if filled else {"markerfacecolor": "none"}
        axes.plot([], [], mark, color="0.4", ms=4, label=label, **hollow)
    axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.08))
    axes.set(
        xscale="log", yscale="log", ylabel="GFLOP/s",
        xlabel="floating-point operations per byte that a step moves, without caches",
    )  # fmt: skip
    _plain(axes)


def _plain(axes: Axes) -> None:
    """Labels at powers of ten only, as numbers."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def cold_start(result: dict[str, Any]) -> Figure:
    """Bars of seconds."""
    rows = [row for row in result["rows"] if not row["void"]][::-1]
    figure = Figure(figsize=(7.5, 1.0 + 0.25 * len(rows)), layout="constrained", dpi=140)
    axes = figure.subplots()
    seconds = [row["seconds"] for row in rows]
    colors = [OWN if "jaxnets" in row["name"] else PEER for row in rows]
    axes.barh([row["name"] for row in rows], seconds, color=colors)
    for place, value in enumerate(seconds):
        axes.annotate(
            f"{value:.2f}", (value, place), xytext=(4, 0), textcoords="offset points", va="center"
        )
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.1)
    axes.set_xlabel("seconds from the start of the process to its end (median)")
    _title(figure, result["title"])
    return figure


def scale(result: dict[str, Any]) -> Figure:
    """Peak memory and rate by members, one epoch."""
    rows = sorted((r for r in result["rows"] if r["epochs"] == 1), key=lambda r: r["members"])
    members = [row["members"] for row in rows]
    figure = Figure(figsize=(8, 3), layout="constrained", dpi=140)
    left, right = figure.subplots(1, 2)
    peak = np.array([row["peak_mib"] for row in rows])
    results = np.array([row["planned_result_mib"] for row in rows])
    left.plot(members, peak, "o-", color=OWN, label="peak of the process")
    left.plot(members, peak - results, "s--", color=PEER, label="without the results")
    left.set(
        xscale="log", xlabel="members", ylabel="MiB", ylim=(0, 1.1 * peak.max()), title="memory"
    )
    left.legend(frameon=False, fontsize=8)
    rate = [row["model_steps_per_second"] for row in rows]
    right.plot(members, rate, "o-", color=OWN)
    right.set(
        xscale="log", xlabel="members", ylabel="model-steps per second",
        ylim=(0, 1.1 * max(rate)), title="speed, one epoch",
    )  # fmt: skip
    return figure


def sweep(result: dict[str, Any]) -> Figure:
    """Errors and loss by width."""
    first = result["rows"][0]
    widths, found = first["widths"], np.array(first["found"])
    figure = Figure(figsize=(8, 3), layout="constrained", dpi=140)
    left, right = figure.subplots(1, 2)
    left.plot(widths, found[:, 2], "o-", color=OWN, ms=4, label="test")
    left.plot(widths, found[:, 0], "s--", color=PEER, ms=4, label="train")
    left.set(xscale="log", xlabel="units per layer", ylabel="error, %")
    left.legend(frameon=False)
    right.plot(widths, found[:, 1], "o-", color=OWN, ms=4)
    right.set(xscale="log", xlabel="units per layer", ylabel="test loss")
    published = f"{result['published_seconds']:.0f} s published, on another machine"
    left.set_title("one network per width", fontsize="medium")
    right.set_title(f"{result['seconds']:.0f} s here; {published}", fontsize="medium")
    for axes in (left, right):
        axes.set_xticks(widths[::3], [str(width) for width in widths[::3]])
        axes.xaxis.set_minor_formatter(NullFormatter())
    return figure


def depth_vs_width(result: dict[str, Any]) -> Figure:
    """Accuracy, time of a step and memory by width, a line per depth; dotted in bfloat16."""
    rows = result["rows"]
    depths = sorted({row["depth"] for row in rows})
    figure = Figure(figsize=(11, 3.6), layout="constrained", dpi=140)
    panels = figure.subplots(1, 3)
    for depth, color in zip(depths, _shades(len(depths)), strict=True):
        for dtype, line in (("float32", "o-"), ("bfloat16", "s:")):
            own = [row for row in rows if (row["depth"], row["dtype"]) == (depth, dtype)]
            if not own:
                continue
            widths = [row["width"] for row in own]
            label = f"depth {depth}" if dtype == "float32" else None
            style: dict[str, Any] = {"color": color, "ms": 4, "lw": 1.2, "label": label}
            half = [(row["test_high"] - row["test_low"]) / 2 for row in own]
            accuracy = [row["test_accuracy"] for row in own]
            panels[0].errorbar(widths, accuracy, half, fmt=line, capsize=2, **style)
            panels[1].plot(widths, [row["microseconds_per_step"] for row in own], line, **style)
            panels[2].plot(widths, [row["member_bytes"] / 2**20 for row in own], line, **style)
    for axes, title, unit in (
        (panels[0], "test accuracy, 95 % intervals", "%"),
        (panels[1], "time of a step", "µs per step of a member"),
        (panels[2], "memory of a member", "MiB of weights and Adam's moments"),
    ):
        axes.set(xscale="log", xlabel="units of every hidden layer", ylabel=unit, title=title)
    for axes in panels[1:]:
        axes.set_yscale("log")
    for axes in panels:
        _plain(axes)
        axes.set_xticks(sorted({row["width"] for row in rows}))
    panels[0].legend(frameon=False, fontsize=8)
    return figure


FIGURES: dict[str, Callable[[dict[str, Any]], Figure]] = {
    "small-mlp": throughput,
    "mnist1d-mlp": throughput,
    "lenet": throughput,
    "mnist1d-cnn": throughput,
    "resnet20": throughput,
    "sweep": sweep,
    "depth-width": roofline,
    "cold-start": cold_start,
    "scale": scale,
    "depth_vs_width": depth_vs_width,
}


def _title(figure: Figure, text: str) -> None:
    """Over the whole figure, for long titles above long names."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=10, fontweight="bold")


def draw(name: str, result: dict[str, Any], folder: Path) -> Path:
    """Draw a case's figure into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    with matplotlib.rc_context(STYLE):
        FIGURES[name](result).savefig(path, metadata={"Software": None})
    return path
