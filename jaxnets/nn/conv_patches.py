"""Convolution as one matrix product over what the window sees at each place (im2col)."""

import math

import jax
import jax.numpy as jnp

from jaxnets.nn import conv_lax
from jaxnets.nn.chunks import examples, in_chunks, joined
from jaxnets.nn.geometry import Geometry
from jaxnets.nn.windows import strided_slices

CHUNK = 2**18
"""About so many numbers (1 MB in float32) are written down at once, to stay in the cache."""


def output(x: jax.Array, kernel: jax.Array, g: Geometry) -> jax.Array:
    """The convolution itself."""
    weights = kernel.reshape(-1, kernel.shape[3])

    def some(x: jax.Array) -> jax.Array:
        return (patches(x, g) @ weights).reshape(x.shape[0], *g.out, kernel.shape[3])

    return joined(in_chunks(some, _most(x, g), x))


def input_gradient(kernel: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the input."""
    gy = conv_lax.spread(gy, g)
    back = Geometry((gy.shape[1], gy.shape[2]), g.window, (1, 1), ((0, 0), (0, 0)), g.dilation)
    return output(gy, conv_lax.turned(kernel), back)


def kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the kernel."""

    def some(x: jax.Array, gy: jax.Array) -> jax.Array:
        # The transposed product is the faster one on a CPU.
        return gy.reshape(-1, gy.shape[3]).T @ patches(x, g)

    matrix = in_chunks(some, _most(x, g), x, gy).sum(0).T
    return matrix.reshape(*g.window, x.shape[3], gy.shape[3])


def patches(x: jax.Array, g: Geometry) -> jax.Array:
    """What the window sees: ``(batch * places, window * channels)``."""
    x = jnp.pad(x, ((0, 0), *g.pads, (0, 0)))
    seen = jnp.concatenate(strided_slices(x, g.window, g.strides, g.dilation), axis=-1)
    return seen.reshape(-1, seen.shape[3])


def _most(x: jax.Array, g: Geometry) -> int:
    """Examples at a time."""
    return examples(CHUNK, (*g.out, math.prod(g.window), x.shape[3]))
