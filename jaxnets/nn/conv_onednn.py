"""Convolution by oneDNN, the library that jaxlib for Linux on x86-64 carries and XLA leaves idle.

oneDNN makes machine code for the shapes at hand and reads what the window sees where it lies, in
a loop body as fast as outside. XLA's CPU backend knows a custom call for it, which its compiler
writes behind an option that has no effect where JAX compiles: here the call is written instead. Its
words are XLA's own and promised to nobody, and wrong ones end the process. So it is made only under
versions of jaxlib that it has been tried with, and after a small convolution has come out right.

XLA cannot write a program with such a call down, so no compilation cache keeps it: every process
compiles it anew. `jaxnets.nn.conv_cost` takes oneDNN where it is worth that.
"""

import functools
import json
import platform
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import SingleDeviceSharding

from jaxnets.nn import conv_lax
from jaxnets.nn.chunks import examples, in_chunks
from jaxnets.nn.geometry import Geometry, Pair, Pairs

TARGET = "__onednn$convolution"

VERSIONS = frozenset(
    ("0.9.2", "0.10.0", "0.10.1", "0.10.2", "0.11.0", "0.11.1", "0.11.2", "0.12.0", "0.12.0.1")
)
"""Of jaxlib, in which the words of the call have been found to be the same."""

CHUNK = 2**17
"""About so many numbers (512 KB in float32) of either array are multiplied at once in the gradient of
the kernel, to stay in the cache."""


def missing() -> str:
    """Why there is no oneDNN here; empty if there is.

    Example:
        >>> isinstance(missing(), str)
        True
    """
    return _missing(version("jaxlib"), platform.system(), platform.machine())


@functools.cache
def _missing(jaxlib: str, system: str, machine: str) -> str:
    if system != "Linux" or machine != "x86_64":
        return f"jaxlib for {system} on {machine} is not known to have it"
    if jaxlib not in VERSIONS:
        return f"jaxlib {jaxlib} has not been tried"
    # Whoever built a jaxlib of that version may have left it out: then XLA does not know the call.
    g = Geometry((5, 4), (3, 2), (2, 1), ((1, 2), (0, 1)), (1, 2))
    generator = np.random.default_rng(0)
    x, kernel = (generator.standard_normal(s, np.float32) for s in ((2, 5, 4, 3), (3, 2, 3, 2)))
    with jax.default_device(jax.devices("cpu")[0]), jax.ensure_compile_time_eval():
        ours, theirs = (_run(function, g, x, kernel) for function in (output, conv_lax.output))
    if isinstance(ours, str):
        return ours
    return "" if np.allclose(ours, theirs, atol=1e-5) else "it computes something else"


def _run(function: Any, g: Geometry, x: np.ndarray, kernel: np.ndarray) -> Any:
    place = SingleDeviceSharding(jax.devices("cpu")[0])
    shapes = (jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place) for a in (x, kernel))
    try:
        compiled = jax.jit(function, static_argnums=2).lower(*shapes, g).compile()
        return np.asarray(compiled(x, kernel))
    except jax.errors.JaxRuntimeError as error:
        return f"XLA does not know it: {str(error).splitlines()[0]}"


def fits(g: Geometry, bits: int) -> bool:
    """Whether it can compute this convolution here: of numbers of 32 bits, and no place of the
    window sees padding alone along the border of an axis, which oneDNN need not know.

    Example:
        >>> g = Geometry((8, 8), (3, 3), (1, 1), ((3, 1), (1, 1)), (1, 1))
        >>> fits(g, 32)
        False
    """
    narrow = all(max(p) < e for p, e in zip(g.pads, g.extent, strict=True))
    return bits == 32 and narrow and not missing()


def output(x: jax.Array, kernel: jax.Array, g: Geometry) -> jax.Array:
    """The convolution itself."""
    return _correlate(x, kernel, g.strides, g.pads, g.dilation)


