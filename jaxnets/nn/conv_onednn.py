"""Convolution by oneDNN, the library that jaxlib for Linux on x86-64 carries.

oneDNN makes machine code for the shapes at hand and reads what the window sees where it lies, in
a loop body as fast as outside. XLA's CPU backend knows a custom call for it, which its compiler
writes behind an option that has no effect where JAX compiles: here the call is written instead. Its
words are XLA's own and promised to nobody, and wrong ones end the process. So it is made

- only under versions of jaxlib that it has been tried with, on processors with AVX2 (without,
  oneDNN waits for threads that XLA does not give it), and after a small convolution has come out
  right;
- only in programs that jaxnets compiles itself (`jaxnets.devices.compiled_by_us_for`): for a CPU,
  not shared out by XLA, never exported. Elsewhere a convolution is computed in another way;
- never in a program that is written down: XLA takes the call for one of another kind then. No
  compilation cache keeps these programs, so `jaxnets.nn.conv_cost` takes oneDNN where it is worth
  that.
"""

import functools
import json
import os
import platform
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from jaxnets import environment
from jaxnets.compilation import not_kept
from jaxnets.devices import compiled_by_us_for
from jaxnets.nn import conv_lax, conv_phases
from jaxnets.nn.chunks import examples, in_chunks
from jaxnets.nn.geometry import Geometry, Pair, Pairs
from jaxnets.nn.once import once

TARGET = "__onednn$convolution"

VERSIONS = ("0.10.2", "0.11.2", "0.12.0.1")
"""Of jaxlib, in which the words of the call have been found to be the same. Another one belongs
here if, with it in the list, ``tests/nn/test_conv_onednn.py`` passes and skips nothing."""

CHUNK = 2**17
"""About so many numbers (512 KB in float32) of either array are multiplied at once in the gradient
of the kernel: each is read many times, and stays in a core's second cache."""

PLACES = 12
"""At least so many places are in a row of the kernel's gradient, if there are so many. On AVX2, on
one core and on two, more of them were slower for 32 and 64 channels, and the same for 16."""


def missing() -> str:
    """Why there is no oneDNN here; empty if there is.

    Example:
        >>> isinstance(missing(), str)
        True
    """
    return _missing_here()


@functools.cache
def _missing_here() -> str:
    able = environment.cpuinfo().get("flags", "").split()
    return _missing(version("jaxlib"), platform.system(), platform.machine(), "avx2" in able)


def _missing(jaxlib: str, system: str, machine: str, avx2: bool) -> str:
    if system != "Linux" or machine != "x86_64":
        return f"jaxlib for {system} on {machine} is not known to have it"
    if jaxlib not in VERSIONS:
        return f"jaxlib {jaxlib} has not been tried"
    if not avx2 or any(f"{prefix}_MAX_CPU_ISA" in os.environ for prefix in ("ONEDNN", "DNNL")):
        return "the processor has no AVX2, or oneDNN is told to do without"
    # In a thread of its own, settings of a ``with`` block around whoever asks first do not count.
    with ThreadPoolExecutor(1, thread_name_prefix="onednn") as pool:
        return pool.submit(_tried).result()


def _tried() -> str:
    """What is wrong with a small convolution: whoever built this jaxlib may have left it out."""
    g = Geometry((5, 4), (3, 2), (2, 1), ((1, 2), (0, 1)), (1, 2))
    generator = np.random.default_rng(0)
    x, kernel = (generator.standard_normal(s, np.float32) for s in ((2, 5, 4, 3), (3, 2, 3, 2)))
    place = SingleDeviceSharding(jax.local_devices(backend="cpu")[0])
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place) for a in (x, kernel)]

    def run(function: Any) -> np.ndarray:
        with not_kept():
            compiled = jax.jit(function, static_argnums=2).lower(*shapes, g).compile()
        return np.asarray(compiled(x, kernel))

    try:
        alike = np.allclose(run(output), run(conv_lax.output), atol=1e-5)
    except (jax.errors.JaxRuntimeError, AttributeError) as error:  # XLA or JAX do not know it
        return f"it cannot be called: {str(error).splitlines()[0]}"
    return "" if alike else "it computes something else"


