"""The gradient of a strided convolution's input, without zeros between the places of the output's.

With a stride of two the even places of the input meet other rows of the kernel than the odd ones.
Each of these *phases* is a convolution without strides of the output's gradient with a part of the
kernel; laid between each other they are the gradient.

Source: Shi et al. 2016, Is the deconvolution layer the same as a convolutional layer?, sections 2
and 3.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.nn.conv_lax import turned
from jaxnets.nn.geometry import Geometry, Pair, Pairs


class Phase(NamedTuple):
    """Every so many-th place of the input along one axis.

    Attributes:
        taps: the places of the kernel that it meets.
        pads: what is added to the output's gradient, low and high; less than 0 is cut off.
        dilation: the distance of the kernel's places, in places of the output.
    """

    taps: range
    pads: Pair
    dilation: int


def phases(g: Geometry, axis: int) -> list[Phase]:
    """As many as the stride, in their order; each makes as many places as the first.

    Args:
        g: of the convolution.
        axis: 0 for the height, 1 for the width.

    Example:
        >>> g = Geometry((8, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
        >>> [(list(phase.taps), phase.pads) for phase in phases(g, 0)]
        [([1], (0, 0)), ([0, 2], (0, 1))]
    """
    stride, window, dilation = g.strides[axis], g.window[axis], g.dilation[axis]
    places, out, low = -(-g.size[axis] // stride), g.out[axis], g.pads[axis][0]
    common = math.gcd(stride, dilation)
    found = []
    for place in range(low, low + stride):
        met = [k for k in range(window) if (k * dilation - place) % stride == 0]
        taps = range(met[0], window, stride // common) if met else range(0)
        first = (place - taps.start * dilation) // stride  # the output's place of the first tap
        reach = (len(taps) - 1) * dilation // common
        found.append(
            Phase(taps, (reach - first, places - 1 + first - (out - 1)), dilation // common)
        )
    return found


def input_gradient(
    kernel: jax.Array,
    gy: jax.Array,
    g: Geometry,
    correlate: Callable[[jax.Array, jax.Array, Pairs, Pair], jax.Array],
) -> jax.Array:
    """The gradient of the input.

    Args:
        kernel: ``(*window, channels, features)``.
        gy: ``(batch, *out, features)``.
        g: the geometry.
        correlate: ``(x, kernel, pads, dilation) -> y``, a convolution without strides.

    Returns:
        Array of shape ``(batch, *size, channels)``.

    Example:
        >>> from jaxnets.nn.conv_lax import correlate
        >>> g = Geometry((1, 4), (1, 2), (1, 2), ((0, 0), (0, 0)), (1, 1))
        >>> kernel, gy = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1), jnp.ones((1, 1, 2, 1))
        >>> one = lambda x, kernel, pads, dilation: correlate(x, kernel, (1, 1), pads, dilation)
        >>> input_gradient(kernel, gy, g, one).ravel().tolist()
        [1.0, 2.0, 1.0, 2.0]
    """
    batch, channels = gy.shape[0], kernel.shape[2]
    high, wide = (-(-n // s) for n, s in zip(g.size, g.strides, strict=True))

    def part(row: Phase, column: Phase) -> jax.Array:
        if not row.taps or not column.taps:
            return jnp.zeros((batch, high, wide, channels), gy.dtype)
        some = kernel[_slice(row.taps), _slice(column.taps)]
        return correlate(gy, turned(some), (row.pads, column.pads), (row.dilation, column.dilation))

    columns = phases(g, 1)
    rows = [jnp.stack([part(row, c) for c in columns], 3) for row in phases(g, 0)]
    laid = jnp.stack(rows, 2).reshape(batch, high * g.strides[0], wide * g.strides[1], channels)
    return laid[:, : g.size[0], : g.size[1]]


def _slice(taps: range) -> slice:
    return slice(taps.start, taps.stop, taps.step)