def input_gradient(kernel: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the input: what ``gy`` and the turned kernel make."""
    if g.strides == (1, 1):
        return _correlate(gy, conv_lax.turned(kernel), (1, 1), g.back, g.dilation)
    return _correlate(conv_lax.spread(gy, g), conv_lax.turned(kernel), dilation=g.dilation)


def kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the kernel: the convolution of ``x`` with ``gy``, examples for channels.

    Its result has as many places as the window, nine for three by three, and oneDNN multiplies
    matrices of neighbouring places. So the channels are laid beside the width, as places too:
    ``gy`` is dilated by the number of channels, and the places are ``window[1] * channels`` in a
    row.
    """
    channels, features = x.shape[3], gy.shape[3]
    spans = [
        (low, e - 1 + s - n - low)
        for (low, _), e, s, n in zip(g.pads, g.extent, g.spread, g.size, strict=True)
    ]

    def some(x: jax.Array, gy: jax.Array) -> jax.Array:
        x, ((top, bottom), (left, right)) = _cropped(x, (spans[0], spans[1]))
        batch, height, width, _ = x.shape
        wide = x.reshape(batch, -1).T.reshape(1, height, width * channels, batch)
        gradient = _call(
            wide, gy, (1, g.window[0], g.extent[1] * channels, features),
            (g.dilation[0], 1),
            ((top, bottom), (left * channels, right * channels)),
            (g.strides[0], g.strides[1] * channels),
            axes="i01o",
        )  # fmt: skip
        gradient = gradient.reshape(g.window[0], g.extent[1], channels, features)
        return gradient[:, :: g.dilation[1]]

    return in_chunks(some, chunk_size(x.shape, gy.shape), x, gy).sum(0)


def chunk_size(x: tuple[int, ...], gy: tuple[int, ...]) -> int:
    """How many examples are multiplied at once in the gradient of the kernel: they are the inner
    axis of the products, and one by one they would be slow.

    Args:
        x: the shape of the input.
        gy: the shape of the output.

    Example:
        >>> chunk_size((128, 32, 32, 16), (128, 32, 32, 16))
        8
    """
    batch, most = x[0], examples(CHUNK, max(x[1:], gy[1:], key=np.prod))
    divisors = [n for n in range(min(8, batch), min(most, batch) + 1) if batch % n == 0]
    return max(divisors, default=batch)


def _correlate(
    x: jax.Array,
    kernel: jax.Array,
    strides: Pair = (1, 1),
    pads: Pairs = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
) -> jax.Array:
    x, pads = _cropped(x, pads)
    (batch, *size, _), (*window, _, features) = x.shape, kernel.shape
    g = Geometry((size[0], size[1]), (window[0], window[1]), strides, pads, dilation)
    return _call(x, kernel, (batch, *g.out, features), strides, pads, dilation)


def _cropped(x: jax.Array, pads: Pairs) -> tuple[jax.Array, Pairs]:
    """Cut off what a negative pad takes away: oneDNN only adds."""
    (top, bottom), (left, right) = pads
    if min(top, bottom, left, right) >= 0:
        return x, pads
    config = ((0, 0, 0), *((min(low, 0), min(high, 0), 0) for low, high in pads), (0, 0, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), config)
    return x, ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)))


def _call(
    x: jax.Array,
    kernel: jax.Array,
    shape: tuple[int, ...],
    strides: Pair,
    pads: Pairs,
    dilation: Pair,
    axes: str = "01io",
) -> jax.Array:
    """The call. Numbers are written as text, as protocol buffers write integers of 64 bits.

    Args:
        x: ``(batch, height, width, channels)``.
        kernel: its axes as ``axes`` says: height, width, channels, features.
        shape: of the result.
        strides: of the window.
        pads: zeros around.
        dilation: of the window.
        axes: of the kernel.
    """

    def words(numbers: Iterable[int]) -> list[str]:
        return [str(number) for number in numbers]

    _say_nothing_of_the_cache()
    image = {"batch_dim": "0", "feature_dim": "3", "spatial_dims": ["1", "2"]}
    window = {
        "input_feature_dim": str(axes.index("i")),
        "output_feature_dim": str(axes.index("o")),
        "spatial_dims": words((axes.index("0"), axes.index("1"))),
    }
    config = {
        "dims": "4",
        "input": {"dims": "4", "data": image},
        "kernel": {"dims": "4", "filter": window},
        "output": {"dims": "4", "data": image},
        "window": {
            "pad_left": words(low for low, _ in pads),
            "pad_right": words(high for _, high in pads),
            "strides": words(strides),
            "window_dilations": words(dilation),
        },
        "feature_groups": "1",
    }
    call = jax.ffi.ffi_call(
        TARGET,
        jax.ShapeDtypeStruct(shape, x.dtype),
        custom_call_api_version=1,
        legacy_backend_config=json.dumps({"onednn_conv_config": config}),
    )
    return call(x, kernel)


def _say_nothing_of_the_cache() -> None:
    """JAX warns of every program that it cannot keep; of these that is known."""
    warnings.filterwarnings(
        "ignore", message="Error writing persistent compilation cache entry.*std::bad_alloc"
    )