def fits(bits: int) -> bool:
    """Whether it can compute a convolution here: of numbers of 32 bits, in a program that jaxnets
    compiles.

    Example:
        >>> fits(32)  # not within `jaxnets.fit`
        False
    """
    return bits == 32 and compiled_by_us_for("cpu") and not missing()


def called(lowered: jax.stages.Lowered) -> bool:
    """Whether a program has the call in it.

    Example:
        >>> called(jax.jit(lambda x: x + 1).lower(1.0))
        False
    """
    # Who has never asked has traced no convolution, and is spared writing down the program.
    return bool(_missing_here.cache_info().currsize) and TARGET in lowered.as_text()


def output(x: jax.Array, kernel: jax.Array, g: Geometry) -> jax.Array:
    """The convolution itself."""
    return _correlate(x, kernel, g.strides, g.pads, g.dilation)


def input_gradient(kernel: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the input: what ``gy`` and the turned kernel make."""

    def some(gy: jax.Array, kernel: jax.Array, pads: Pairs, dilation: Pair) -> jax.Array:
        return _correlate(gy, kernel, (1, 1), pads, dilation)

    # Once: oneDNN reads what is written down, and both gradients read the same.
    return conv_phases.input_gradient(kernel, once(gy), g, some)


def kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the kernel: the convolution of ``x`` with ``gy``, examples for channels.

    Its result has as many places as the window, nine for three by three, and oneDNN multiplies
    matrices of neighbouring places and shares their rows among its threads. So some channels are
    laid beside the width, as places too: ``gy`` is dilated by their number, and ``window[1]`` times
    as many places are in a row. The other channels are examples: three rows alone would leave one
    of two threads waiting.
    """
    channels, features = x.shape[3], gy.shape[3]
    part = _places(channels, g.window[1])
    spans = [
        (low, e - 1 + s - n - low)
        for (low, _), e, s, n in zip(g.pads, g.extent, g.spread, g.size, strict=True)
    ]

    def some(x: jax.Array, gy: jax.Array) -> jax.Array:
        x, ((top, bottom), (left, right)) = _padded(x, (spans[0], spans[1]), g.spread)
        batch, height, width, _ = x.shape
        wide = x.reshape(batch, height, width, -1, part).transpose(3, 1, 2, 4, 0)
        gradient = _call(
            wide.reshape(-1, height, width * part, batch), gy,
            (channels // part, g.window[0], g.extent[1] * part, features),
            (g.dilation[0], 1),
            ((top, bottom), (left * part, right * part)),
            (g.strides[0], g.strides[1] * part),
            axes="i01o",
        )  # fmt: skip
        gradient = gradient.reshape(-1, g.window[0], g.extent[1], part, features)
        gradient = gradient.transpose(1, 2, 0, 3, 4)[:, :: g.dilation[1]]
        return gradient.reshape(*g.window, channels, features)

    return in_chunks(some, chunk_size(x.shape, gy.shape), x, once(gy)).sum(0)


def _places(channels: int, width: int) -> int:
    """How many channels are places in the gradient of the kernel: as few as make ``PLACES``."""
    return next(
        n
        for n in range(1, channels + 1)
        if channels % n == 0 and (n * width >= PLACES or n == channels)
    )


def chunk_size(x: tuple[int, ...], gy: tuple[int, ...]) -> int:
    """How many examples are multiplied at once in the gradient of the kernel: they are the inner
    axis of the products, and one by one they would be slow. A batch without a divisor that fits is
    taken whole.

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
    (batch, *size, _), (*window, _, features) = x.shape, kernel.shape
    g = Geometry((size[0], size[1]), (window[0], window[1]), strides, pads, dilation)
    x, pads = _padded(x, pads, g.extent)
    return _call(x, kernel, (batch, *g.out, features), strides, pads, dilation)


def _padded(x: jax.Array, pads: Pairs, extent: Pair) -> tuple[jax.Array, Pairs]:
    """Cut off what a negative pad takes away, and add what the window does not reach beyond: oneDNN
    does neither.
    """
    if all(0 <= p < e for pair, e in zip(pads, extent, strict=True) for p in pair):
        return x, pads
    return conv_lax.pad(x, pads), ((0, 0), (0, 0))


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
