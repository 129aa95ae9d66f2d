"""Optimizers: named numbers in, an ``optax.GradientTransformation`` out.

An :class:`Optimizer` is called inside the mapped function with one member's numbers, traced, so
that every norm sees one member alone and nothing is compiled twice. All rules are Optax's, but that
:mod:`jaxnets.adam` multiplies where Optax divides.

The parts are applied in this order, those that are None are not in the program at all:

    clip_value -> clip_norm -> clip_adaptive -> weight decay as L2 -> the rule
    -> decoupled weight decay (adamw only) -> ``-learning_rate * schedule(step)``

Options that all share:

- ``clip_value``: every gradient into [-clip_value, clip_value].
- ``clip_norm``: the global norm of a member's gradient at most this (Pascanu et al. 2013). Where
  the norm itself overflows float32 (gradients beyond 1e19) the update is zero.
- ``clip_adaptive``: per output unit, at most this multiple of the unit's weight norm, which counts
  as at least 1e-3 (Brock et al. 2021; there 0.01).
- ``weight_decay``: adds ``weight_decay * w`` to the gradient before the rule, as torch does; the
  penalty ``l2`` of half the number has the same gradient but is clipped with it. Biases and
  normalisation parameters are left alone (:func:`jaxnets.penalties.kernel_mask`); torch decays all.
- ``schedule``: a factor of the learning rate (:mod:`jaxnets.schedules`), whose numbers become the
  optimizer's.

Parameters narrower than float32 are updated through float32 state.
"""

from collections.abc import Callable
from typing import Any, Unpack

import optax

from jaxnets import errors
from jaxnets.adam import scale_by_adam
from jaxnets.optimizer import DecayOptions, Numbers, Optimizer, Options, assemble, from_optax
from jaxnets.penalties import kernel_mask

__all__ = [
    "OPTIMIZERS",
    "Optimizer",
    "adagrad",
    "adam",
    "adamw",
    "as_optimizer",
    "from_optax",
    "momentum",
    "nesterov",
    "rmsprop",
    "sgd",
]


def sgd(
    learning_rate: float = 0.01,
    **options: Unpack[DecayOptions],
) -> Optimizer:
    """Gradient descent: ``w -= learning_rate * g``.

    Args:
        learning_rate: >= 0.
        **options: clip_value, clip_norm, clip_adaptive, weight_decay, schedule; see the module.

    Returns:
        The optimizer with these numbers as defaults.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of bounds, or a name of the schedule's is already taken.

    Example:
        >>> from jaxnets import schedules
        >>> sgd(0.1, schedule=schedules.cosine(1000)).defaults
        (('learning_rate', 0.1), ('decay_steps', 1000.0), ('final_factor', 0.0))
    """
    numbers = {"learning_rate": learning_rate}
    return assemble("sgd", lambda _: optax.identity(), numbers, options)


def momentum(
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    **options: Unpack[DecayOptions],
) -> Optimizer:
    """Heavy ball: ``v = momentum * v + g; w -= learning_rate * v``, as in Optax and torch.

    Keras multiplies by the rate before it accumulates: the same at a constant rate only.

    Args:
        learning_rate: >= 0.
        momentum: in [0, 1).
        **options: clip_value, clip_norm, clip_adaptive, weight_decay, schedule; see the module.

    Returns:
        The optimizer with these numbers as defaults.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of bounds, or a name of the schedule's is already taken.

    Source: Polyak 1964; Sutskever et al. 2013.

    Example:
        >>> momentum(0.1).defaults
        (('learning_rate', 0.1), ('momentum', 0.9))
    """
    numbers = {"learning_rate": learning_rate, "momentum": momentum}
    return assemble("momentum", lambda h: optax.trace(h["momentum"]), numbers, options)


def nesterov(
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    **options: Unpack[DecayOptions],
) -> Optimizer:
    """Nesterov: ``v = momentum * v + g; w -= learning_rate * (g + momentum * v)``, as in torch.

    Args:
        learning_rate: >= 0.
        momentum: in [0, 1).
        **options: clip_value, clip_norm, clip_adaptive, weight_decay, schedule; see the module.

    Returns:
        The optimizer with these numbers as defaults.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of bounds, or a name of the schedule's is already taken.

    Source: Nesterov 1983; Sutskever et al. 2013, in the form that needs no second point.

    Example:
        >>> nesterov(momentum=0.5).defaults
        (('learning_rate', 0.01), ('momentum', 0.5))
    """
    numbers = {"learning_rate": learning_rate, "momentum": momentum}

    def rule(h: Numbers) -> optax.GradientTransformation:
        return optax.trace(h["momentum"], nesterov=True)

    return assemble("nesterov", rule, numbers, options)


def adagrad(
    learning_rate: float = 0.01,
    initial_accumulator_value: float = 0.1,
    eps: float = 1e-7,
    **options: Unpack[DecayOptions],
) -> Optimizer:
    """Adagrad: ``s += g^2; w -= learning_rate * g / sqrt(s + eps)``.

    Defaults are Optax's. torch starts ``s`` at 0 and divides by ``sqrt(s) + 1e-10``.

    Args:
        learning_rate: >= 0.
        initial_accumulator_value: ``s`` before the first update, >= 0.
        eps: >= 0.
        **options: clip_value, clip_norm, clip_adaptive, weight_decay, schedule; see the module.

    Returns:
        The optimizer with these numbers as defaults.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of bounds, or a name of the schedule's is already taken.

    Source: Duchi et al. 2011, Adaptive subgradient methods.

    Example:
        >>> adagrad(eps=0.0).defaults[-1]
        ('eps', 0.0)
    """
    numbers = {
        "learning_rate": learning_rate,
        "initial_accumulator_value": initial_accumulator_value,
        "eps": eps,
    }

    def rule(h: Numbers) -> optax.GradientTransformation:
        return optax.scale_by_rss(h["initial_accumulator_value"], h["eps"])

    return assemble("adagrad", rule, numbers, options)


