"""Standardisation: a mean and a deviation, fitted on training rows, applied to any rows."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from jaxnets.errors import unknown_name

Axis = Literal["feature", "channel", "global"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """``(x - mean) / std`` and its inverse.

    Attributes:
        mean: float64, of the shape that ``axis`` asks for: ``x.shape[1:]`` for ``"feature"``,
            ``(channels,)`` for ``"channel"``, ``()`` for ``"global"``.
        std: float64, same shape, all positive: the population deviation (divided by n); 1 where
            the training rows were constant.
        axis: what shares one mean and deviation.
    """

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    axis: Axis = "feature"

    def apply(self, x: Any) -> npt.NDArray[np.float32]:
        """Standardise rows.

        Args:
            x: ``(n, ...)`` with the trailing shape that was fitted.

        Returns:
            float32 of the same shape; the arithmetic is done in float64.

        Example:
            >>> fit_scaling(np.array([[1.0], [3.0]])).apply([[1.0], [5.0]]).tolist()
            [[-1.0], [3.0]]
        """
        with np.errstate(over="ignore"):
            x = np.asarray(x, np.float32)  # as the training rows were, before they were scaled
        x = self._checked(x)
        return ((x - self.mean) / self.std).astype(np.float32)

    def invert(self, x: Any) -> npt.NDArray[np.float32]:
        """The rows in their original units.

        Args:
            x: ``(n, ...)``, standardised.

        Returns:
            float32 of the same shape.

        Example:
            >>> fit_scaling(np.array([[1.0], [3.0]])).invert([[-1.0], [3.0]]).tolist()
            [[1.0], [5.0]]
        """
        x = self._checked(x)
        return (x * self.std + self.mean).astype(np.float32)

    def _checked(self, x: Any) -> npt.NDArray[np.float64]:
        x = np.asarray(x, np.float64)
        expected = self.mean.shape
        if x.ndim < 1 + self.mean.ndim or x.shape[x.ndim - self.mean.ndim :] != expected:
            raise ValueError(
                f"x: expected rows that end in {expected}, as fitted per {self.axis}, "
                f"got shape {x.shape}."
            )
        return x


def fit_scaling(x: Any, axis: Axis | None = None) -> Scaling:
    """Mean and deviation of training rows, accumulated in float64.

    Args:
        x: training inputs ``(n, ...)``.
        axis: ``"feature"`` (every position its own), ``"channel"`` (one per entry of the last
            axis) or ``"global"`` (one for all); by default ``"feature"`` for ``(n, features)`` and
            ``"global"`` for signals and images, whose positions are alike.

    Returns:
        The ``Scaling``. Constant features get the deviation 1, so they become 0.

    Raises:
        ValueError: an unknown ``axis``.

    Example:
        >>> scaling = fit_scaling(np.array([[1.0, 7.0], [3.0, 7.0]]))
        >>> scaling.mean.tolist(), scaling.std.tolist()
        ([2.0, 7.0], [1.0, 1.0])
    """
    x = np.asarray(x)
    if axis is None:
        axis = "feature" if x.ndim == 2 else "global"
    if axis not in get_args(Axis):
        raise unknown_name("axis", axis, get_args(Axis))
    axes = {
        "feature": (0,),
        "channel": tuple(range(x.ndim - 1)),
        "global": tuple(range(x.ndim)),
    }[axis]
    mean = np.asarray(np.mean(x, axis=axes, dtype=np.float64))
    std = np.asarray(np.std(x, axis=axes, dtype=np.float64))
    # Compared in x's own precision: a rounded mean leaves a constant column a tiny deviation.
    constant = np.asarray(x.max(axis=axes) == x.min(axis=axes))
    std = np.where(constant | (std == 0), 1.0, std)
    for array in (mean, std):
        array.flags.writeable = False
    return Scaling(mean, std, axis)
