"""Convolution that makes several neighbouring places of a row at once.

A convolution is a fully connected layer whose matrix has a band of shared weights. The part of that
matrix that makes ``block`` neighbouring outputs of a row is the kernel of a convolution with
``block`` times as many features, a wider window and a larger stride. A part of it is zeros, which
are multiplied too; but a matrix product of few columns wastes more than that on a machine that
multiplies 16 numbers at a time, and a wider window reads longer runs of memory. With the whole row
as one block, it is the matrix of the fully connected layer, and the width is gone.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets.nn import conv_lax
from jaxnets.nn.geometry import Geometry, Pair


class Band(NamedTuple):
    """The matrix along one axis, in one direction of a convolution.

    Attributes:
        stride: the step, in places of the input, from one block of the result to the next.
        pads: what is added to the input, negative for what is not seen.
        blocks: how many blocks the result has.
        weights: bool ``(window, weights, block)``: which of the kernel's weights connects which
            place within the window to which place within a block of the result.
    """

    stride: int
    pads: Pair
    blocks: int
    weights: np.ndarray


def forward_band(g: Geometry, axis: int, block: int) -> Band:
    """From the input to ``block`` outputs at once.

    Example:
        >>> g = Geometry((1, 6), (1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
        >>> band = forward_band(g, 1, 5)
        >>> band.blocks, band.weights.argmax(1)[:3].tolist()
        (1, [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0]])
    """
    stride, dilation, low = g.strides[axis], g.dilation[axis], g.pads[axis][0]
    window = (block - 1) * stride + g.extent[axis]
    blocks = -(-g.out[axis] // block)
    seen, weight, made = np.ogrid[:window, : g.window[axis], :block]
    weights = seen == made * stride + weight * dilation
    high = (blocks - 1) * block * stride + window - low - g.size[axis]
    return Band(block * stride, (low, high), blocks, weights)


def backward_band(g: Geometry, axis: int, block: int) -> Band:
    """From the output's gradient to ``block`` times the stride places of the input's at once.

    Example:
        >>> g = Geometry((1, 8), (1, 3), (1, 2), ((0, 0), (1, 1)), (1, 1))
        >>> band = backward_band(g, 1, 1)
        >>> band.stride, band.blocks, band.weights.shape
        (1, 4, (2, 3, 2))
    """
    stride, dilation, low = g.strides[axis], g.dilation[axis], g.pads[axis][0]
    made_at_once = block * stride
    start = -((g.extent[axis] - 1 - low) // stride)
    window = (made_at_once - 1 + low) // stride - start + 1
    blocks = -(-g.size[axis] // made_at_once)
    seen, weight, made = np.ogrid[:window, : g.window[axis], :made_at_once]
    weights = (seen + start) * stride + weight * dilation - low == made
    high = (blocks - 1) * block + window + start - g.out[axis]
    return Band(block, (-start, high), blocks, weights)


def output(x: jax.Array, kernel: jax.Array, g: Geometry, block: int) -> jax.Array:
    """The convolution itself."""
    band = forward_band(g, 1, block)
    matrix = jnp.einsum("tvo,hvcf->htcof", _numbers(band, kernel), kernel)
    matrix = matrix.reshape(*matrix.shape[:3], -1)
    strides, dilation = (g.strides[0], band.stride), (g.dilation[0], 1)
    y = conv_lax.correlate(x, matrix, strides, (g.pads[0], band.pads), dilation)
    y = y.reshape(*y.shape[:2], band.blocks * block, kernel.shape[3])
    return y[:, :, : g.out[1]]


def input_gradient(kernel: jax.Array, gy: jax.Array, g: Geometry, block: int) -> jax.Array:
    """The gradient of the input: of as many rows at once as the stride is long."""
    if block >= g.out[1]:
        return _whole_rows(kernel, gy, g)
    rows, band = backward_band(g, 0, 1), backward_band(g, 1, block)
    matrix = jnp.einsum(
        "svr,two,vwcf->stfroc", _numbers(rows, kernel), _numbers(band, kernel), kernel
    )
    tall, wide, channels = matrix.shape[3:]
    matrix = matrix.reshape(*matrix.shape[:3], -1)
    gx = conv_lax.correlate(gy, matrix, (1, band.stride), (rows.pads, band.pads))
    gx = gx.reshape(-1, rows.blocks, band.blocks, tall, wide * channels)
    if tall > 1:
        gx = gx.swapaxes(2, 3)
    gx = gx.reshape(-1, rows.blocks * tall, band.blocks * wide, channels)
    return gx[:, : g.size[0], : g.size[1]]


def _whole_rows(kernel: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """What each row of the output gives to the rows of the input that it has seen, added up."""
    matrix, (height, _, channels, _) = _row_matrix(kernel, g), kernel.shape
    rows = gy.reshape(-1, matrix.shape[0]) @ matrix
    rows = rows.reshape(-1, g.out[0], height, g.size[1] * channels)
    total = jnp.zeros((gy.shape[0], g.size[0], g.size[1] * channels), gy.dtype)
    for place in range(height):
        low = place * g.dilation[0] - g.pads[0][0]
        where = (low, g.size[0] - low - g.spread[0], g.strides[0] - 1)
        total += lax.pad(rows[:, :, place], jnp.zeros((), gy.dtype), ((0, 0, 0), where, (0, 0, 0)))
    return total.reshape(-1, *g.size, channels)


def _row_matrix(kernel: jax.Array, g: Geometry) -> jax.Array:
    """From a row of the output, places and features, to what the rows of the input that it has seen
    get of it: one row per row of the kernel, places and channels.

    Each place of the output has the same weights, further to the right: slices of a kernel between
    zeros, without a product with the band and the transposition after it.
    """
    stride, low = g.strides[1], g.pads[1][0]
    before = max(0, (g.out[1] - 1) * stride - low)
    after = max(0, low + g.size[1] - g.extent[1])
    gaps = ((0, 0, 0), (0, 0, 0), (before, after, g.dilation[1] - 1), (0, 0, 0))
    rows = lax.pad(kernel.transpose(3, 0, 1, 2), jnp.zeros((), kernel.dtype), gaps)
    rows = lax.optimization_barrier(rows)
    starts = [before + low - place * stride for place in range(g.out[1])]
    shifted = [lax.slice_in_dim(rows, n, n + g.size[1], axis=2) for n in starts]
    return jnp.stack(shifted).reshape(g.out[1] * kernel.shape[3], -1)


def kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry, block: int) -> jax.Array:
    """The gradient of the kernel: that of the matrix, summed over the band."""
    band = forward_band(g, 1, block)
    rest = band.blocks * block - g.out[1]
    if rest:
        gy = conv_lax.pad(gy, ((0, 0), (0, rest)))
    wide = Geometry(
        g.size,
        (g.window[0], band.weights.shape[0]),
        (g.strides[0], band.stride),
        (g.pads[0], band.pads),
        (g.dilation[0], 1),
    )
    features = gy.shape[3]
    gy = gy.reshape(*gy.shape[:2], band.blocks, block * features)
    matrix = conv_lax.kernel_gradient(x, gy, wide)
    matrix = matrix.reshape(*matrix.shape[:3], block, features)
    return jnp.einsum("tvo,htcof->hvcf", _numbers(band, x), matrix)


def _numbers(band: Band, like: jax.Array) -> jax.Array:
    return jnp.asarray(band.weights, like.dtype)
