"""How outputs and targets fit together: what every loss and every metric starts with."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.numerics import at_least_float32


class HasTargets(Protocol):
    """Anything with targets ``y``, leading axis = examples; ``jaxnets.data.Batch`` is one."""

    @property
    def y(self) -> Any:
        """Targets."""


def aligned(name: str, outputs: jax.Array, y: Any) -> tuple[jax.Array, jax.Array]:
    """Outputs and targets in one shape and at least float32, to be compared element by element.

    Args:
        name: of the loss or metric, for the message.
        outputs: (batch, ...).
        y: the same shape, or one of the two lacks a trailing axis of length one.

    Returns:
        Both, in the shape of the outputs.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> predicted, wanted = aligned("mine", jnp.zeros((3, 1)), jnp.ones(3))
        >>> wanted.shape
        (3, 1)
    """
    wanted = jnp.asarray(y)
    check_same(name, outputs.shape, wanted.shape)
    predicted = at_least_float32(outputs)
    return predicted, wanted.reshape(outputs.shape).astype(predicted.dtype)


def class_labels(name: str, outputs: jax.Array, y: Any) -> jax.Array:
    """Integer labels that fit the outputs: one for each vector of classes.

    Args:
        name: of the loss or metric, for the message.
        outputs: (batch, ..., classes).
        y: integers, (batch, ...).

    Returns:
        ``y`` as an array of at least 32 bits, its values not checked.

    Raises:
        ValueError: the shapes do not fit, or ``y`` is not of an integer dtype.

    Example:
        >>> class_labels("mine", jnp.zeros((3, 10)), jnp.zeros(3))
        Traceback (most recent call last):
        ...
        ValueError: mine: expected integer labels, got targets of dtype float32.
    """
    labels = jnp.asarray(_kept(y))
    check_classes(name, outputs.shape, labels.shape, labels.dtype)
    # The number of classes need not fit into what the labels fit into: 256 does not into a byte.
    return labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels


def _kept(y: Any) -> Any:
    """What JAX would cut off to 32 bits and find among the classes is none of them."""
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu" or y.itemsize < 8:
        return y
    return np.where((y < 0) | (y > np.iinfo(np.int32).max), -1, y.astype(np.int64))


def per_example(elements: jax.Array, reduce: Callable[..., jax.Array] = jnp.mean) -> jax.Array:
    """Reduce all axes but the first.

    Args:
        elements: (batch, ...), any dtype.
        reduce: ``jnp.mean`` or ``jnp.sum``.

    Returns:
        (batch,), at least float32.

    Example:
        >>> print(per_example(jnp.array([[True, False], [True, True]])))
        [0.5 1. ]
    """
    return reduce(at_least_float32(elements), axis=tuple(range(1, elements.ndim)))


def check_same(name: str, outputs: tuple[int, ...], targets: tuple[int, ...]) -> None:
    """Require equal shapes, but for a trailing axis of length one.

    Args:
        name: put before the message.
        outputs: shape of the outputs.
        targets: shape of the targets.

    Raises:
        ValueError: they differ otherwise, or have no batch axis.

    Example:
        >>> check_same("mine", (5, 2), (5,))
        Traceback (most recent call last):
        ...
        ValueError: mine: expected outputs and targets of the same shape (batch, ...),
        got outputs (5, 2) and targets (5,).
    """
    fits = targets in (outputs, (*outputs, 1)) or outputs == (*targets, 1)
    if not (outputs and targets and fits):
        raise ValueError(
            f"{name}: expected outputs and targets of the same shape (batch, ...), "
            f"got outputs {outputs} and targets {targets}."
        )


def check_classes(
    name: str, outputs: tuple[int, ...], targets: tuple[int, ...], dtype: Any
) -> None:
    """Require one integer label for each vector of classes.

    Args:
        name: put before the message.
        outputs: shape of the outputs.
        targets: shape of the labels.
        dtype: of the labels.

    Raises:
        ValueError: the shapes do not fit, or the dtype is not an integer one.

    Example:
        >>> check_classes("mine", (5, 3), (5, 3), jnp.int32)
        Traceback (most recent call last):
        ...
        ValueError: mine: expected outputs (batch, ..., classes) and labels (batch, ...),
        got outputs (5, 3) and labels (5, 3).
    """
    if len(outputs) < 2 or outputs[:-1] != targets:
        raise ValueError(
            f"{name}: expected outputs (batch, ..., classes) and labels (batch, ...), "
            f"got outputs {outputs} and labels {targets}."
        )
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(f"{name}: expected integer labels, got targets of dtype {dtype}.")
