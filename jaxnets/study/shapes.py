"""Fully connected networks of equal size: how wide each must be for its depth."""

import bisect
import itertools
import numbers
from collections.abc import Sequence


def mlp_parameters(inputs: int, widths: Sequence[int], outputs: int) -> int:
    """How many parameters a fully connected network has, biases included.

    Args:
        inputs: numbers per example.
        widths: units of each hidden layer, the first one first; none for a linear model.
        outputs: numbers that come out.

    Returns:
        The sum of ``(a + 1) * b`` over neighbouring layers of ``a`` and ``b`` units.

    Raises:
        TypeError: a size that is no integer.
        ValueError: a size below 1.

    Example:
        >>> mlp_parameters(40, [100, 100], 10)
        15210
    """
    sizes = [
        _positive("inputs", inputs),
        *(_positive(f"widths[{i}]", width) for i, width in enumerate(widths)),
        _positive("outputs", outputs),
    ]
    return sum((a + 1) * b for a, b in itertools.pairwise(sizes))


def equal_parameters(
    budget: int, depths: Sequence[int], inputs: int, outputs: int
) -> list[tuple[int, int]]:
    """The width at which a network of each depth comes nearest to a number of parameters.

    Args:
        budget: how many parameters each network should have, biases included.
        depths: numbers of hidden layers, all of a network's as wide as each other.
        inputs: numbers per example.
        outputs: numbers that come out.

    Returns:
        One pair ``(depth, width)`` per depth, in the order given. Of two widths that are equally
        near, the smaller one.

    Raises:
        TypeError: a number that is no integer.
        ValueError: a number below 1, no depth or one that comes twice, or a budget below what the
            depth needs with one unit per layer.

    Source: the sizes of Prince, Understanding Deep Learning (2023), figure 20.2.

    Example:
        >>> equal_parameters(15_200, [1, 2, 3, 4], inputs=40, outputs=10)
        [(1, 298), (2, 100), (3, 75), (4, 63)]
    """
    budget = _positive("budget", budget)
    chosen = [_positive(f"depths[{i}]", depth) for i, depth in enumerate(depths)]
    if not chosen:
        raise ValueError("depths: expected at least one depth, got none.")
    for depth in chosen:
        if chosen.count(depth) > 1:
            raise ValueError(f"depths: expected different depths, got {depth} more than once.")
    return [(depth, _width(budget, depth, inputs, outputs)) for depth in chosen]


def _width(budget: int, depth: int, inputs: int, outputs: int) -> int:
    def parameters(width: int) -> int:
        return mlp_parameters(inputs, [width] * depth, outputs)

    least = parameters(1)
    if least > budget:
        raise ValueError(
            f"budget: {depth} hidden layers between {inputs} inputs and {outputs} outputs need "
            f"at least {least:,} parameters, got {budget:,}."
        )
    # The first width above the budget, and the one before it: the count grows with the width.
    above = bisect.bisect_right(range(budget + 2), budget, lo=1, key=parameters)
    return min(above - 1, above, key=lambda width: abs(parameters(width) - budget))


def _positive(argument: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{argument}: expected an integer, got {type(value).__name__} {value!r}.")
    if value < 1:
        raise ValueError(f"{argument}: expected at least 1, got {value}.")
    return int(value)
