"""XLA's convolution and its two gradients, each written as the one that is fast on a CPU.

XLA's CPU backend has fast code for ``NHWC`` images, ``HWIO`` kernels and ``NHWC`` results, without
zeros between the places of the input, and with a result no larger than the input. Its compiler
turns other orders of the axes into this one in the outermost computation, but not in the body of a
loop, where they run 50 times slower. JAX's own derivatives name the axes in other orders. Here the
arrays are rearranged instead.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn.geometry import Geometry, Pair, Pairs

LAYOUT = ("NHWC", "HWIO", "NHWC")

EIGEN_CHANNELS = 16
"""Up to so many channels and features XLA's CPU backend takes Eigen's convolution, from there on
that of YNNPACK, which runs on one core."""


def correlate(
    x: jax.Array,
    kernel: jax.Array,
    strides: Pair = (1, 1),
    pads: Pairs = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
) -> jax.Array:
    """XLA's convolution, padded beforehand where XLA would be slow otherwise, with a row too many
    where it would be slow without: see `one_row_more`.
    """
    sizes = zip(x.shape[1:3], kernel.shape[:2], strides, pads, dilation, strict=True)
    larger = any(
        (n + low + high - (w - 1) * d - 1) // s + 1 > n or w > n
        for n, w, s, (low, high), d in sizes
    )
    if larger or min(map(min, pads)) < 0:
        x, pads = pad(x, pads), ((0, 0), (0, 0))
    more = one_row_more(x.shape[1], kernel.shape, strides, pads, dilation)
    if more:
        (low, high), across = pads
        pads = ((low + 1, high), across)
    y = lax.conv_general_dilated(
        x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=LAYOUT
    )
    return y[:, 1:] if more else y


def one_row_more(
    height: int, kernel: tuple[int, ...], strides: Pair, pads: Pairs, dilation: Pair
) -> bool:
    """Whether a result that is as high as the input is made a row higher, and the row thrown away.

    XLA has two libraries for convolutions, and gives a result that is larger than its input to
    Eigen's, which is as fast as the other one on one core and uses those that are idle, too.

    Args:
        height: of the input.
        kernel: the kernel's shape, ``(*window, channels, features)``.
        strides: the step of the window.
        pads: what is added to the input.
        dilation: of the kernel.

    Example:
        >>> same = ((1, 1), (1, 1))
        >>> one_row_more(16, (3, 3, 32, 32), (1, 1), same, (1, 1))
        True
        >>> one_row_more(16, (3, 3, 16, 16), (1, 1), same, (1, 1))  # Eigen's already
        False
    """
    low, high = pads[0]
    seen = (kernel[0] - 1) * dilation[0]
    return (
        max(kernel[2:]) > EIGEN_CHANNELS
        and strides == (1, 1)
        and low + high == seen > low
        and height >= 7  # else the row is too dear
    )


def output(x: jax.Array, kernel: jax.Array, g: Geometry) -> jax.Array:
    """The convolution itself."""
    return correlate(x, kernel, g.strides, g.pads, g.dilation)


def input_gradient(kernel: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the input: what ``gy`` and the turned kernel make."""
    if g.strides == (1, 1):
        return correlate(gy, turned(kernel), (1, 1), g.back, g.dilation)
    return correlate(spread(gy, g), turned(kernel), dilation=g.dilation)


def kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the kernel: ``x``, its channels as its examples, and ``gy`` as the kernel.

    A large batch is taken apart. Rearranged as a whole it would be read from memory once per
    channel, and XLA would compute again what ``x`` and ``gy`` are made of.
    """
    chunk = chunk_size(x.shape)
    if chunk == x.shape[0]:
        return _kernel_gradient(x, gy, g)

    def add(total: jax.Array, start: jax.Array) -> tuple[jax.Array, None]:
        some, their = (lax.dynamic_slice_in_dim(a, start, chunk) for a in (x, gy))
        return total + _kernel_gradient(some, their, g), None

    zeros = jnp.zeros((*g.window, x.shape[3], gy.shape[3]), jnp.result_type(x, gy))
    return lax.scan(add, zeros, jnp.arange(0, x.shape[0], chunk))[0]


def chunk_size(shape: tuple[int, ...]) -> int:
    """How many examples of an array are rearranged at once."""
    batch = shape[0]
    if math.prod(shape) <= 2**18:  # 1 MB: stays in the cache
        return batch
    wanted = 32 if shape[3] <= 16 else 16
    sizes = [n for n in range(8, 65) if batch % n == 0]
    return min(sizes, key=lambda n: abs(math.log(n / wanted)), default=batch)


def _kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    first, second = (
        (low, e - 1 + s - n - low)
        for (low, _), e, s, n in zip(g.pads, g.extent, g.spread, g.size, strict=True)
    )
    result = correlate(
        x.transpose(3, 1, 2, 0), gy.transpose(1, 2, 0, 3), g.dilation, (first, second), g.strides
    )
    return result.transpose(1, 2, 0, 3)


def turned(kernel: jax.Array) -> jax.Array:
    """The kernel of the opposite direction: turned by half a circle, channels for features."""
    return jnp.flip(kernel, (0, 1)).swapaxes(2, 3)


def pad(x: jax.Array, pads: Pairs, inner: Pair = (0, 0)) -> jax.Array:
    """Zeros around images and between their places, or a border cut off where one is negative.

    The barrier keeps XLA from making them part of a convolution, which has no fast code for them.
    """
    config = ((0, 0, 0), *((*p, i) for p, i in zip(pads, inner, strict=True)), (0, 0, 0))
    return lax.optimization_barrier(lax.pad(x, jnp.zeros((), x.dtype), config))


def spread(gy: jax.Array, g: Geometry) -> jax.Array:
    """The output's gradient with the strides put between its places, and ``g.back`` around it."""
    return pad(gy, g.back, (g.strides[0] - 1, g.strides[1] - 1))
