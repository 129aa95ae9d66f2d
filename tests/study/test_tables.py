"""What is printed: numbers as short as they can be, and nothing that is not so."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxnets.study import DepthWidth
from jaxnets.study.measure import ACCURACY, SQUARED, Measure
from jaxnets.study.report import Report
from jaxnets.study.tables import result_table, show


@pytest.mark.parametrize(
    ("measure", "value", "shown"),
    [
        (ACCURACY, 0.61234, "61.2"),
        (SQUARED, 0.61234, "0.612"),
        (SQUARED, 999.4999, "999.500"),
        (SQUARED, 5.9e48, "5.9e+48"),
        (SQUARED, -1234.5, "-1.23e+03"),
        (SQUARED, 6.77e20, "6.8e+20"),
        (SQUARED, float("inf"), "inf"),
        (ACCURACY, float("nan"), "nan"),
        (SQUARED, 0.000412345, "0.000412"),
        (SQUARED, -0.00912, "-0.00912"),
        (SQUARED, 0.0, "0.000"),
        (ACCURACY, 0.00004, "0.004"),
        (ACCURACY, -0.00043, "-0.04"),
        (ACCURACY, 0.000499, "0.05"),
        (ACCURACY, -1e-9, "0.0"),
        (ACCURACY, 0.0, "0.0"),
    ],
)
def test_values_are_short(measure: Measure, value: float, shown: str):
    assert show(measure, value) == shown


BEYOND = "Depth 3 chose the largest rate tried, 1: a better one may lie beyond it."


@pytest.mark.parametrize(
    ("measure", "diverged", "members", "sentence"),
    [
        (SQUARED, 2, 6, "Depth 3: at every rate some seeds diverged."),
        (SQUARED, 0, 6, BEYOND),
        (
            ACCURACY,
            2,
            6,
            BEYOND,
        ),
        (ACCURACY, 2, 4, "Depth 3: at every rate some seeds diverged."),  # all did
    ],
)
def test_where_every_rate_diverges_none_lies_beyond(
    measure: Measure, diverged: int, members: int, sentence: str
):
    counts = {"diverged_chosen": diverged, "diverged": 2 * diverged, "members": members}
    rows = pd.DataFrame([{"depth": 3, "learning_rate": 1.0, **counts}])
    question = DepthWidth(depths=[3], learning_rates=[1.0, 0.5])
    found = Report(question, measure, rows, pd.DataFrame(), Path()).sentences()
    assert found[0] == sentence and len(found) == 1 + (diverged > 0)


@pytest.mark.parametrize("apart", [True, False])
def test_rates_that_are_all_alike_chose_nothing(apart: bool):
    row = {"depth": 3, "learning_rate": 1.0, "diverged_chosen": 0, "diverged": 0, "members": 4}
    question = DepthWidth(depths=[3], learning_rates=[1.0, 0.5])
    rows = pd.DataFrame([row | {"rates_apart": int(apart)}])
    found = Report(question, ACCURACY, rows, pd.DataFrame(), Path()).sentences()
    alike = "Depth 3: all rates are equally good on validation, which chose none; the first one "
    assert found[0] == BEYOND if apart else found[0].startswith(alike)
    assert len(found) == 1


def test_what_is_not_finite_is_said():
    row = {"depth": 2, "base_depth": 1, "difference": np.nan, "low": np.nan, "high": np.nan}
    paired = pd.DataFrame([row | {"seeds": 2}])
    rows = pd.DataFrame([{"learning_rate": 1.0, "diverged_chosen": 0, "depth": 2}])
    question = DepthWidth(depths=[1, 2], learning_rates=[1.0])
    (found,) = Report(question, SQUARED, rows, paired, Path()).sentences()
    assert found.endswith("depth 2 cannot be compared: not every squared error is finite.")


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_seed_has_no_interval(seeds: int):
    question = DepthWidth(depths=[1], seeds=seeds)
    table = result_table(pd.DataFrame(), question, ACCURACY)
    assert f"{seeds} seed{'s' * (seeds > 1)} per depth" in str(table.title)
    assert ("95 % interval" in str(table.caption)) == (seeds > 1)
