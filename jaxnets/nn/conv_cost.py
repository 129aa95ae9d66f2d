"""Which way of computing a convolution on a CPU is the fastest: an estimate from shapes alone.

It is deterministic, and so are the results of a study: the same shapes take the same way wherever
there are the same ways (``conv_onednn`` is not everywhere). The constants are those of one machine
(``python -m benchmarks.convolutions`` measures them and prints estimate beside measurement); they
only have to put the ways into the right order.
"""

import math
from typing import NamedTuple

from jaxnets.nn import (
    conv_banded,
    conv_lax,
    conv_mec,
    conv_onednn,
    conv_phases,
    conv_winograd,
)
from jaxnets.nn.geometry import Geometry

METHODS = ("auto", "lax", "patches", "mec", "banded", "winograd", "onednn")
"""What the field ``method`` of a convolution may be."""

LANE = 16
"""Columns of a matrix product are done so many at a time."""

BLOCKS = (1, 2, 4, 8, 16)
"""Places of the width taken together that are tried, besides the whole row."""

SMALL = 2**16
"""So many numbers, and what is made of them, stay in the nearest cache."""

IDLE = 0.65
"""What time counts that other cores could take over if they are idle, as they are when a network is
trained alone: Eigen's convolution runs on all of them, YNNPACK's on one."""


KEPT = 1.15
"""What time counts of oneDNN: no compilation cache keeps a program with it, so it must be faster by
more than what estimates are off by."""


class Method(NamedTuple):
    """One way of computing a convolution or one of its gradients.

    Attributes:
        name: one of ``METHODS``, but for the first.
        block: for ``"banded"``, the places of the output that are taken together.
    """

    name: str
    block: int = 0

    def __str__(self) -> str:
        return f"{self.name}({self.block})" if self.block else self.name


class Sizes(NamedTuple):
    """What the geometry does not say."""

    batch: int
    channels: int
    features: int
    bits: int = 32  # of a number


def candidates(g: Geometry, name: str = "auto", bits: int = 32) -> list[Method]:
    """The methods to choose from.

    Args:
        g: the geometry.
        name: one method's name, or ``"auto"`` for all of them, as ``"mec"``, ``"winograd"`` and
            ``"onednn"`` are for a convolution that they cannot compute.
        bits: of a number. Winograd's sums need at least 32 of them, oneDNN is asked for 32.

    Example:
        >>> g = Geometry((1, 10), (1, 3), (1, 1), ((0, 0), (1, 1)), (1, 1))
        >>> [str(method) for method in candidates(g, "banded")]
        ['banded(1)', 'banded(2)', 'banded(4)', 'banded(8)', 'banded(10)']
    """
    least = 1 if name == "banded" or max(g.strides) > 1 else 2
    blocks = sorted({b for b in BLOCKS if least <= b < g.out[1]} | {g.out[1]})
    methods = [Method("lax"), Method("patches"), *(Method("banded", b) for b in blocks)]
    if conv_mec.fits(g):
        methods.append(Method("mec"))
    if conv_winograd.fits(g) and bits >= 32:
        methods.append(Method("winograd"))
    if conv_onednn.fits(bits):
        methods.append(Method("onednn"))
    return [method for method in methods if name == method.name] or methods


def estimate(role: str, method: Method, g: Geometry, sizes: Sizes) -> float:
    """The time of one core in milliseconds, less where idle cores could help, more where no cache
    keeps the program.

    Args:
        role: ``"output"``, ``"input"`` or ``"kernel"``: what is computed from the two others.
        method: the way.
        g: the geometry.
        sizes: batch, channels and features.

    Example:
        The second layer of LeNet, two places of the width at once:

        >>> g = Geometry((14, 14), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1))
        >>> sizes = Sizes(32, 6, 16)
        >>> two = estimate("output", Method("banded", 2), g, sizes)
        >>> two < estimate("output", Method("lax"), g, sizes)
        True
    """
    if method.name == "banded":
        return _banded(role, method.block, g, sizes)
    if method.name == "winograd":
        return _winograd(role, g, sizes)
    if method.name == "onednn":
        return KEPT * _onednn(role, g, sizes)
    if method.name == "mec":
        return _mec(role, g, sizes)
    if role == "input":
        return _input(method, g, sizes)
    if role == "output" and method.name == "lax":
        return _correlate(g, *sizes[:3])
    rows = sizes.batch * g.out[0] * g.out[1]
    weights = g.window[0] * g.window[1]
    if method.name == "patches":
        return _patches(rows, weights * sizes.channels, sizes.features)
    moved = sizes.batch * g.size[0] * g.size[1] * sizes.channels + rows * sizes.features
    return _product(weights * sizes.channels, rows, sizes.features) + _moved(moved)


