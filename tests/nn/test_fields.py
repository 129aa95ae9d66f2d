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
