"""Convolution as one matrix product over what the window sees at each place (im2col)."""

import jax
import jax.numpy as jnp

from jaxnets.nn import conv_lax
from jaxnets.nn.geometry import Geometry
from jaxnets.nn.windows import strided_slices


def output(x: jax.Array, kernel: jax.Array, g: Geometry) -> jax.Array:
    """The convolution itself."""
    y = patches(x, g) @ kernel.reshape(-1, kernel.shape[3])
    return y.reshape(x.shape[0], *g.out, kernel.shape[3])


def input_gradient(kernel: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the input."""
    gy = conv_lax.spread(gy, g)
    back = Geometry((gy.shape[1], gy.shape[2]), g.window, (1, 1), ((0, 0), (0, 0)), g.dilation)
    return output(gy, conv_lax.turned(kernel), back)


def kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the kernel."""
    matrix = patches(x, g).T @ gy.reshape(-1, gy.shape[3])
    return matrix.reshape(*g.window, x.shape[3], gy.shape[3])


def patches(x: jax.Array, g: Geometry) -> jax.Array:
    """What the window sees: ``(batch * places, window * channels)``."""
    x = jnp.pad(x, ((0, 0), *g.pads, (0, 0)))
    seen = jnp.concatenate(strided_slices(x, g.window, g.strides, g.dilation), axis=-1)
    return seen.reshape(-1, seen.shape[3])
