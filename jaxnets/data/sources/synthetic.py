"""Small made-up problems for examples, drawn from a key."""

import jax
import numpy as np
import numpy.typing as npt

from jaxnets.data.dataset import Dataset
from jaxnets.data.order import philox
from jaxnets.data.splits import from_arrays

F64 = npt.NDArray[np.float64]


def _checked(samples: int, least: int, noise: float) -> None:
    if isinstance(samples, bool) or not isinstance(samples, (int, np.integer)):
        raise TypeError(f"samples: expected an integer, got {samples!r}.")
    if samples < least:
        raise ValueError(f"samples: expected at least {least}, got {samples}.")
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise: expected a number of 0 or more, got {noise!r}.")


def spirals(
    samples: int = 1000,
    *,
    key: jax.Array | None = None,
    classes: int = 2,
    turns: float = 1.5,
    noise: float = 0.03,
    valid: float | None = 0.15,
    test: float | None = 0.15,
) -> Dataset:
    """Spirals wound around one another: no line separates them.

    Args:
        samples: how many points in all, dealt to the arms in turn.
        key: a typed key for points, noise and split; None is the constant ``jax.random.key(0)``.
        classes: how many arms.
        turns: how often each arm goes round.
        noise: deviation of the noise on both coordinates; the outer radius is 1.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.

    Returns:
        A ``Dataset`` with ``x`` ``(n, 2)`` and one label per arm.

    Raises:
        ValueError: fewer than two arms, fewer points than arms, negative noise.

    Example:
        >>> spirals(100, classes=3)
        Dataset('spirals': train 70, valid 15, test 15; x (2,) float32; y 3 classes)
    """
    if isinstance(classes, bool) or not isinstance(classes, (int, np.integer)):
        raise TypeError(f"classes: expected an integer, got {classes!r}.")
    if classes < 2:
        raise ValueError(f"classes: expected at least 2, got {classes}.")
    _checked(samples, classes, noise)
    rng = np.random.Generator(philox(key, "spirals"))
    y = np.arange(samples) % classes
    # The square root spreads the points evenly along the arm, which is longer outside.
    radius = np.sqrt(rng.uniform(0.01, 1.0, samples))
    angle = 2 * np.pi * (turns * radius + y / classes)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    x += noise * rng.standard_normal(x.shape)
    return _made(x, y, key, valid, test, "spirals", tuple(f"arm {i}" for i in range(classes)))


def moons(
    samples: int = 1000,
    *,
    key: jax.Array | None = None,
    noise: float = 0.1,
    valid: float | None = 0.15,
    test: float | None = 0.15,
) -> Dataset:
    """Two half circles that reach into one another.

    Args:
        samples: how many points in all, half of them in each.
        key: a typed key for points, noise and split; None is the constant ``jax.random.key(0)``.
        noise: deviation of the noise on both coordinates; the circles have radius 1.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.

    Returns:
        A ``Dataset`` with ``x`` ``(n, 2)`` and labels 0 and 1.

    Raises:
        ValueError: fewer than two points, negative noise.

    Example:
        >>> moons(20)
        Dataset('moons': train 14, valid 3, test 3; x (2,) float32; y 2 classes)
    """
    _checked(samples, 2, noise)
    rng = np.random.Generator(philox(key, "moons"))
    y = np.arange(samples) % 2
    angle = rng.uniform(0, np.pi, samples)
    upper: F64 = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = np.where(y[:, None] == 0, upper, np.array([[1.0, 0.5]]) - upper)
    x = x + noise * rng.standard_normal(x.shape)
    return _made(x, y, key, valid, test, "moons", ("upper", "lower"))


def sine(
    samples: int = 500,
    *,
    key: jax.Array | None = None,
    periods: float = 2.0,
    noise: float = 0.1,
    valid: float | None = 0.15,
    test: float | None = 0.15,
) -> Dataset:
    """A noisy sine on [-1, 1]: regression in one dimension.

    Args:
        samples: how many points.
        key: a typed key for points, noise and split; None is the constant ``jax.random.key(0)``.
        periods: how many periods the interval holds.
        noise: deviation of the noise on the target.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.

    Returns:
        A ``Dataset`` with ``x`` and float32 targets ``(n, 1)``.

    Raises:
        ValueError: fewer than one point, negative noise.

    Example:
        >>> sine(20)
        Dataset('sine': train 14, valid 3, test 3; x (1,) float32; y (1,) float32)
    """
    _checked(samples, 1, noise)
    rng = np.random.Generator(philox(key, "sine"))
    x = rng.uniform(-1, 1, (samples, 1))
    y = np.sin(np.pi * periods * x) + noise * rng.standard_normal(x.shape)
    return _made(x, y, key, valid, test, "sine", None)


def _made(
    x: F64,
    y: npt.NDArray[np.generic],
    key: jax.Array | None,
    valid: float | None,
    test: float | None,
    name: str,
    classes: tuple[str, ...] | None,
) -> Dataset:
    return from_arrays(
        x, y, key=key, valid=valid, test=test, name=name, classes=classes, source="made from a key"
    )
