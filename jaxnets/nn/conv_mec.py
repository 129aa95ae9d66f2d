"""Convolution as a matrix product over half of what the window sees, along one axis only.

What the window sees along the width is written down at each place: ``window[1]`` copies of the
input instead of the ``window[0] * window[1]`` of `conv_patches`. One product makes the
contributions of all rows of the kernel, and shifted by so many rows they are added. In the gradient
of the kernel the rows are written down of ``gy`` instead, and the product is the gradient: half of
the window on either side, so that both sides of the product have enough columns to keep a core
busy, even with few channels.

Source: Cho and Brand, MEC: Memory-efficient Convolution for Deep Neural Network, 2017, section 3,
for the lowering along one axis.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn import conv_lax
from jaxnets.nn.chunks import examples, in_chunks, joined
from jaxnets.nn.geometry import Geometry

CHUNK = 2**19
"""About so many numbers (2 MB in float32) are written down at once, to stay in the cache."""


def fits(g: Geometry) -> bool:
    """Whether it is a way of its own; with a window of one row it would be `conv_patches`."""
    return min(g.window) > 1


def output(x: jax.Array, kernel: jax.Array, g: Geometry) -> jax.Array:
    """The convolution itself."""
    features = kernel.shape[3]

    def some(x: jax.Array) -> jax.Array:
        parts = []
        for phase, seen in zip(phases(g), _along_width(x, g), strict=True):
            weights = kernel[phase.first :: phase.every].transpose(1, 2, 0, 3)
            made = _rows(seen) @ weights.reshape(seen.shape[3], -1)
            made = made.reshape(*seen.shape[:3], -1, features)
            parts += [made[:, s : s + g.out[0], :, i] for i, s in enumerate(phase.shifts)]
        return sum(parts[1:], parts[0])

    return joined(in_chunks(some, _most(g, x.shape[3], features), x))


def input_gradient(kernel: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the input: what ``gy`` and the turned kernel make."""
    if g.strides != (1, 1):
        gy = conv_lax.spread(gy, g)
    return output(gy, conv_lax.turned(kernel), g.backward)


def kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the kernel."""
    (high, wide), channels, features = g.window, x.shape[3], gy.shape[3]

    def some(x: jax.Array, gy: jax.Array) -> list[jax.Array]:
        # The transposed product is the faster one on a CPU.
        return [
            _rows(_along_height(gy, phase)).T @ _rows(seen)
            for phase, seen in zip(phases(g), _along_width(x, g), strict=True)
        ]

    matrices = in_chunks(some, _most(g, channels, features), x, gy)
    gradient = jnp.zeros((high, wide, channels, features), matrices[0].dtype)
    for phase, matrix in zip(phases(g), matrices, strict=True):
        part = matrix.sum(0).reshape(-1, features, wide, channels).transpose(0, 2, 3, 1)
        gradient = gradient.at[phase.first :: phase.every].set(part)
    return gradient


class Phase(NamedTuple):
    """The rows of the padded input that the same rows of the kernel meet.

    With a stride of two the first and the third row of the kernel only meet even rows, the second
    only odd ones.

    Attributes:
        start: the first row of the input.
        step: the distance of the rows of the input.
        rows: how many they are.
        first: the first row of the kernel.
        every: the distance of the rows of the kernel.
        shifts: of these rows, how many rows of the output before the input's.
    """

    start: int
    step: int
    rows: int
    first: int
    every: int
    shifts: tuple[int, ...]


def phases(g: Geometry) -> list[Phase]:
    """Every row of the kernel in one of them.

    Example:
        >>> g = Geometry((8, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
        >>> [(phase.start, phase.rows, phase.shifts) for phase in phases(g)]
        [(0, 5, (0, 1)), (1, 4, (0,))]
    """
    stride, dilation = g.strides[0], g.dilation[0]
    every = stride // math.gcd(stride, dilation)  # from there on the remainders come again
    found = []
    for first in range(min(every, g.window[0])):
        places = [i * dilation for i in range(first, g.window[0], every)]
        start = places[0] % stride
        shifts = tuple((place - start) // stride for place in places)
        found.append(Phase(start, stride, g.out[0] + shifts[-1], first, every, shifts))
    return found


def _most(g: Geometry, channels: int, features: int) -> int:
    """Examples at a time."""
    wide = g.window[1] * channels
    each = sum(p.rows * g.out[1] * (wide + len(p.shifts) * features) for p in phases(g))
    return examples(CHUNK, (each,))


def _along_width(x: jax.Array, g: Geometry) -> list[jax.Array]:
    """What the window sees along the width, ``(batch, rows, out, window * channels)`` for each of
    the phases.
    """
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*p, 0) for p in g.pads), (0, 0, 0)))
    wide = (g.out[1] - 1) * g.strides[1] + 1
    starts = [j * g.dilation[1] for j in range(g.window[1])]
    return [
        jnp.concatenate(
            [
                x[
                    :,
                    p.start : p.start + (p.rows - 1) * p.step + 1 : p.step,
                    j : j + wide : g.strides[1],
                ]
                for j in starts
            ],
            axis=3,
        )
        for p in phases(g)
    ]


def _along_height(gy: jax.Array, phase: Phase) -> jax.Array:
    """From which places these rows of the input are seen, by every row of the kernel:
    ``(batch, rows, out, shifts * features)``.
    """
    high, last = gy.shape[1], phase.shifts[-1]
    gy = jnp.pad(gy, ((0, 0), (last, last), (0, 0), (0, 0)))
    return jnp.concatenate([gy[:, last - s : 2 * last - s + high] for s in phase.shifts], axis=3)


def _rows(array: jax.Array) -> jax.Array:
    return array.reshape(-1, array.shape[3])
