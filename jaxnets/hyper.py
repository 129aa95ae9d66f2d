"""Numbers that may differ from member to member: their names, defaults, bounds and checks.

A hyperparameter here is a named real number. A function declares its own in its signature; the
population then passes one number per member, traced, so that a program is compiled once for all.
"""

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import errors


@dataclass(frozen=True)
class Interval:
    """The values that a number may take.

    Attributes:
        low: smallest value, itself allowed unless ``open_low``.
        high: largest value, itself allowed unless ``open_high``.
        open_low: ``low`` itself is not allowed.
        open_high: ``high`` itself is not allowed.

    Example:
        >>> 1.0 in UNIT, 1.0 in DECAY, str(DECAY)
        (True, False, '[0, 1)')
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def __str__(self) -> str:
        left = "(" if self.open_low or self.low == -math.inf else "["
        right = ")" if self.open_high or self.high == math.inf else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


ANY = Interval()
POSITIVE = Interval(low=0.0, open_low=True)
NON_NEGATIVE = Interval(low=0.0)
AT_LEAST_ONE = Interval(low=1.0)
UNIT = Interval(low=0.0, high=1.0)
DECAY = Interval(low=0.0, high=1.0, open_high=True)

Bounds = Mapping[str, Interval]


def is_number(value: object) -> bool:
    """Whether ``value`` is one real Python or NumPy number; a bool is not.

    Args:
        value: anything.

    Returns:
        True for ``int``, ``float`` and NumPy's scalars of these kinds.

    Example:
        >>> is_number(0.1), is_number(3), is_number(True), is_number("0.1")
        (True, True, False, False)
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_number(name: str, value: object, interval: Interval = ANY, where: str = "") -> float:
    """The number as a Python float, if it is one and lies within its bounds.

    Args:
        name: the argument's name, for the message.
        value: a Python or NumPy real number, or a concrete array of shape ().
        interval: the values allowed; infinities and NaN never are.
        where: put before the message, for example ``"member 3: "``.

    Returns:
        ``value`` as a float; of float32 and float16 the shortest decimal that is rounded to it.

    Raises:
        TypeError: ``value`` is not one concrete real number.
        ValueError: ``value`` is not finite or lies outside the interval, as it is or rounded to
            float32.

    Example:
        >>> check_number("momentum", 1.5, DECAY, where="member 3: ")
        Traceback (most recent call last):
        ...
        ValueError: member 3: momentum: expected a finite number in [0, 1), got 1.5.
    """
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{where}{name}: expected a concrete number, got a traced one of shape {value.shape}. "
            "Give traced numbers when the finished object is called, not when it is constructed."
        )
    if isinstance(value, np.ndarray | jax.Array) and value.shape == () and value.dtype.kind != "b":
        value = np.asarray(value)[()]
    if isinstance(value, np.floating) and value.itemsize < 8:
        value = float(str(value))  # 0.1, whose float32 is a bit more, and is the same float32
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{where}{name}: expected a real number, got {value!r:.80}.")
    try:
        number = float(value)
    except OverflowError:  # an integer of more than three hundred digits
        number = math.inf
    with np.errstate(over="ignore"):
        single = float(np.float32(number))  # as it is going to be used
    if not math.isfinite(single) or number not in interval or single not in interval:
        rounded = "" if single == number or number not in interval else f", {single:g} in float32"
        raise ValueError(
            f"{where}{name}: expected a finite number in {interval}, got {number:.8g}{rounded}."
        )
    return number


def check_numbers(
    owner: str,
    defaults: Mapping[str, float],
    bounds: Bounds,
    given: Mapping[str, object],
    where: str = "",
) -> dict[str, float]:
    """Check concrete numbers, for example one member's, before anything is compiled.

    Args:
        owner: whose numbers they are, for the message, for example ``"adam"``.
        defaults: the names that the owner has.
        bounds: the interval of a name; a name without one may be any finite number.
        given: names and values to check; it need not be complete.
        where: put before the message.

    Returns:
        The given numbers as floats.

    Raises:
        TypeError: a value is not one concrete real number.
        ValueError: an unknown name, or a value outside its bounds.

    Example:
        >>> check_numbers("adam", {"b1": 0.9}, {"b1": DECAY}, {"b_1": 0.5})
        Traceback (most recent call last):
        ...
        ValueError: hyperparameter of adam: unknown name 'b_1'. Did you mean 'b1'? Known: b1.
    """
    for name in given:
        if name not in defaults:
            raise errors.unknown_name(f"{where}hyperparameter of {owner}", name, defaults)
    return {k: check_number(k, v, bounds.get(k, ANY), where) for k, v in given.items()}


