"""Losses: functions ``(outputs, batch, *, numbers) -> one number per example``.

A loss reads ``batch.y`` and returns a float32 array of shape (batch,); the mean over examples is
taken in one place, by the trainer. Its keyword-only arguments with numeric defaults are its
hyperparameters: each member of a population may have its own. Any function of this form is a loss.

Where outputs and targets must agree in shape, a trailing axis of length one may be missing on
either side: outputs (batch, 1) fit targets (batch,).
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import errors, hyper, targets
from jaxnets.numerics import absolute, at_least_float32
from jaxnets.targets import HasTargets, aligned, per_example

Loss = Callable[..., jax.Array]


def softmax_cross_entropy(
    outputs: jax.Array, batch: HasTargets, *, label_smoothing: float | jax.Array = 0.0
) -> jax.Array:
    """Cross-entropy of integer labels under the softmax of the outputs, in nats.

    With smoothing ``a`` the target is ``1 - a`` on the label plus ``a / classes`` on every class,
    as in torch and Keras.

    Args:
        outputs: logits, floating, (batch, classes), or (batch, ..., classes) for one label per
            position (segmentation): then the mean over the positions of an example is returned.
        batch: ``y`` has integers in 0..classes-1, (batch,) or (batch, ...).
        label_smoothing: scalar in [0, 1].

    Returns:
        float32 (batch,); NaN for a label outside 0..classes-1.

    Raises:
        ValueError: the shapes do not fit, or the labels are not integers.

    Source: Szegedy et al. 2016, Rethinking the Inception architecture, section 7 (smoothing).

    Example:
        >>> from types import SimpleNamespace
        >>> batch = SimpleNamespace(y=jnp.array([0, 1]))
        >>> print(softmax_cross_entropy(jnp.array([[0.0, 0.0], [-9999.0, 9999.0]]), batch))
        [0.6931472 0.       ]
    """
    labels = targets.class_labels("softmax_cross_entropy", outputs, batch.y)
    surprise = -jax.nn.log_softmax(at_least_float32(outputs), axis=-1)
    # Comparing with every class fuses into one pass; a gather's gradient is a scatter, which is
    # slow on CPUs and under vmap.
    index = jax.lax.broadcasted_iota(labels.dtype, outputs.shape, outputs.ndim - 1)
    hit = index == labels[..., None]
    on_label = jnp.sum(jnp.where(hit, surprise, 0.0), axis=-1)
    on_all = jnp.mean(surprise, axis=-1)
    # A class that is masked (a logit of -inf) costs nothing where nothing is asked of it.
    on_all = jnp.where((label_smoothing == 0) & ~jnp.isfinite(on_all), 0.0, on_all)
    loss = (1.0 - label_smoothing) * on_label + label_smoothing * on_all
    known = (labels >= 0) & (labels < outputs.shape[-1])
    return per_example(jnp.where(known, loss, jnp.nan))


def sigmoid_binary_cross_entropy(
    outputs: jax.Array, batch: HasTargets, *, label_smoothing: float | jax.Array = 0.0
) -> jax.Array:
    """Cross-entropy of 0/1 targets under the sigmoid of the outputs, in nats.

    With smoothing ``a`` the target ``y`` becomes ``(1 - a) * y + a / 2``.

    Args:
        outputs: finite logits, floating, (batch,), (batch, 1) or (batch, ...).
        batch: ``y`` has values in [0, 1] of the same shape.
        label_smoothing: scalar in [0, 1].

    Returns:
        float32 (batch,): the mean over all axes but the first.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> from types import SimpleNamespace
        >>> batch = SimpleNamespace(y=jnp.array([1, 0]))
        >>> print(sigmoid_binary_cross_entropy(jnp.array([[0.0], [9999.0]]), batch))
        [6.931472e-01 9.999000e+03]
    """
    logits, wanted = aligned("sigmoid_binary_cross_entropy", outputs, batch.y)
    smoothed = (1.0 - label_smoothing) * wanted + 0.5 * label_smoothing
    return per_example(optax.sigmoid_binary_cross_entropy(logits, smoothed))


def mean_squared_error(outputs: jax.Array, batch: HasTargets) -> jax.Array:
    """Squared error, its mean over all axes but the first (no factor of one half).

    Args:
        outputs: floating, (batch, ...).
        batch: ``y`` of the same shape.

    Returns:
        float32 (batch,).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> from types import SimpleNamespace
        >>> print(mean_squared_error(jnp.array([[1.0, 4.0]]), SimpleNamespace(y=jnp.zeros((1, 2)))))
        [8.5]
    """
    predicted, wanted = aligned("mean_squared_error", outputs, batch.y)
    return per_example(jnp.square(predicted - wanted))


def sum_squared_error(outputs: jax.Array, batch: HasTargets) -> jax.Array:
    """Squared error, its sum over all axes but the first (no factor of one half).

    Args:
        outputs: floating, (batch, ...).
        batch: ``y`` of the same shape.

    Returns:
        float32 (batch,).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> from types import SimpleNamespace
        >>> print(sum_squared_error(jnp.array([[1.0, 4.0]]), SimpleNamespace(y=jnp.zeros((1, 2)))))
        [17.]
    """
    predicted, wanted = aligned("sum_squared_error", outputs, batch.y)
    return per_example(jnp.square(predicted - wanted), jnp.sum)


def mean_absolute_error(outputs: jax.Array, batch: HasTargets) -> jax.Array:
    """Absolute error, its mean over all axes but the first; the gradient at zero is zero.

    Args:
        outputs: floating, (batch, ...).
        batch: ``y`` of the same shape.

    Returns:
        float32 (batch,).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> from types import SimpleNamespace
        >>> print(mean_absolute_error(jnp.array([[1, -4.0]]), SimpleNamespace(y=jnp.zeros((1, 2)))))
        [2.5]
    """
    predicted, wanted = aligned("mean_absolute_error", outputs, batch.y)
    return per_example(absolute(predicted - wanted))


def huber(outputs: jax.Array, batch: HasTargets, *, delta: float | jax.Array = 1.0) -> jax.Array:
    """Huber's loss: ``e^2 / 2`` for ``|e| <= delta``, ``delta * (|e| - delta / 2)`` beyond.

    Args:
        outputs: floating, (batch, ...).
        batch: ``y`` of the same shape.
        delta: scalar > 0, the size of error from which on the loss is linear.

    Returns:
        float32 (batch,): the mean over all axes but the first.

    Raises:
        ValueError: the shapes do not fit.

    Source: Huber 1964, Robust estimation of a location parameter.

    Example:
        >>> from types import SimpleNamespace
        >>> print(huber(jnp.array([0.5, 3.0]), SimpleNamespace(y=jnp.zeros(2))))
        [0.125 2.5  ]
    """
    predicted, wanted = aligned("huber", outputs, batch.y)
    return per_example(optax.huber_loss(predicted, wanted, delta=delta))


LOSSES: dict[str, Loss] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_binary_cross_entropy": sigmoid_binary_cross_entropy,
    "mean_squared_error": mean_squared_error,
    "sum_squared_error": sum_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": huber,
}

BOUNDS: dict[str, hyper.Interval] = {"label_smoothing": hyper.UNIT, "delta": hyper.POSITIVE}


def get(loss: str | Loss) -> Loss:
    """The loss of this name; a function is returned as it is.

    Args:
        loss: a name in ``LOSSES`` or a function of the module's form.

    Returns:
        The function.

    Raises:
        ValueError: an unknown name.
        TypeError: neither a name nor a callable.

    Example:
        >>> get("huber") is huber
        True
    """
    if isinstance(loss, str):
        return errors.lookup("loss", loss, LOSSES)
    if not callable(loss):
        raise TypeError(
            f"loss: expected a name or a function (outputs, batch) -> per-example array, "
            f"got {loss!r:.80}."
        )
    return loss


def hyperparameters(loss: str | Loss) -> dict[str, float]:
    """The numbers of a loss, with their defaults.

    Args:
        loss: a name or a function.

    Returns:
        Names and defaults; see :func:`jaxnets.hyper.hyperparameters`.

    Raises:
        TypeError: a keyword-only argument without a numeric default.
        ValueError: an unknown name.

    Example:
        >>> hyperparameters("huber"), hyperparameters(mean_squared_error)
        ({'delta': 1.0}, {})
    """
    return hyper.hyperparameters(get(loss))


def check_hyperparameters(
    loss: str | Loss, given: Mapping[str, object], where: str = ""
) -> dict[str, float]:
    """Check numbers meant for a loss, for example one member's, before compilation.

    Args:
        loss: a name or a function.
        given: names and concrete numbers.
        where: put before the message.

    Returns:
        The numbers as floats.

    Raises:
        TypeError: a value is not a concrete number.
        ValueError: an unknown name, or (for the losses of this module) a value out of bounds.

    Example:
        >>> check_hyperparameters("huber", {"delta": 0})
        Traceback (most recent call last):
        ...
        ValueError: delta: expected a finite number in (0, inf), got 0.
    """
    fn = get(loss)
    bounds = BOUNDS if fn in LOSSES.values() else {}
    return hyper.check_numbers(hyper.label(fn), hyperparameters(fn), bounds, given, where)


def check_targets(
    loss: str | Loss, y: np.ndarray, outputs_shape: tuple[int, ...], where: str = ""
) -> None:
    """Check targets on the host, before compilation; a loss of the user's own is not checked.

    Args:
        loss: a name or a function.
        y: all targets, leading axis = examples.
        outputs_shape: the shape of the network's outputs for a batch of any size.
        where: put before the message, for example ``"data.train.y: "``.

    Raises:
        ValueError: shapes that the loss cannot take; labels that are not integers in
            0..classes-1, binary targets outside [0, 1], other targets that are not finite. The
            message names the first offending row and value.

    Example:
        >>> check_targets("softmax_cross_entropy", np.array([0, 3, 9]), (1, 3))
        Traceback (most recent call last):
        ...
        ValueError: softmax_cross_entropy: expected labels in 0..2, got 3 in row 1.
    """
    fn = get(loss)
    if fn not in LOSSES.values():
        return
    prefix, y = f"{where}{hyper.label(fn)}", np.asarray(y)
    shape = (*y.shape[:1], *outputs_shape[1:])
    if fn is softmax_cross_entropy:
        targets.check_classes(prefix, shape, y.shape, y.dtype)
        good, expected = (y >= 0) & (y < shape[-1]), f"labels in 0..{shape[-1] - 1}"
    else:
        targets.check_same(prefix, shape, y.shape)
        if y.dtype.kind not in "biuf":
            raise ValueError(f"{prefix}: expected numeric targets, got dtype {y.dtype}.")
        if fn is sigmoid_binary_cross_entropy:
            good, expected = (y >= 0) & (y <= 1), "targets in [0, 1]"
        else:
            good, expected = np.isfinite(y), "finite targets"
    if not good.all():
        place = tuple(int(i) for i in np.argwhere(~good)[0])
        raise ValueError(f"{prefix}: expected {expected}, got {y[place]} in row {place[0]}.")
