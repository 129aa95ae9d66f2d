import numpy as np
import pytest
import xarray as xr

from jaxnets.study import DepthWidth
from jaxnets.study.measure import ACCURACY, SQUARED
from jaxnets.study.selection import best_values, choose
from jaxnets.study.summarize import select

NAN = np.nan


def test_the_best_epoch_counts_and_a_diverged_member_is_the_worst():
    curves = np.array([[0.2, 0.7, 0.6], [0.9, NAN, NAN], [NAN, NAN, NAN]])
    diverged = np.array([False, True, True])
    np.testing.assert_array_equal(best_values(curves, diverged), [0.7, 0.0, 0.0])
    falling = best_values(curves, diverged, rising=False)
    np.testing.assert_array_equal(falling, [0.2, np.inf, np.inf])


def test_the_mean_decides_not_the_luckiest_seed():
    values = np.array([0.9, 0.1, 0.6, 0.6])
    settings = np.array([0, 0, 1, 1])
    assert choose(values, settings) == (1, (2, 3), (0.5, 0.6))
    assert choose(values, settings, rising=False).setting == 0


def test_the_first_of_equals_wins():
    assert choose(np.array([0.5, 0.5]), np.array([0, 1])).setting == 0
    assert choose(np.array([np.inf, np.inf]), np.array([0, 1]), rising=False).setting == 0


def test_a_setting_without_members_is_named():
    with pytest.raises(ValueError, match="settings: expected members of setting 0"):
        choose(np.array([0.5]), np.array([1]))
    with pytest.raises(ValueError, match="values: expected shape"):
        choose(np.zeros(0), np.zeros(0, int))


@pytest.mark.parametrize("measure", [ACCURACY, SQUARED], ids=lambda m: m.name)
def test_every_depth_gets_its_own_rate(measure):
    # Depth 1: the large rate is better, but one of its two seeds diverged. Depth 2: it is better.
    question = DepthWidth(depths=(1, 2), learning_rates=(0.1, 0.01), seeds=2)
    good = np.array([0.6, 0.6, 0.5, 0.5, 0.6, 0.6, 0.5, 0.5])
    values = good if measure.rising else 1.0 - good
    history = xr.Dataset(
        {
            f"valid_{measure.name}": (("member", "epoch"), values[:, None]),
            "diverged": ("member", np.arange(8) == 1),
        },
        coords={
            "depth": ("member", np.repeat([1, 2], 4)),
            "learning_rate": ("member", np.tile(np.float32([0.1, 0.1, 0.01, 0.01]), 2)),
        },
    )
    choices = select(history, question, measure, [1, 2])
    assert [choice.members for choice in choices] == [(2, 3), (4, 5)]
    backwards = select(history, question, measure, [2, 1])
    assert [choice.members for choice in backwards] == [(4, 5), (2, 3)]
