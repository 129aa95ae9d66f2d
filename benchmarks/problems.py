"""What the systems train: networks, data and optimizers, as plain values for any system."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

OUTPUTS = 10


class Layer(NamedTuple):
    """One product of a layer's weights with its inputs.

    Attributes:
        products: multiplications per example in the forward pass.
        weights: its parameters, normalisation and biases left out.
    """

    products: int
    weights: int


@dataclass(frozen=True)
class Problem:
    """One network with its data and its update.

    Attributes:
        network: ``"mlp"``, ``"lenet"``, ``"cnn1d"`` or ``"resnet20"``.
        data: see `arrays`.
        rows: examples that train: a multiple of ``batch``.
        batch: examples per update.
        optimizer: ``"adam"`` or ``"momentum"`` (0.9).
        learning_rate: of the optimizer.
        widths: hidden layers of an ``"mlp"``.
    """

    network: str
    data: str
    rows: int
    batch: int
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    widths: tuple[int, ...] = ()

    @property
    def steps(self) -> int:
        """Updates of one network in one epoch."""
        return -(-self.rows // self.batch)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of an ``"mlp"`` from inputs to outputs."""
        return (40, *self.widths, OUTPUTS)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All products with weights, in the order of the forward pass."""
        if self.network == "mlp":
            return tuple(Layer(a * b, a * b) for a, b in itertools.pairwise(self.sizes))
        return LAYERS[self.network]

    @property
    def flops(self) -> float:
        """Floating-point operations of one update: the layers' products forward, with respect to
        the weights and (but for the first layer) with respect to the inputs. Activations, losses,
        normalisation and the optimizer are not counted.
        """
        products = 3 * sum(layer.products for layer in self.layers) - self.layers[0].products
        return 2.0 * self.batch * products

    @property
    def parameters(self) -> int:
        """Of one network, biases and normalisation included."""
        if self.network == "mlp":
            return sum((a + 1) * b for a, b in itertools.pairwise(self.sizes))
        return PARAMETERS[self.network]


def _conv(size: int, kernel: int, inputs: int, outputs: int) -> Layer:
    weights = kernel * inputs * outputs
    return Layer(size * weights, weights)


def _resnet20() -> tuple[Layer, ...]:
    layers, channels = [_conv(32 * 32, 9, 3, 16)], 16
    for features, side in ((16, 32), (32, 16), (64, 8)):
        for _ in range(3):
            layers += [_conv(side**2, 9, channels, features), _conv(side**2, 9, features, features)]
            channels = features
    return (*layers, Layer(64 * OUTPUTS, 64 * OUTPUTS))


LAYERS: dict[str, tuple[Layer, ...]] = {
    "lenet": (
        _conv(28 * 28, 25, 1, 6),
        _conv(10 * 10, 25, 6, 16),
        *(Layer(a * b, a * b) for a, b in ((400, 120), (120, 84), (84, OUTPUTS))),
    ),
    "cnn1d": (
        _conv(19, 5, 1, 25),
        _conv(10, 3, 25, 25),
        _conv(5, 3, 25, 25),
        Layer(125 * OUTPUTS, 125 * OUTPUTS),
    ),
    "resnet20": _resnet20(),
}
PARAMETERS = {"lenet": 61_706, "cnn1d": 5_210, "resnet20": 269_722}


class Arrays(NamedTuple):
    """The training part: float32 inputs, channels last, and int32 labels."""

    x: np.ndarray
    y: np.ndarray


def arrays(problem: Problem) -> Arrays:
    """The data of a problem, the same in every process.

    ``"mnist1d"``: the published 4000 rows of 40 numbers. ``"digits"``: scikit-learn's digits, every
    pixel drawn as 3 x 3 within 28 x 28. ``"objects"``: 32 x 32 x 3, a random picture per class
    under noise: what convolutions compute does not depend on what the pictures show. ``"points"``:
    40 numbers around a random centre per class, as many rows as are wanted.
    """
    x, y = SOURCES[problem.data](problem.rows)
    if len(x) < problem.rows:
        raise ValueError(f"{problem.data} has {len(x)} rows, {problem.rows} are wanted.")
    return Arrays(
        np.ascontiguousarray(x[: problem.rows], np.float32), y[: problem.rows].astype(np.int32)
    )


def _mnist1d(rows: int) -> tuple[np.ndarray, np.ndarray]:
    import jaxnets as jn

    part = jn.data.mnist1d(valid=0).train
    return part.x, part.y


def _digits(rows: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1) / 16
    large = images.repeat(3, axis=1).repeat(3, axis=2)
    return np.pad(large, ((0, 0), (2, 2), (2, 2), (0, 0))), labels


def _objects(rows: int) -> tuple[np.ndarray, np.ndarray]:
    return _around_centres(rows, (32, 32, 3))


def _points(rows: int) -> tuple[np.ndarray, np.ndarray]:
    return _around_centres(rows, (40,))


def _around_centres(rows: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(OUTPUTS, *shape))
    labels = generator.integers(0, OUTPUTS, size=rows)
    return centres[labels] + generator.normal(size=(rows, *shape)), labels


SOURCES = {"mnist1d": _mnist1d, "digits": _digits, "objects": _objects, "points": _points}


def stored(problem: Problem, folder: Path) -> Path:
    """The data of a problem as a file, for processes that should import no more than they need."""
    path = folder / f"{problem.data}-{problem.rows}.npz"
    if not path.exists():
        x, y = arrays(problem)
        np.savez(path, x=x, y=y)
    return path


def loaded(path: str | Path) -> Arrays:
    """What `stored` wrote, which is numbers; to unpickle is to run what somebody else may have put
    into the file.
    """
    with np.load(path, allow_pickle=False) as file:
        return Arrays(file["x"], file["y"])
