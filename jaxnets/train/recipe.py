"""Everything about a training run that is not a number: what is compiled once."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import numpy as np

from jaxnets import losses, optim
from jaxnets import metrics as metric_table
from jaxnets.errors import lookup
from jaxnets.hyper import ANY, NON_NEGATIVE, Bounds
from jaxnets.kinds import kinds_of
from jaxnets.metrics import Metric
from jaxnets.network import Network, as_network

Hyper = Mapping[str, Any]
"""A run's numbers by name, Python floats or traced scalars: ``{"learning_rate": 1e-3, ...}``."""

GENERAL: dict[str, float] = {"l1": 0.0, "l2": 0.0, "noise_sigma": 0.0, "init_gain": 1.0}
"""Hyperparameters that every run understands, with the value at which they do nothing. Each is
part of the program only if it is given."""

GENERAL_BOUNDS: Bounds = {
    "l1": NON_NEGATIVE,
    "l2": NON_NEGATIVE,
    "noise_sigma": NON_NEGATIVE,
    "init_gain": ANY,
}

Augment = Callable[[jax.Array, Any], Any]


@dataclass(frozen=True)
class Recipe:
    """The static half of a run. Two members with equal recipes share one compiled program.

    Attributes:
        network: the pure pair.
        loss: ``(outputs, batch, **hyper) -> (batch,)``.
        optimizer: hyperparameters to an Optax transformation.
        batch_size: examples per step; the last batch of an epoch holds what is left over, and is
            a batch of that true size, so that batch statistics see no padding. A size that covers
            the whole training part is full-batch training, without shuffling.
        metrics: names and functions, measured beside the loss; per example, like losses.
        shuffle: a new order in every epoch, or the order of the data in all of them.
        augment: ``(key, x) -> x`` of a whole batch, ``(batch, ...)`` to the same shape, applied to
            the inputs of every training step; the key is a step's own.
        keep: the weights of the end or those that were best on ``monitor``.
        monitor: the record that selects the best weights, such as ``"valid_loss"``.
        mode: whether a smaller (``"min"``) or a larger monitor (``"max"``) is better; ``"auto"``:
            larger if it is an accuracy by name or by function. Of other metrics of the user's own
            nobody knows: she has to say.
        patience: stop after so many epochs without a better ``monitor``; ``None``: never.
        unroll: steps per iteration of the compiled loop; changes speed and compile time, and
            the last bits. Rows that stay on the disk are walked step by step whatever it is: how
            many come at once depends on other members.
    """

    network: Network
    loss: losses.Loss
    optimizer: optim.Optimizer
    batch_size: int
    metrics: tuple[tuple[str, Metric], ...] = ()
    shuffle: bool = True
    augment: Augment | None = None
    keep: Literal["last", "best"] = "last"
    monitor: str = "valid_loss"
    mode: Literal["auto", "min", "max"] = "auto"
    patience: int | None = None
    unroll: int = 1
    kinds: Hashable = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Look at the types."""
        parts = self.loss, self.optimizer.structure, self.metrics, self.augment
        object.__setattr__(self, "kinds", kinds_of(parts))

    @property
    def defaults(self) -> dict[str, float]:
        """The numbers of the optimizer and of the loss, which every run must have."""
        return {**dict(self.optimizer.defaults), **losses.hyperparameters(self.loss)}

    @property
    def record_names(self) -> tuple[str, ...]:
        """What is measured on each part of the data: ``("loss", "accuracy")``, say."""
        return ("loss", *(name for name, _ in self.metrics))

    def records(self, valid: bool) -> tuple[str, ...]:
        """What a history holds, ``valid``: if there is a validation part.

        Example:
            >>> import jaxnets as jn
            >>> make_recipe(jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy").records(True)
            ('train_loss', 'train_accuracy', 'valid_loss', 'valid_accuracy')
        """
        parts = ("train", "valid") if valid else ("train",)
        return tuple(f"{part}_{name}" for part in parts for name in self.record_names)

    @property
    def selects(self) -> bool:
        """Whether anything depends on ``monitor``."""
        return self.keep == "best" or self.patience is not None

    @property
    def maximized(self) -> bool:
        """Whether a larger ``monitor`` is a better one."""
        return self.mode == "max" or (self.mode == "auto" and bool(self.is_accuracy))

    @property
    def is_accuracy(self) -> bool | None:
        """Whether ``monitor`` is an accuracy; None of a metric that is only the user's."""
        name = self.monitor.partition("_")[2]
        if name == "loss":
            return False
        function = dict(self.metrics)[name]  # not by its name: an inaccuracy has one, too
        known = (own for own, one in metric_table.METRICS.items() if one is function)
        return next(("accuracy" in own for own in known), None)


def make_recipe(
    network: object,
    *,
    loss: str | losses.Loss,
    optimizer: object = "adam",
    batch_size: int = 32,
    metrics: Iterable[str] | Mapping[str, Metric] | None = None,
    shuffle: bool = True,
    augment: Augment | None = None,
    keep: Literal["last", "best"] = "last",
    monitor: str | None = None,
    mode: Literal["auto", "min", "max"] = "auto",
    patience: int | None = None,
    unroll: int = 1,
) -> Recipe:
    """A `Recipe` from what a user writes: names, modules, functions.

    Args:
        network: a Linen module, a `Network`, or a pair ``(init, apply)``.
        loss: a name of `jaxnets.losses.LOSSES` or a function.
        optimizer: a name, a `jaxnets.optim.Optimizer`, an ``optax.GradientTransformation`` or a
            function of named numbers that returns one.
        batch_size: positive.
        metrics: names of `jaxnets.metrics.METRICS`, or functions by name; ``None`` measures what
            goes with the loss (accuracy with cross-entropy).
        shuffle: see `Recipe`, as for all that follow.
        augment: ``(key, x) -> x`` or ``None``.
        keep: ``"last"`` or ``"best"``.
        monitor: ``"valid_accuracy"``, ...; ``None``: ``"valid_loss"``.
        mode: see `Recipe`.
        patience: epochs, or ``None``.
        unroll: steps per iteration of the compiled loop.

    Returns:
        The recipe.

    Raises:
        ValueError: an unknown name, a number out of range, a ``monitor`` or a ``mode`` where
            nothing is selected.
        TypeError: an argument of the wrong kind.

    Example:
        >>> import jaxnets as jn
        >>> recipe = make_recipe(jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy")
        >>> recipe.record_names
        ('loss', 'accuracy')
    """
    loss_function = losses.get(loss)
    transform = optim.as_optimizer(optimizer)
    if not isinstance(shuffle, bool | np.bool_):
        raise TypeError(f"shuffle: expected True or False, got {shuffle!r}.")
    if keep not in ("last", "best"):
        raise ValueError(f"keep: expected 'last' or 'best', got {keep!r}.")
    if augment is not None and not callable(augment):
        raise TypeError(f"augment: expected a function (key, x) -> x, got {augment!r}.")
    recipe = Recipe(
        network=as_network(network),
        loss=loss_function,
        optimizer=transform,
        batch_size=positive_integer("batch_size", batch_size),
        metrics=_metrics(metrics, loss_function),
        shuffle=bool(shuffle),
        augment=augment,
        keep=keep,
        monitor="valid_loss" if monitor is None else monitor,
        mode=mode,
        patience=None if patience is None else positive_integer("patience", patience),
        unroll=positive_integer("unroll", unroll),
    )
    lookup("mode", mode, dict.fromkeys(("auto", "min", "max")))
    lookup("monitor", recipe.monitor, dict.fromkeys(recipe.records(valid=True)))
    if recipe.selects and mode == "auto" and recipe.is_accuracy is None:
        raise ValueError(
            f"mode: expected 'min' or 'max', got 'auto': whether a larger {monitor} is better is "
            "not known of a metric of your own."
        )
    for name, value in {"monitor": monitor, "mode": None if mode == "auto" else mode}.items():
        if value is not None and not recipe.selects:
            raise ValueError(
                f"{name}: expected keep='best' or a patience beside {name}={value!r}, got "
                "neither: the weights of the last epoch are kept, and nothing is selected."
            )
    return recipe


def _metrics(
    given: Iterable[str] | Mapping[str, Metric] | None, loss: losses.Loss
) -> tuple[tuple[str, Metric], ...]:
    if given is None:
        return tuple(metric_table.defaults(loss).items())
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Iterable):
        raise TypeError(f"metrics: expected names or functions by name, got {given!r:.80}.")
    if isinstance(given, set | frozenset):
        given = sorted(given, key=str)  # the order of a set is another in every process
    named = dict(given) if isinstance(given, Mapping) else {name: name for name in given}
    for name in named:
        if not isinstance(name, str):
            raise TypeError(
                f"metrics: expected names, or functions by name as in {{'mine': mine}}, "
                f"got {name!r:.80}."
            )
        if name == "loss":
            raise ValueError("metrics: 'loss' is the loss itself; give the metric another name.")
    return tuple((name, metric_table.get(metric)) for name, metric in named.items())


def positive_integer(argument: str, value: object) -> int:
    """``value`` as a Python integer, if it is one of at least 1.

    Args:
        argument: its name, for the message.
        value: what the user gave.

    Returns:
        The number.

    Raises:
        TypeError: not an integer; a bool is none.
        ValueError: less than 1.

    Example:
        >>> positive_integer("epochs", 0)
        Traceback (most recent call last):
        ...
        ValueError: epochs: expected at least 1, got 0.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{argument}: expected an integer, got {type(value).__name__} {value!r}.")
    if value < 1:
        raise ValueError(f"{argument}: expected at least 1, got {value}.")
    return int(value)
