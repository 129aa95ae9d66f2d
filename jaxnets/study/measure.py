"""What a data set is judged by, and the data made ready for it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxnets.data import Dataset, Split, load


@dataclass(frozen=True)
class Measure:
    """The number that selects on validation and is reported on test.

    Attributes:
        name: of the record, ``"accuracy"`` or ``"loss"``.
        label: for tables and figures.
        loss: what is minimised.
        rising: whether larger is better.
        scale: by which it is multiplied for display.
        unit: of the displayed number.
        unit_of_difference: of the displayed difference of two.
    """

    name: str
    label: str
    loss: str
    rising: bool
    scale: float
    unit: str
    unit_of_difference: str


ACCURACY = Measure("accuracy", "accuracy", "softmax_cross_entropy", True, 100.0, " %", " points")
LARGEST = 1e18
"""The square of ten times as much is more than float32 holds."""

SQUARED = Measure("loss", "squared error", "mean_squared_error", False, 1.0, "", "")


def measure_of(data: Dataset) -> Measure:
    """Accuracy for one label per example, squared error for numbers.

    Raises:
        ValueError: several labels per example, an unknown number of classes, targets whose square
            float32 cannot hold, or a part that the protocol needs is missing.
    """
    for name in ("valid", "test"):
        if getattr(data, name) is None:
            raise ValueError(
                f"dataset: {data.name!r} has no {name} part; rates are chosen on validation and "
                "judged on test."
            )
    if not data.is_classification:
        for name, part in data.parts().items():
            if part.in_memory and np.abs(part.y).max() > LARGEST:
                raise ValueError(
                    f"dataset: targets of {data.name!r} reach {np.abs(part.y).max():.3g} in its "
                    f"{name} part, expected at most {LARGEST:.0e}: their squared errors would be "
                    "infinite in float32. Divide them by what is usual."
                )
        return SQUARED
    if data.target_shape != ():
        raise ValueError(
            f"dataset: expected one label per example, {data.name!r} has targets of shape "
            f"{data.target_shape}."
        )
    if data.num_classes is None:
        raise ValueError(
            f"dataset: how many classes {data.name!r} has is not known, as its training rows stay "
            "on the disk; name them with classes=[...]."
        )
    return ACCURACY


def outputs_of(data: Dataset) -> int:
    """How many outputs a network needs: one per class, or one per number of a target."""
    return data.num_classes or int(np.prod(data.target_shape, dtype=int))


def load_ready(name: str) -> Dataset:
    """A data set by name or path, made ready for training.

    Inputs have mean 0 and deviation 1 over the training rows, except MNIST-1D's, which its
    generator has scaled. So have the targets of a regression: an error of 1 is that of always
    guessing the mean.

    Raises:
        FileNotFoundError, ImportError, TypeError, ValueError: see `jaxnets.data.load`; a CSV file.

    Example:
        >>> load_ready("sine").train.y.std().round(3)
        np.float32(1.0)
    """
    if name.lower().endswith(".csv"):
        raise ValueError(
            f"dataset: which column of {name} is the target? Load it with "
            "jaxnets.data.load(path, target=...), and give it to jaxnets.study.run(..., data=...)."
        )
    data: Any = load(name)
    if name != "mnist1d":  # a file may be called so as well
        data = data.standardized()
    return data if data.is_classification else _standard_targets(data)


def _standard_targets(data: Dataset) -> Dataset:
    y = data.train.y.astype(np.float64)
    mean, deviation = y.mean(axis=0), y.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)

    def change(part: Split) -> Split:
        return Split(part.x, np.asarray((part.y - mean) / deviation, np.float32), name=part.name)

    changed: dict[str, Any] = {name: change(part) for name, part in data.parts().items()}
    return replace(data, **changed)