def rmsprop(
    learning_rate: float = 1e-3,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    **options: Unpack[DecayOptions],
) -> Optimizer:
    """RMSprop: ``s = decay * s + (1 - decay) * g^2; w -= learning_rate * g / sqrt(s + eps)``.

    Defaults are Optax's. torch has decay 0.99 (called alpha) and divides by ``sqrt(s) + eps``.

    Args:
        learning_rate: >= 0.
        decay: in [0, 1).
        eps: >= 0.
        initial_scale: ``s`` before the first update, >= 0.
        **options: clip_value, clip_norm, clip_adaptive, weight_decay, schedule; see the module.

    Returns:
        The optimizer with these numbers as defaults.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of bounds, or a name of the schedule's is already taken.

    Source: Tieleman and Hinton 2012, Neural networks for machine learning, lecture 6.5.

    Example:
        >>> rmsprop(decay=0.99).defaults[1]
        ('decay', 0.99)
    """
    numbers = {
        "learning_rate": learning_rate,
        "decay": decay,
        "eps": eps,
        "initial_scale": initial_scale,
    }

    def rule(h: Numbers) -> optax.GradientTransformation:
        return optax.scale_by_rms(h["decay"], h["eps"], h["initial_scale"])

    return assemble("rmsprop", rule, numbers, options)


def adam(
    learning_rate: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    **options: Unpack[DecayOptions],
) -> Optimizer:
    """Adam, as in Optax and torch.

    Args:
        learning_rate: >= 0.
        b1: decay of the mean of gradients, in [0, 1).
        b2: decay of the mean of their squares, in [0, 1).
        eps: added to the root, >= 0.
        eps_root: added under the root, >= 0. Where a gradient is exactly zero (a dead unit), the
            derivative of training itself needs it above zero, for example 1e-16.
        **options: clip_value, clip_norm, clip_adaptive, weight_decay, schedule; see the module.

    Returns:
        The optimizer with these numbers as defaults.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of bounds, or a name of the schedule's is already taken.

    Source: Kingma and Ba 2015, Adam, algorithm 1.

    Example:
        >>> adam(clip_norm=1.0).structure
        ('adam', ('clip_norm',), None)
    """
    numbers = _adam_numbers(learning_rate, b1, b2, eps, eps_root)
    return assemble("adam", _adam_rule, numbers, options)


def adamw(
    learning_rate: float = 1e-3,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    *,
    weight_decay: float = 1e-4,
    **options: Unpack[Options],
) -> Optimizer:
    """Adam with decoupled weight decay: ``w -= rate * (adam + weight_decay * w)``.

    The rate is the scheduled one, so the decay is multiplied by it, as in Optax and torch; the
    paper multiplies by the schedule alone. torch's default decay is 1e-2, and it decays biases too.

    Args:
        learning_rate: >= 0.
        b1: decay of the mean of gradients, in [0, 1).
        b2: decay of the mean of their squares, in [0, 1).
        eps: added to the root, >= 0.
        eps_root: added under the root, >= 0; see :func:`adam`.
        weight_decay: >= 0, decoupled; biases and normalisation parameters are left alone.
        **options: clip_value, clip_norm, clip_adaptive, schedule; see the module.

    Returns:
        The optimizer with these numbers as defaults.

    Raises:
        TypeError: an argument is not a number.
        ValueError: a number is out of bounds, or a name of the schedule's is already taken.

    Source: Loshchilov and Hutter 2019, Decoupled weight decay regularization.

    Example:
        >>> adamw().defaults[-1]
        ('weight_decay', 0.0001)
    """
    numbers = _adam_numbers(learning_rate, b1, b2, eps, eps_root) | {"weight_decay": weight_decay}

    def rule(h: Numbers) -> optax.GradientTransformation:
        decay = optax.add_decayed_weights(h["weight_decay"], mask=kernel_mask)
        return optax.chain(_adam_rule(h), decay)

    return assemble("adamw", rule, numbers, options)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def as_optimizer(optimizer: Any) -> Optimizer:
    """The optimizer that is meant by a name, a transformation or a function.

    Args:
        optimizer: an :class:`Optimizer`; a name in ``OPTIMIZERS`` or its function, both with their
            defaults; a transformation or a function for :func:`from_optax`.

    Returns:
        The optimizer.

    Raises:
        ValueError: an unknown name.
        TypeError: none of these.

    Example:
        >>> as_optimizer("adam") == as_optimizer(adam) == adam()
        True
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        return errors.lookup("optimizer", optimizer, OPTIMIZERS)()
    if any(optimizer is known for known in OPTIMIZERS.values()):
        return optimizer()
    return from_optax(optimizer)


def _adam_numbers(
    learning_rate: float, b1: float, b2: float, eps: float, eps_root: float
) -> dict[str, float]:
    return {"learning_rate": learning_rate, "b1": b1, "b2": b2, "eps": eps, "eps_root": eps_root}


def _adam_rule(h: Numbers) -> optax.GradientTransformation:
    return scale_by_adam(h["b1"], h["b2"], h["eps"], h["eps_root"])
