"""From trained members to the rows of the report: select on validation, then read the test part."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from jaxnets.population.results import Runs
from jaxnets.study.measure import Measure
from jaxnets.study.question import DepthWidth
from jaxnets.study.selection import Choice, best_values, choose
from jaxnets.study.statistics import (
    Estimate,
    epochs_to,
    mean_interval,
    paired_difference,
    simultaneous,
)

Shape = tuple[int, int]

PAIRED_COLUMNS = (
    "depth", "base_depth", "measure", "difference", "low", "high", "confidence", "seeds"
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Everything that tables and figures are made of.

    Attributes:
        history: of all members; ``chosen``, and the test measures of those, NaN for the others.
        choices: one per depth; ``members`` are places in ``history``.
        summary: see `jaxnets.study.report.Report`.
        paired: see there.
    """

    history: xr.Dataset
    choices: tuple[Choice, ...]
    summary: pd.DataFrame
    paired: pd.DataFrame


def select(
    history: xr.Dataset, question: DepthWidth, measure: Measure, depths: Sequence[int]
) -> tuple[Choice, ...]:
    """The learning rate of every depth. The test part is no argument of this function.

    Args:
        history: of all members, with coordinate ``depth``.
        question: the rates.
        measure: what is compared.
        depths: in the order of the answer.

    Returns:
        One choice per depth.
    """
    values = best_values(
        history[f"valid_{measure.name}"].values, history["diverged"].values, rising=measure.rising
    )
    rates = np.array(question.learning_rates)
    settings = np.argmin(np.abs(history["learning_rate"].values[:, None] - rates), axis=1)
    choices = []
    for depth in depths:
        rows = np.flatnonzero(history["depth"].values == depth)
        choice = choose(values[rows], settings[rows], rising=measure.rising)
        choices.append(choice._replace(members=tuple(int(rows[i]) for i in choice.members)))
    return tuple(choices)


def summarize(
    runs: Runs, question: DepthWidth, measure: Measure, shapes: Sequence[Shape]
) -> Outcome:
    """Select, read the test part once, and count.

    Args:
        runs: all members; the programs are in the order of ``shapes``.
        question: what was asked.
        measure: what is reported.
        shapes: depth and width of each architecture.

    Returns:
        The outcome.
    """
    history = _labelled(runs, shapes)
    choices = select(history, question, measure, [depth for depth, _ in shapes])
    chosen = [row for choice in choices for row in choice.members]
    test = runs.evaluate("test", members=chosen)
    history = _with_test(history, chosen, test)
    rows = [
        _row(runs, history, question, measure, index, choice)
        for index, choice in enumerate(choices)
    ]
    summary = pd.DataFrame(rows)
    paired = compare(history, measure, [depth for depth, _ in shapes], choices)
    return Outcome(history, choices, summary, paired)


def compare(
    history: xr.Dataset, measure: Measure, depths: Sequence[int], choices: Sequence[Choice]
) -> pd.DataFrame:
    """Every depth against the first, paired by seed, with intervals that hold together.

    Args:
        history: of all members, with the test measure of those that were chosen.
        measure: what is compared.
        depths: in the order of the answer.
        choices: one per depth.

    Returns:
        One row per depth after the first, see `jaxnets.study.report.Report`.
    """
    test, seeds = history[f"test_{measure.name}"].values, history["seed"].values
    base = list(choices[0].members)
    rows = []
    for depth, choice in zip(depths[1:], choices[1:], strict=True):
        own, confidence = list(choice.members), simultaneous(len(depths) - 1)
        if np.all(np.isfinite(test[base + own])):
            estimate = paired_difference(
                test[base], test[own], seeds[base], seeds[own], confidence=confidence
            )
        else:
            common = np.intersect1d(seeds[base], seeds[own]).size
            estimate = Estimate(math.nan, math.nan, math.nan, common)
        rows.append(
            (
                depth, depths[0], f"test_{measure.name}", estimate.mean, estimate.low,
                estimate.high, confidence, estimate.size,
            )
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(PAIRED_COLUMNS))


def _labelled(runs: Runs, shapes: Sequence[Shape]) -> xr.Dataset:
    history = runs.history
    depth = np.zeros(history.sizes["member"], np.int64)
    width = np.zeros_like(depth)
    for group, shape in zip(runs.groups, shapes, strict=True):
        depth[list(group.program.group.rows)], width[list(group.program.group.rows)] = shape
    return history.assign_coords(depth=("member", depth), width=("member", width))


def _with_test(history: xr.Dataset, chosen: Sequence[int], test: xr.Dataset) -> xr.Dataset:
    marked = np.zeros(history.sizes["member"], bool)
    marked[list(chosen)] = True
    added: dict[str, Any] = {"chosen": ("member", marked)}
    for name, values in test.data_vars.items():
        column = np.full(len(marked), np.nan, np.float32)
        column[list(chosen)] = values.values
        added[f"test_{name}"] = ("member", column)
    return history.assign(added)


def _row(
    runs: Runs,
    history: xr.Dataset,
    question: DepthWidth,
    measure: Measure,
    index: int,
    choice: Choice,
) -> Mapping[str, Any]:
    result, name = runs.groups[index], measure.name
    program = result.program
    own, winners = history.isel(member=list(program.group.rows)), list(choice.members)
    picked = history.isel(member=winners)
    test = picked[f"test_{name}"].values
    # An input beyond all others may be measured as infinite, or not at all.
    finite = np.all(np.isfinite(test))
    unknown = Estimate(float(test.mean(dtype=np.float64)), math.nan, math.nan, len(test))
    estimate = mean_interval(test) if finite else unknown
    curves = picked[f"valid_{name}"].values
    reached = epochs_to(curves, picked["epoch"].values, question.threshold, rising=measure.rising)
    # Whoever diverged counts as the worst when a rate is chosen; here as what it had reached, which
    # is measured where it has no record.
    best = best_values(curves, np.zeros(len(curves), bool), rising=measure.rising)
    silent = np.flatnonzero(np.all(np.isnan(curves), axis=1))
    if silent.size:
        members = [winners[place] for place in silent]
        best[silent] = runs.evaluate("valid", members=members)[name].values
    return {
        "depth": int(own["depth"][0]),
        "width": int(own["width"][0]),
        "parameters": program.parameters,
        "flops_per_step": program.step_flops,
        "learning_rate": question.learning_rates[choice.setting],
        "rates_apart": int(choice.apart),
        f"test_{name}": estimate.mean,
        f"test_{name}_low": estimate.low,
        f"test_{name}_high": estimate.high,
        f"valid_{name}": float(best.mean()),
        "epochs_to_threshold": reached.median,
        "reached": reached.reached,
        "seeds": estimate.size,
        "members": len(program.group.rows),
        "diverged": int(own["diverged"].sum()),
        "diverged_chosen": int(picked["diverged"].sum()),
        "microseconds_per_member_step": (
            result.run_seconds / result.member_steps * 1e6 if result.member_steps else np.nan
        ),
        "compile_seconds": result.compile_seconds,
    }
