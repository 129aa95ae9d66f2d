"""What is printed: numbers as short as they can be, and nothing that is not so."""

from pathlib import Path

import pandas as pd
import pytest

from jaxnets.study import DepthWidth
from jaxnets.study.measure import ACCURACY, SQUARED, Measure
from jaxnets.study.report import Report
from jaxnets.study.tables import show


@pytest.mark.parametrize(
    ("measure", "value", "shown"),
    [
        (ACCURACY, 0.61234, "61.2"),
        (SQUARED, 0.61234, "0.612"),
        (SQUARED, 999.4999, "999.500"),
        (SQUARED, 5.9e48, "5.9e+48"),
        (SQUARED, -1234.5, "-1.23e+03"),
        (SQUARED, 0.000412345, "0.000412"),
        (SQUARED, -0.00912, "-0.00912"),
        (SQUARED, 0.0, "0.000"),
        (ACCURACY, 0.00004, "0.0"),
    ],
)
def test_values_are_short(measure: Measure, value: float, shown: str):
    assert show(measure, value) == shown


@pytest.mark.parametrize(
    ("measure", "diverged", "sentence"),
    [
        (SQUARED, 2, "Depth 3: at every rate some seeds diverged."),
        (SQUARED, 0, "Depth 3 chose the largest rate tried, 1: a better one may lie beyond it."),
        (ACCURACY, 2, "Depth 3 chose the largest rate tried, 1: a better one may lie beyond it."),
    ],
)
def test_where_every_rate_diverges_none_lies_beyond(measure: Measure, diverged: int, sentence: str):
    rows = pd.DataFrame([{"depth": 3, "learning_rate": 1.0, "diverged_chosen": diverged}])
    question = DepthWidth(depths=[3], learning_rates=[1.0, 0.5])
    found = Report(question, measure, rows, pd.DataFrame(), Path()).sentences()
    assert found[0] == sentence and len(found) == 1 + (diverged > 0)
