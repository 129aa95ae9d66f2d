"""The gradient of a strided convolution's input, phase by phase, against float64 in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings

from jaxnets.nn import conv_lax, conv_phases
from jaxnets.nn.geometry import Geometry
from tests.nn.test_conv_methods import GEOMETRIES, arrays, geometries, reference


def plain(x, kernel, pads, dilation):
    return conv_lax.correlate(x, kernel, (1, 1), pads, dilation)


def check(g: Geometry) -> None:
    data = arrays(g)
    got = conv_phases.input_gradient(data["kernel"], data["output"], g, plain)
    expected = reference("input", g, data["kernel"], data["output"])
    tolerance = 1e-5 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_gradient_of_the_input(name):
    check(Geometry(*GEOMETRIES[name]))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(geometries())
def test_odd_shapes(g):
    check(g)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_place_of_the_kernel_is_in_one_phase(name):
    """So that no product is made twice, and none with a zero between the places."""
    g = Geometry(*GEOMETRIES[name])
    for axis in (0, 1):
        found = conv_phases.phases(g, axis)
        assert len(found) == g.strides[axis]
        assert sorted(tap for phase in found for tap in phase.taps) == list(range(g.window[axis]))
