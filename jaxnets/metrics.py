"""Metrics: like losses, functions ``(outputs, batch) -> one number per example``.

They are averaged over examples by the trainer. None of them has a useful gradient.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import errors, losses
from jaxnets.targets import HasTargets, aligned, class_labels, per_example

Metric = Callable[..., jax.Array]


def accuracy(outputs: jax.Array, batch: HasTargets) -> jax.Array:
    """1 where the largest output is the label's, else 0. The first of equal outputs counts.

    Args:
        outputs: (batch, classes), or (batch, ..., classes): then the fraction of positions.
        batch: ``y`` has integers in 0..classes-1, (batch,) or (batch, ...).

    Returns:
        float32 (batch,). Outputs that are not numbers are wrong.

    Raises:
        ValueError: the shapes do not fit, or the labels are not integers.

    Example:
        >>> from types import SimpleNamespace
        >>> batch = SimpleNamespace(y=jnp.array([1, 1]))
        >>> print(accuracy(jnp.array([[0.1, 0.9], [0.9, 0.1]]), batch))
        [1. 0.]
    """
    labels = class_labels("accuracy", outputs, batch.y)
    valid = ~jnp.any(jnp.isnan(outputs), axis=-1)
    return per_example((jnp.argmax(outputs, axis=-1) == labels) & valid)


def top_k_accuracy(k: int) -> Metric:
    """The metric that is 1 where the label is among the k largest outputs.

    Equal calls return the same function. Of equal outputs those of lower index come first, as in
    ``jax.lax.top_k``.

    Args:
        k: at least 1, at most the number of classes.

    Returns:
        A metric like :func:`accuracy`, named ``top_<k>_accuracy``.

    Raises:
        TypeError: ``k`` is not an integer.
        ValueError: ``k`` is below 1, or (when the metric is traced) above the number of classes.

    Example:
        >>> from types import SimpleNamespace
        >>> batch = SimpleNamespace(y=jnp.array([1, 2]))
        >>> print(top_k_accuracy(2)(jnp.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), batch))
        [1. 0.]
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k: expected an integer, got {k!r:.80}.")
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}.")
    return _top_k_accuracy(int(k))


@functools.cache
def _top_k_accuracy(k: int) -> Metric:
    name = f"top_{k}_accuracy"

    def metric(outputs: jax.Array, batch: HasTargets) -> jax.Array:
        labels = class_labels(name, outputs, batch.y)
        if k > outputs.shape[-1]:
            raise ValueError(f"{name}: expected at least {k} classes, got outputs {outputs.shape}.")
        index = jax.lax.broadcasted_iota(labels.dtype, outputs.shape, outputs.ndim - 1)
        at_label = index == labels[..., None]
        own = jnp.sum(jnp.where(at_label, outputs, 0), axis=-1)[..., None]
        before = (outputs > own) | ((outputs == own) & (index < labels[..., None]))
        valid = jnp.any(at_label, axis=-1) & ~jnp.any(jnp.isnan(outputs), axis=-1)
        return per_example((jnp.sum(before, axis=-1) < k) & valid)

    metric.__name__ = metric.__qualname__ = name
    metric.__doc__ = f"1 where the label is among the {k} largest outputs, else 0."
    return metric


def binary_accuracy(outputs: jax.Array, batch: HasTargets) -> jax.Array:
    """1 where the logit is above 0 exactly if the target is above 1/2, else 0.

    Args:
        outputs: logits, (batch,), (batch, 1) or (batch, ...).
        batch: ``y`` with values in [0, 1], of the same shape.

    Returns:
        float32 (batch,): the mean over all axes but the first. A logit of NaN is wrong.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> from types import SimpleNamespace
        >>> print(binary_accuracy(jnp.array([[-1.0], [2.0]]), SimpleNamespace(y=jnp.array([1, 1]))))
        [0. 1.]
    """
    logits, targets = aligned("binary_accuracy", outputs, batch.y)
    return per_example(((logits > 0) == (targets > 0.5)) & ~jnp.isnan(logits))


def squared_error(outputs: jax.Array, batch: HasTargets) -> jax.Array:
    """Squared error, its mean over all axes but the first.

    Args:
        outputs: (batch, ...).
        batch: ``y`` of the same shape.

    Returns:
        float32 (batch,).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> from types import SimpleNamespace
        >>> print(squared_error(jnp.array([[3.0]]), SimpleNamespace(y=jnp.array([1.0]))))
        [4.]
    """
    predicted, targets = aligned("squared_error", outputs, batch.y)
    return per_example(jnp.square(predicted - targets))


def absolute_error(outputs: jax.Array, batch: HasTargets) -> jax.Array:
    """Absolute error, its mean over all axes but the first.

    Args:
        outputs: (batch, ...).
        batch: ``y`` of the same shape.

    Returns:
        float32 (batch,).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> from types import SimpleNamespace
        >>> print(absolute_error(jnp.array([[3.0]]), SimpleNamespace(y=jnp.array([1.0]))))
        [2.]
    """
    predicted, targets = aligned("absolute_error", outputs, batch.y)
    return per_example(jnp.abs(predicted - targets))


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "top_5_accuracy": top_k_accuracy(5),
    "binary_accuracy": binary_accuracy,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
}


def get(metric: str | Metric) -> Metric:
    """The metric of this name; a function is returned as it is.

    Args:
        metric: a name in ``METRICS`` or a function of the module's form.

    Returns:
        The function.

    Raises:
        ValueError: an unknown name.
        TypeError: neither a name nor a callable.

    Example:
        >>> get("accuracy") is accuracy
        True
    """
    if isinstance(metric, str):
        return errors.lookup("metric", metric, METRICS)
    if not callable(metric):
        raise TypeError(
            "metric: expected a name or a function (outputs, batch) -> per-example array, "
            f"got {metric!r:.80}."
        )
    return metric


def defaults(loss: str | losses.Loss) -> dict[str, Metric]:
    """The metrics that are reported beside a loss if the user names none.

    Args:
        loss: a name or a function.

    Returns:
        Names and metrics: the accuracy for the two cross-entropies, nothing for the rest (the loss
        itself is always reported).

    Raises:
        ValueError: an unknown name of a loss.

    Example:
        >>> list(defaults("softmax_cross_entropy")), list(defaults("huber"))
        (['accuracy'], [])
    """
    fn = losses.get(loss)
    if fn is losses.softmax_cross_entropy:
        return {"accuracy": accuracy}
    if fn is losses.sigmoid_binary_cross_entropy:
        return {"accuracy": binary_accuracy}
    return {}
