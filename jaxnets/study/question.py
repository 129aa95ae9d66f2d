"""The question of depth against width, as numbers and names. JAX is not needed to write it down."""

import math
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any


@dataclass(frozen=True)
class DepthWidth:
    """Of networks of equal size, how deep is best, and at which learning rate?

    The rate of each depth is the one whose members are best on validation, and each member keeps
    the weights of its best epoch; the test part is read once, for the members of the chosen rates.

    Attributes:
        dataset: A name, a folder of IDX or npy files, an npz file. Names: mnist1d, moons, spirals,
            sine; with scikit-learn digits, wine, breast_cancer, diabetes. Inputs are standardised,
            and so are the targets of a regression.
        depths: Numbers of hidden layers to compare; the first is what the others are compared to.
        params: Parameters of every network, as nearly as a whole width allows.
        learning_rates: Rates to choose from, for every depth.
        seeds: Networks per depth and rate.
        epochs: Passes over the training part.
        batch_size: Examples per step.
        optimizer: A name: sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw.
        clip_norm: Largest norm of a gradient.
        activation: Of the hidden layers, by name: relu, tanh, sigmoid, gelu, silu, elu, ...
        kernel_init: Initialiser of the weights, by name: he_normal, glorot_uniform, orthogonal, ...
        threshold: Validation accuracy (of a regression: squared error) to count the epochs to.
        key: Root of the random numbers of the networks (initial weights, order of the rows); the
            split of the data does not depend on it.

    Raises:
        TypeError: a number of the wrong kind.
        ValueError: a number out of range, or one that comes twice in a list.

    Example:
        >>> DepthWidth(depths=(1, 2), seeds=3).members
        24
    """

    dataset: str = "mnist1d"
    depths: tuple[int, ...] = (1, 2, 3, 4)
    params: int = 15_200
    learning_rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2, 1e-1)
    seeds: int = 8
    epochs: int = 30
    batch_size: int = 100
    optimizer: str = "adam"
    clip_norm: float = 1.0
    activation: str = "relu"
    kernel_init: str = "he_normal"
    threshold: float = 0.55
    key: int = 0

    def __post_init__(self) -> None:
        for name in ("depths", "learning_rates"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple | range):
                raise TypeError(f"{name}: expected a list, got {values!r}.")
            if not values:
                raise ValueError(f"{name}: expected at least one value, got none.")
            object.__setattr__(self, name, tuple(values))
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"{name}: expected different values, got {value} twice.")
        object.__setattr__(self, "depths", tuple(_integer("depths", d, 1) for d in self.depths))
        for name in ("params", "seeds", "epochs", "batch_size"):
            object.__setattr__(self, name, _integer(name, getattr(self, name), 1))
        object.__setattr__(self, "key", _integer("key", self.key, 0))
        if self.key >= 2**32:
            raise ValueError(f"key: expected less than 2**32, got {self.key}.")
        object.__setattr__(
            self,
            "learning_rates",
            tuple(_positive("learning_rates", r) for r in self.learning_rates),
        )
        for name in ("clip_norm", "threshold"):
            object.__setattr__(self, name, _positive(name, getattr(self, name)))
        for name in ("dataset", "optimizer", "activation", "kernel_init"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name}: expected a name, got {getattr(self, name)!r}.")

    @property
    def members(self) -> int:
        """How many networks are trained."""
        return len(self.depths) * len(self.learning_rates) * self.seeds

    def to_json(self) -> dict[str, Any]:
        """The question as JSON knows it."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def _integer(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):  # NumPy's are, too
        raise TypeError(f"{name}: expected an integer, got {value!r}.")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}.")
    return int(value)


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number, got {value!r}.")
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name}: expected a positive number, got {value}.")
    return number