def _mec(role: str, g: Geometry, sizes: Sizes) -> float:
    batch, channels, features, _ = sizes
    time = 0.0
    if role == "input":
        time = _spread(g, batch, features)
        g, channels, features = g.backward, features, channels
    for phase in conv_mec.phases(g):
        rows, wide = batch * phase.rows * g.out[1], g.window[1] * channels
        high = len(phase.shifts) * features
        if role == "kernel":
            time += _product(high, rows, wide) + 3e-7 * rows * (high + wide)
        else:
            time += _product(rows, wide, high) + 8e-7 * rows * (high + wide)
    return time


def _winograd(role: str, g: Geometry, sizes: Sizes) -> float:
    batch, channels, features, _ = sizes
    places = g.size if role == "input" else g.out
    rows = batch * math.prod(-(-n // conv_winograd.TILE) for n in places)
    points = conv_winograd.POINTS**2
    product = {
        "output": (rows, channels, features),
        "input": (rows, features, channels),
        "kernel": (channels, rows, features),
    }[role]
    # Sixteen products at once that are as long as the batch and as small as the channels.
    slower = 1.6 if role == "kernel" else 1.0
    return slower * points * (5e-7 * rows * (channels + features) + _product(*product))


def _onednn(role: str, g: Geometry, sizes: Sizes) -> float:
    batch, channels, features, _ = sizes
    if role == "kernel":
        # Few places in a row keep the core less busy; both arrays are rearranged.
        places = max(g.extent[1] * channels, LANE)
        work = 2 * batch * math.prod(g.out) * g.window[0] * places * _lanes(features)
        moved = batch * (math.prod(g.size) * channels + math.prod(g.out) * features)
        return 0.15 + work / 135e6 + 8e-7 * moved
    if role == "output":
        return _correlated(batch * math.prod(g.out), math.prod(g.window) * channels, features)
    rows = batch * math.prod(-(-n // s) for n, s in zip(g.size, g.strides, strict=True))
    parts = [
        _correlated(rows, len(row.taps) * len(column.taps) * features, channels)
        for row in conv_phases.phases(g, 0)
        for column in conv_phases.phases(g, 1)
        if row.taps and column.taps
    ]
    return sum(parts) + (0.0 if g.strides == (1, 1) else _moved(rows * len(parts) * channels))


def _correlated(rows: int, inner: int, columns: int) -> float:
    """A convolution by oneDNN."""
    return 0.15 + 2 * rows * (inner + 40) * _lanes(columns) / 150e6


def _lanes(columns: int) -> int:
    return -(-columns // LANE) * LANE


def _banded(role: str, block: int, g: Geometry, sizes: Sizes) -> float:
    batch, channels, features, _ = sizes
    if role == "input" and block >= g.out[1]:
        made = batch * g.window[0] * g.size[0] * g.size[1] * channels
        columns = g.window[0] * g.size[1] * channels
        return 1e-6 * made + _product(batch * g.out[0], g.out[1] * features, columns)
    if role == "input":
        rows, band = conv_banded.backward_band(g, 0, 1), conv_banded.backward_band(g, 1, block)
        (height, _, tall), (width, _, wide) = rows.weights.shape, band.weights.shape
        turned = Geometry(g.out, (height, width), (1, band.stride), (rows.pads, band.pads), (1, 1))
        time = _correlate(turned, batch, features, tall * wide * channels)
        return time + (_moved(batch * g.size[0] * g.size[1] * channels) if tall > 1 else 0.0)
    band = conv_banded.forward_band(g, 1, block)
    width = band.weights.shape[0]
    if role == "output":
        strides, dilation = (g.strides[0], band.stride), (g.dilation[0], 1)
        wider = Geometry(g.size, (g.window[0], width), strides, (g.pads[0], band.pads), dilation)
        time = 0.003 + _correlate(wider, batch, channels, block * features)
        if band.blocks * block > g.out[1]:  # the result is written once more, without the rest
            time += _moved(batch * g.out[0] * g.out[1] * features)
        return time
    weights, places = g.window[0] * width, batch * g.out[0] * band.blocks
    moved = batch * g.size[0] * g.size[1] * channels + places * block * features
    # A third more than the arithmetic: the window is dilated by the stride.
    return 1.3 * _product(weights * channels, places, block * features) + _moved(moved)


def _input(method: Method, g: Geometry, sizes: Sizes) -> float:
    """The input's gradient from the output's, zeros put in where the strides were."""
    batch, channels, features, _ = sizes
    time, back = _spread(g, batch, features), g.backward
    if method.name == "lax":
        return time + _correlate(back, batch, features, channels)
    if g.strides == (1, 1) and any(n > out for n, out in zip(g.size, g.out, strict=True)):
        time = _copied(batch * math.prod(g.seen) * features)
    return time + _patches(batch * math.prod(g.size), math.prod(g.window) * features, channels)


def _spread(g: Geometry, batch: int, features: int) -> float:
    """Putting the strides between the places of the output's gradient."""
    return 0.0 if g.strides == (1, 1) else 2e-5 * batch * math.prod(g.seen) * features


def _correlate(g: Geometry, batch: int, channels: int, features: int) -> float:
    """XLA's convolution: YNNPACK's from 17 channels or features on, else, and where there is a row
    too many, Eigen's.

    Both libraries write down what the window sees, the one in runs along the width.
    """
    more = conv_lax.one_row_more(g, channels, features)
    rows = batch * (g.out[0] + more) * g.out[1]
    seen = rows * math.prod(g.window) * channels
    time = _product(rows, math.prod(g.window) * channels, features)
    if more or max(channels, features) <= conv_lax.EIGEN_CHANNELS:
        time = IDLE * ((2e-7 + 3e-6 / channels) * seen + time)
    else:
        time += (5e-8 + (4e-6 if seen <= SMALL else 1e-5) / (g.window[1] * channels)) * seen
    if conv_lax.padded_beforehand(g):
        padded = (n + low + high for n, (low, high) in zip(g.size, g.pads, strict=True))
        time += _copied(batch * math.prod(padded) * channels)
    return time


def _product(rows: int, inner: int, columns: int) -> float:
    """A matrix product: columns are rounded up, and few of them keep the core less busy."""
    rounded = _lanes(columns)
    return 2 * rows * inner * rounded / (65e6 if rounded == LANE else 90e6) + 0.004


def _patches(rows: int, inner: int, columns: int) -> float:
    return 8e-7 * rows * inner + _product(rows, inner, columns) + 0.004


def _copied(numbers: int) -> float:
    return 5e-7 * numbers + 0.004


def _moved(numbers: int) -> float:
    return (1e-7 if numbers <= SMALL else 8e-7) * numbers + 0.004


def choose(role: str, g: Geometry, sizes: Sizes, name: str = "auto") -> Method:
    """The method with the least estimate; the first one of several.

    Args:
        role: what is computed.
        g: the geometry.
        sizes: batch, channels and features.
        name: ``"auto"``, or the name that the user fixed.

    Example:
        >>> g = Geometry((32, 32), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1))
        >>> str(choose("output", g, Sizes(32, 1, 6)))
        'banded(4)'
    """
    return min(candidates(g, name, sizes.bits), key=lambda method: estimate(role, method, g, sizes))
