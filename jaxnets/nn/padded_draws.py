"""Random numbers of a small array, drawn inside a large one.

A draw of threefry depends on the key and on the entry's place in the flattened array, not on how
large the array is (JAX's partitionable generator, its default). So an array of ``rows`` times
``columns`` entries, both of them traced numbers, is found inside a flat draw of any larger size.
What an initialiser makes from it, entry by entry, is what it makes of an array of the true shape,
up to the last bit, which depends on how a compiler orders a product with constants.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Count = jax.Array | int
"""How many rows or columns are real: an integer, or a traced int32 scalar."""

Sample = Callable[[jax.Array, tuple[int, ...]], jax.Array]
Padded = Callable[..., jax.Array]
"""An initialiser ``(key, shape, dtype) -> array`` that fills the real corner, the rest with 0."""

SCALINGS: dict[str, tuple[float, str, str]] = {
    "normal_fan_in": (1.0, "fan_in", "normal"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "glorot_uniform": (1.0, "fan_avg", "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"),
    "torch_uniform": (1.0 / 3.0, "fan_in", "uniform"),
}
"""Initialisers whose variance depends on the fan: numerator, which fan, distribution."""

CONSTANTS = {"zeros": 0.0, "ones": 1.0}
SMALL = 0.01

KERNELS = frozenset({*SCALINGS, *CONSTANTS, "small_normal"})
"""The initialisers of kernels that are drawn entry by entry."""

BIASES = frozenset({*CONSTANTS, "small_normal", "torch_uniform"})
"""The same for biases."""

SAMPLES: dict[str, Sample] = {
    "normal": lambda key, shape: jax.random.normal(key, shape, jnp.float32),
    "truncated_normal": lambda key, shape: jax.random.truncated_normal(
        key, -2, 2, shape, jnp.float32
    ),
    "uniform": lambda key, shape: jax.random.uniform(key, shape, jnp.float32, -1),
}


def inside(shape: tuple[int, int], rows: Count, columns: Count) -> jax.Array:
    """Which entries of an array are in its real corner.

    Args:
        shape: of the array.
        rows: how many of its rows are real.
        columns: how many of its columns.

    Returns:
        A bool array of that shape.

    Example:
        >>> inside((2, 3), 1, 2).tolist()
        [[True, True, False], [False, False, False]]
    """
    in_rows = jnp.arange(shape[0]) < rows
    in_columns = jnp.arange(shape[1]) < columns
    return in_rows[:, None] & in_columns[None, :]


def placed(sample: Sample, key: jax.Array, shape: tuple[int, int], columns: Count) -> jax.Array:
    """A draw of an array with ``columns`` columns, in the first columns of a wider one.

    Args:
        sample: ``(key, shape) -> array``, entry by entry.
        key: a typed key.
        shape: of the wider array.
        columns: of the true one; that one's number of rows does not matter.

    Returns:
        An array of ``shape``; what is right of the true columns is some number.

    Example:
        >>> key = jax.random.key(0)
        >>> wide = placed(jax.random.uniform, key, (4, 8), 3)
        >>> bool((wide[:2, :3] == jax.random.uniform(key, (2, 3))).all())
        True
    """
    flat = sample(key, (math.prod(shape),))
    places = jnp.arange(shape[0])[:, None] * columns + jnp.arange(shape[1])[None, :]
    return flat.at[places].get(mode="clip")


def bernoulli(columns: Count) -> Callable[..., jax.Array]:
    """``jax.random.bernoulli`` of arrays of which only the first columns are real.

    Args:
        columns: how many.

    Returns:
        ``(key, p, shape) -> array``: in the real columns what ``jax.random.bernoulli`` gives for
        an array without the others.

    Example:
        >>> key = jax.random.key(0)
        >>> true = jax.random.bernoulli(key, 0.5, (2, 3))
        >>> bool((bernoulli(3)(key, 0.5, (2, 8))[:, :3] == true).all())
        True
    """

    def draw(key: jax.Array, p: jax.Array | float, shape: tuple[int, int]) -> jax.Array:
        # In float32 whatever JAX's default is: other bits would be another mask.
        uniform = functools.partial(jax.random.uniform, dtype=jnp.float32)
        return placed(uniform, key, shape, columns) < jnp.float32(p)

    return draw


def kernel_initializer(kernel_init: str, rows: Count, columns: Count) -> Padded:
    """An initialiser whose real corner is that of the true shape.

    Args:
        kernel_init: a name in ``KERNELS``.
        rows: the true fan-in.
        columns: the true fan-out.

    Returns:
        ``(key, shape, dtype) -> array``, zero outside the real corner.

    Example:
        >>> from jaxnets.nn.initializers import KERNEL_INITIALIZERS
        >>> wide = kernel_initializer("he_normal", 2, 3)(jax.random.key(0), (4, 8), jnp.float32)
        >>> true = KERNEL_INITIALIZERS["he_normal"](jax.random.key(0), (2, 3), jnp.float32)
        >>> bool(jnp.allclose(wide[:2, :3], true, rtol=1e-6)), int((wide != 0).sum())
        (True, 6)
    """

    def initializer(key: jax.Array, shape: tuple[int, int], dtype: Any) -> jax.Array:
        if kernel_init in CONSTANTS:
            values = jnp.full(shape, CONSTANTS[kernel_init], jnp.float32)
        elif kernel_init == "small_normal":
            values = placed(SAMPLES["normal"], key, shape, columns) * SMALL
        else:
            numerator, fan, distribution = SCALINGS[kernel_init]
            scale = _scale(
                numerator, rows if fan == "fan_in" else (rows + columns) / 2, distribution
            )
            values = placed(SAMPLES[distribution], key, shape, columns) * scale
        return jnp.where(inside(shape, rows, columns), values, 0.0).astype(dtype)

    return initializer


def bias_initializer(bias_init: str, fan_in: Count, columns: Count) -> Padded:
    """The same for a bias.

    Args:
        bias_init: a name in ``BIASES``.
        fan_in: the true one of its kernel.
        columns: the true number of entries.

    Returns:
        ``(key, shape, dtype) -> array``, zero outside the real entries.

    Example:
        >>> bias_initializer("ones", 3, 2)(jax.random.key(0), (4,), jnp.float32).tolist()
        [1.0, 1.0, 0.0, 0.0]
    """

    def initializer(key: jax.Array, shape: tuple[int], dtype: Any) -> jax.Array:
        if bias_init in CONSTANTS:
            values = jnp.full(shape, CONSTANTS[bias_init], jnp.float32)
        elif bias_init == "small_normal":
            values = SAMPLES["normal"](key, shape) * SMALL
        else:
            limit = 1.0 / jnp.sqrt(jnp.float32(fan_in))
            values = jax.random.uniform(key, shape, jnp.float32, -limit, limit)
        return jnp.where(jnp.arange(shape[0]) < columns, values, 0.0).astype(dtype)

    return initializer


def _scale(numerator: float, fan: Any, distribution: str) -> jax.Array:
    """The factor of a standard draw, in the operations of ``jax.nn.initializers``."""
    variance = jnp.float32(numerator) / jnp.float32(fan)
    if distribution == "truncated_normal":
        return jnp.sqrt(variance) / jnp.float32(0.87962566103423978)
    return jnp.sqrt(3 * variance) if distribution == "uniform" else jnp.sqrt(variance)
