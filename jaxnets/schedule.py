"""What one schedule is. The schedules themselves are in :mod:`jaxnets.schedules`."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import hyper

Factor = Callable[..., jax.Array]


@dataclass(frozen=True)
class Schedule:
    """A factor of the learning rate with named numbers.

    Attributes:
        structure: what the program looks like, the numbers left out; hashable. Schedules of equal
            structure share a compilation.
        defaults: names and values of the numbers.
        fn: ``(step, **numbers) -> factor``, given every number.
        bounds: the values that each number may take.

    Example:
        >>> half = as_schedule(lambda step, *, halflife=10.0: 0.5 ** (step / halflife))
        >>> print(half(10), half(10, halflife=5.0))
        0.5 0.25
    """

    structure: Hashable
    defaults: tuple[tuple[str, float], ...]
    fn: Factor = field(compare=False, repr=False)
    bounds: Mapping[str, hyper.Interval] = field(compare=False, repr=False, default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called, with what it has inside.

        Example:
            >>> from jaxnets import schedules
            >>> schedules.warmup(schedules.cosine(100), 10).name
            'warmup cosine'
        """
        return " ".join(_words(self.structure))

    def __call__(self, step: int | jax.Array, **numbers: Any) -> jax.Array:
        """The factor at one step.

        Args:
            step: the index of the update, a scalar, traced or not.
            **numbers: scalars, traced or not; those left out have their defaults.

        Returns:
            A float32 scalar.

        Raises:
            TypeError: a number is not a scalar number.
            ValueError: an unknown name or a value out of bounds.
        """
        filled = hyper.fill(str(self.structure), dict(self.defaults), self.bounds, numbers)
        return jnp.asarray(self.fn(jnp.asarray(step, dtype=float), **filled), dtype=float)


def _words(structure: Hashable) -> Iterator[str]:
    if isinstance(structure, str):
        yield structure
    elif isinstance(structure, tuple):
        for part in structure:
            yield from _words(part)


def as_schedule(schedule: Schedule | Callable[..., Any]) -> Schedule:
    """A schedule from a function of the step.

    Args:
        schedule: a schedule, or a function ``(step, *, numbers) -> factor`` whose keyword-only
            arguments with numeric defaults are its numbers. Optax's schedules are functions
            without numbers; their value multiplies the learning rate, so start them at 1.

    Returns:
        The schedule. Only the same function has the same structure.

    Raises:
        TypeError: not callable, or a keyword-only argument without a numeric default.

    Example:
        >>> print(as_schedule(lambda step, *, slope=0.1: 1.0 - slope * step)(5, slope=0.2))
        0.0
    """
    if isinstance(schedule, Schedule):
        return schedule
    if not callable(schedule):
        raise TypeError(
            "schedule: expected a jaxnets.schedules.Schedule or a function of the step, "
            f"got {schedule!r:.80}."
        )
    defaults = tuple(hyper.hyperparameters(schedule).items())
    return Schedule((hyper.label(schedule), schedule), defaults, schedule)


def numbered(
    structure: Hashable,
    factor: Factor,
    numbers: Mapping[str, tuple[float, hyper.Interval]],
) -> Schedule:
    """A schedule from a function and its numbers, checked.

    Args:
        structure: equal only if ``factor`` computes the same.
        factor: ``(step, **numbers) -> factor``.
        numbers: by name, the value and the interval in which it must lie.

    Returns:
        The schedule.

    Raises:
        TypeError: a value is not a number.
        ValueError: a value is out of bounds.

    Example:
        >>> numbered("power", lambda step, *, p: step**p, {"p": (2, hyper.POSITIVE)}).defaults
        (('p', 2.0),)
    """
    checked = {k: hyper.check_number(k, v, interval) for k, (v, interval) in numbers.items()}
    bounds = {k: interval for k, (_, interval) in numbers.items()}
    return Schedule(structure, tuple(checked.items()), factor, bounds)


def merge(owner: str, numbers: Mapping[str, float], schedule: Schedule) -> dict[str, float]:
    """The numbers of an owner and of the schedule inside it.

    Args:
        owner: for the message.
        numbers: the owner's names and values.
        schedule: the schedule.

    Returns:
        Both together.

    Raises:
        ValueError: a name that both have.

    Example:
        >>> merge("adam", {"b1": 0.9}, as_schedule(lambda step, *, b1=1.0: b1))
        Traceback (most recent call last):
        ...
        ValueError: schedule: adam already has a number called 'b1'; rename the schedule's.
    """
    for name, _ in schedule.defaults:
        if name in numbers:
            raise ValueError(
                f"schedule: {owner} already has a number called {name!r}; rename the schedule's."
            )
    return {**numbers, **dict(schedule.defaults)}