def fill(
    owner: str, defaults: Mapping[str, float], bounds: Bounds, given: Mapping[str, Any]
) -> dict[str, jax.Array]:
    """All numbers of the owner as scalar arrays: those given, and defaults for the rest.

    A default becomes an array of the same dtype as a given number, so that a single run and a
    population compute the same bits (optax, for one, computes ``1 - decay`` in Python for a Python
    number and in float32 for an array).

    Args:
        owner: whose numbers they are, for the message.
        defaults: every name with its default.
        bounds: intervals by name, checked for the values that are not arrays.
        given: numbers, or arrays of shape (), traced or not.

    Returns:
        One floating array of shape () for each name in ``defaults``, in its order.

    Raises:
        TypeError: a value is neither a number nor an array.
        ValueError: an unknown name, a number outside its bounds, an array that is not a scalar.

    Example:
        >>> fill("adam", {"b1": 0.9, "b2": 0.999}, {}, {"b1": 0.5})
        {'b1': Array(0.5, dtype=float32), 'b2': Array(0.999, dtype=float32)}
    """
    concrete = {k: v for k, v in given.items() if not isinstance(v, jax.Array)}
    check_numbers(owner, defaults, bounds, concrete)
    filled = {}
    for name, value in {**defaults, **given}.items():
        if name not in defaults:
            raise errors.unknown_name(f"hyperparameter of {owner}", name, defaults)
        if jnp.shape(value) != ():
            raise ValueError(
                f"{name}: expected a scalar, got shape {jnp.shape(value)}. One number per member: "
                "map the function that builds from it (jax.vmap) over the numbers."
            )
        filled[name] = jnp.asarray(value, dtype=jnp.float32)
    return filled


def hyperparameters(fn: Callable[..., Any]) -> dict[str, float]:
    """The numbers that a function declares: its keyword-only arguments and their defaults.

    Args:
        fn: a function, partial or callable object.

    Returns:
        Names and defaults, in the order of the signature.

    Raises:
        TypeError: a keyword-only argument has no default, or one that is not a real number.

    Example:
        >>> def tilted(outputs, batch, *, tilt=1.0): ...
        >>> hyperparameters(tilted)
        {'tilt': 1.0}
    """
    declared = _declared if isinstance(fn, Hashable) else _declared.__wrapped__
    return dict(declared(fn))


# Asked several times for every member of a population.
@functools.lru_cache(maxsize=64)
def _declared(fn: Callable[..., Any]) -> tuple[tuple[str, float], ...]:
    found = {}
    for name, parameter in inspect.signature(fn).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if not is_number(parameter.default):
            shown = (
                "none" if parameter.default is inspect.Parameter.empty else repr(parameter.default)
            )
            raise TypeError(
                f"{name}: a keyword-only argument of {label(fn)} is a hyperparameter and needs a "
                f"real number as its default, got {shown}. Bind other settings with a closure."
            )
        found[name] = float(parameter.default)
    return tuple(found.items())


def signature_numbers(fn: Callable[..., Any], given: Mapping[str, object]) -> dict[str, float]:
    """The numbers among all arguments of a function that was not written for this package.

    Args:
        fn: a function of numbers; positional arguments count as well as keyword-only ones.
        given: defaults for arguments that have none, or others for those that have.

    Returns:
        Names and defaults. Arguments whose default is not a number are left alone.

    Raises:
        TypeError: an argument has no default and none is given, or one given is not a number.
        ValueError: a name is given that is not an argument.

    Example:
        >>> signature_numbers(lambda rate, b1=0.9, dtype=None: None, {"rate": 0.1})
        {'rate': 0.1, 'b1': 0.9}
    """
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = {
        k: p for k, p in inspect.signature(fn).parameters.items() if p.kind not in skipped
    }
    found = {}
    for name, parameter in parameters.items():
        if name in given:
            found[name] = check_number(name, given[name])
        elif parameter.default is inspect.Parameter.empty:
            raise TypeError(
                f"{name}: {label(fn)} has no default for this argument; every number of an "
                f"optimizer needs one: give {name}=<number>, or wrap it in a function that does."
            )
        elif is_number(parameter.default):
            found[name] = float(parameter.default)
    for name in given:
        if name not in found:
            raise errors.unknown_name(f"hyperparameter of {label(fn)}", name, parameters)
    return found


def label(fn: Callable[..., Any]) -> str:
    """A short name of a callable for messages.

    Args:
        fn: any callable.

    Returns:
        Its ``__name__``, that of the function inside a partial, or the name of its class.

    Example:
        >>> label(print)
        'print'
    """
    inner = getattr(fn, "func", fn)
    return str(getattr(inner, "__name__", type(fn).__name__))
