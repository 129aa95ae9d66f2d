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
    (_, *size, _), (*window, channels, features) = x.shape, kernel.shape
    g = Geometry((size[0], size[1]), (window[0], window[1]), strides, pads, dilation)
    more = one_row_more(g, channels, features)
    if padded_beforehand(g):
        x, pads = pad(x, pads), ((0, 0), (0, 0))
    elif more:
        (low, high), across = pads
        pads = ((low + 1, high), across)
    y = lax.conv_general_dilated(
        x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=LAYOUT
    )
    return y[:, 1:] if more else y


def padded_beforehand(g: Geometry) -> bool:
    """Whether the input is padded before XLA sees it: the result is larger than it, say."""
    larger = any(max(out, w) > n for out, w, n in zip(g.out, g.window, g.size, strict=True))
    return larger or min(map(min, g.pads)) < 0


def one_row_more(g: Geometry, channels: int, features: int) -> bool:
    """Whether a result that is as high as the input is made a row higher, and the row thrown away.

    XLA has two libraries for convolutions, and gives a result that is larger than its input to
    Eigen's, which is as fast as the other one on one core and uses those that are idle, too.

    Args:
        g: the geometry.
        channels: of the input.
        features: of the result.

    Example:
        >>> g = Geometry((16, 16), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
        >>> one_row_more(g, 32, 32), one_row_more(g, 16, 16)  # the second is Eigen's already
        (True, False)
    """
    return (
        max(channels, features) > EIGEN_CHANNELS
        and not padded_beforehand(g)
        and g.strides == (1, 1)
        and g.out[0] == g.size[0]
        and g.pads[0][1] > 0
        and g.size[0] >= 7  # else the row is too dear
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

    dtype = jnp.result_type(x, gy)
    zeros = jnp.zeros((*g.window, x.shape[3], gy.shape[3]), jnp.promote_types(dtype, jnp.float32))
    return lax.scan(add, zeros, jnp.arange(0, x.shape[0], chunk))[0].astype(dtype)


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
