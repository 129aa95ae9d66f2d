"""Convolution with a window of three by three by Winograd's minimal algorithm F(2x2, 3x3).

Two by two places of the output are made of four by four of the input: both are transformed by
additions alone, and in between stand 16 products per pair of channels instead of 36. With the
letters of the source, ``y = A^T [(G k G^T) * (B^T d B)] A``, and the two gradients follow from it:
that of the input is the same convolution with the turned kernel; that of the kernel is
``G^T [(B^T d B) * (A gy A^T)] G``.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxnets.nn import conv_lax
from jaxnets.nn.chunks import examples, in_chunks, joined
from jaxnets.nn.geometry import Geometry, Pair, Pairs

INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
"""``B^T``: from four places of the input."""

KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
"""``G``: from the three of the kernel."""

OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))
"""``A^T``: to two of the output."""

WINDOW, TILE, POINTS = 3, 2, 4

CHUNK = 2**18
"""About so many numbers (1 MB in float32) are transformed at once, to stay in the cache."""

Grid = list[list[jax.Array]]
"""One matrix ``(tiles, channels)`` for each of the four by four points."""


def fits(g: Geometry) -> bool:
    """Whether it can compute this convolution."""
    return g.window == (WINDOW, WINDOW) and g.strides == g.dilation == (1, 1)


def tiles(g: Geometry) -> Pair:
    """How many tiles the output has along its height and its width."""
    return -(-g.out[0] // TILE), -(-g.out[1] // TILE)


def output(x: jax.Array, kernel: jax.Array, g: Geometry) -> jax.Array:
    """The convolution itself."""
    weights = _twice(KERNEL, [[kernel[i, j] for j in range(WINDOW)] for i in range(WINDOW)])

    def some(x: jax.Array) -> jax.Array:
        seen = _input_tiles(x, g.pads, tiles(g))
        made = [
            [v @ w for v, w in zip(*rows, strict=True)] for rows in zip(seen, weights, strict=True)
        ]
        return _joined(_twice(OUTPUT, made), (x.shape[0], *tiles(g)))

    y = joined(in_chunks(some, _most(x, g), x))
    return y[:, : g.out[0], : g.out[1]]


def input_gradient(kernel: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the input: what ``gy`` and the turned kernel make."""
    return output(gy, conv_lax.turned(kernel), g.backward)


def kernel_gradient(x: jax.Array, gy: jax.Array, g: Geometry) -> jax.Array:
    """The gradient of the kernel."""
    transposed = tuple(zip(*OUTPUT, strict=True))
    missing = [TILE * n - size for n, size in zip(tiles(g), g.out, strict=True)]

    def some(x: jax.Array, gy: jax.Array) -> Grid:
        seen = _input_tiles(x, g.pads, tiles(g))
        gy = jnp.pad(gy, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
        parts = [[gy[:, a::TILE, b::TILE] for b in range(TILE)] for a in range(TILE)]
        made = [[_rows(m) for m in row] for row in _twice(transposed, parts)]
        # The transposed product is the faster one on a CPU.
        return [
            [(m.T @ v).T for m, v in zip(*rows, strict=True)]
            for rows in zip(made, seen, strict=True)
        ]

    grid = jax.tree.map(lambda part: part.sum(0), in_chunks(some, _most(x, g), x, gy))
    parts = _twice(tuple(zip(*KERNEL, strict=True)), grid)
    return jnp.stack([jnp.stack(row) for row in parts])


def _input_tiles(x: jax.Array, pads: Pairs, count: Pair) -> Grid:
    """``B^T d B`` of all tiles; they overlap by two places."""
    config = [
        (low, TILE * n + WINDOW - 1 - size - low, 0)
        for n, size, (low, _) in zip(count, x.shape[1:3], pads, strict=True)
    ]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *config, (0, 0, 0)))
    last = [TILE * (n - 1) + 1 for n in count]
    parts = [
        [x[:, i : i + last[0] : TILE, j : j + last[1] : TILE] for j in range(POINTS)]
        for i in range(POINTS)
    ]
    return [[_rows(part) for part in row] for row in _twice(INPUT, parts)]


def _rows(part: jax.Array) -> jax.Array:
    return part.reshape(-1, part.shape[-1])


def _twice(matrix: Sequence[Sequence[float]], parts: Grid) -> Grid:
    """``matrix @ parts @ matrix^T``, of arrays instead of numbers."""
    wide = [_combined(matrix, row) for row in parts]
    columns = [_combined(matrix, [row[j] for row in wide]) for j in range(len(matrix))]
    return [[column[i] for column in columns] for i in range(len(matrix))]


def _combined(matrix: Sequence[Sequence[float]], parts: Sequence[jax.Array]) -> list[jax.Array]:
    """``matrix @ parts``; nothing is multiplied by 0 or by 1."""
    made = []
    for row in matrix:
        terms = [p if c == 1 else -p if c == -1 else c * p
                 for c, p in zip(row, parts, strict=True) if c]  # fmt: skip
        made.append(sum(terms[1:], terms[0]))
    return made


def _joined(parts: Grid, shape: tuple[int, int, int]) -> jax.Array:
    """Images made of tiles: ``(batch, tiles, tiles)`` are the rows of every part."""
    batch, high, wide = shape
    grid = [[part.reshape(batch, high, wide, -1) for part in row] for row in parts]
    joined = jnp.stack([jnp.stack(row, axis=3) for row in grid], axis=2)
    return joined.reshape(batch, TILE * high, TILE * wide, -1)


def _most(x: jax.Array, g: Geometry) -> int:
    """Examples at a time."""
    return examples(CHUNK, (POINTS**2, *tiles(g), x.shape[3]))
