import numpy as np
import pytest
import xarray as xr

from jaxnets.study import DepthWidth
from jaxnets.study.measure import ACCURACY, SQUARED
from jaxnets.study.selection import Choice, best_values, choose
from jaxnets.study.statistics import paired_difference
from jaxnets.study.summarize import compare, select

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
    assert choose(values, settings) == Choice(1, (2, 3), (0.5, 0.6), apart=True)
    assert choose(values, settings, rising=False).setting == 0


def test_the_first_of_equals_wins():
    assert choose(np.array([0.5, 0.5]), np.array([0, 1])).setting == 0
    assert choose(np.array([np.inf, np.inf]), np.array([0, 1]), rising=False).setting == 0
    rows = np.float32(np.array([543, 494, 557, 480]) / 800)  # as many right, rounded otherwise
    found = choose(rows, np.array([0, 0, 1, 1]))
    assert found.scores[0] < found.scores[1] and found.setting == 0 and not found.apart
    assert choose(np.array([0.5, 0.501]), np.array([0, 1])).apart


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


@pytest.mark.parametrize("depths", [[3], [3, 1], [3, 1, 2]])
def test_the_intervals_against_the_first_depth_hold_together(depths):
    test = np.random.default_rng(0).normal(size=(3, 4))
    history = xr.Dataset(
        {"test_loss": ("member", test.ravel())},
        coords={"seed": ("member", np.tile(np.arange(4), 3))},
    )
    choices = [
        Choice(0, tuple(range(4 * place, 4 * place + 4)), (0.0,)) for place in range(len(depths))
    ]
    rows = compare(history, SQUARED, depths, choices).to_dict("records")
    assert [row["depth"] for row in rows] == depths[1:]
    for row, values in zip(rows, test[1:], strict=False):
        assert row["confidence"] == pytest.approx(1.0 - 0.05 / (len(depths) - 1))
        expected = paired_difference(
            test[0], values, np.arange(4), np.arange(4), confidence=row["confidence"]
        )
        found = tuple(row[name] for name in ("difference", "low", "high", "seeds"))
        assert found == expected
        assert (row["base_depth"], row["measure"]) == (3, "test_loss")


def test_what_is_not_finite_is_not_compared():
    history = xr.Dataset(
        {"test_loss": ("member", [1.0, 2.0, 3.0, np.inf, 1.5, 2.0])},
        coords={"seed": ("member", [0, 1] * 3)},
    )
    choices = [Choice(0, members, (0.0,)) for members in ((0, 1), (2, 3), (4, 5))]
    unknown, known = compare(history, SQUARED, [1, 2, 3], choices).to_dict("records")
    assert all(np.isnan(unknown[name]) for name in ("difference", "low", "high"))
    assert known["difference"] == 0.25 and known["low"] < 0.25


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_where_some_diverge_at_every_rate_the_fewest_win(order: tuple[int, int]):
    """Whichever rate is written first."""
    everyone, one_of_two = [np.inf, np.inf], [0.3, np.inf]
    values = np.array([*(everyone, one_of_two)[order[0]], *(everyone, one_of_two)[order[1]]])
    found = choose(values, np.array([0, 0, 1, 1]), rising=False)
    assert found.setting == order.index(1) and found.scores == (np.inf, np.inf)
    # As many diverge: the mean of the others.
    assert choose(np.array([0.4, np.inf, 0.3, np.inf]), np.array([0, 0, 1, 1]), rising=False)[0]
