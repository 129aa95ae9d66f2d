"""Fields that modules have in common."""

import numpy as np
import pytest

from jaxnets import nn


@pytest.mark.parametrize("value", ["no", 1, None])
def test_what_is_neither_true_nor_false(value: object):
    with pytest.raises(TypeError, match="preactivation: expected True or False, got"):
        nn.ResidualMLP(8, 1, 3, preactivation=value)


@pytest.mark.parametrize("widths", [{8, 4}, {8: "a"}, frozenset([3])])
def test_widths_have_an_order(widths: object):
    with pytest.raises(TypeError, match="features: expected a sequence of integers, got"):
        nn.MLP(widths, 3)
    assert nn.MLP(np.array([8, 4]), 3) == nn.MLP([8, 4], 3)


@pytest.mark.parametrize("value", [np.array([3, 3]), np.float32(3), np.array([])], ids=str)
def test_arrays_are_no_integers(value: object):
    with pytest.raises(TypeError, match="outputs: expected an integer of at least 1, got"):
        nn.MLP([3], outputs=value)
    assert nn.MLP([3], outputs=np.array(3)) == nn.MLP([3], outputs=3)


def test_numbers_are_checked_as_they_are_used():
    with pytest.raises(ValueError, match=r"rate: .* \[0.0, 1.0\), got 0.9999.*, 1 in float32"):
        nn.Dropout(1 - 1e-12)
    with pytest.raises(ValueError, match=r"branch_scale: .* got 1e\+39, inf in float32"):
        nn.ResidualMLP(3, 1, 1, branch_scale=1e39)
