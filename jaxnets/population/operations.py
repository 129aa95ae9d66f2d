"""How many floating-point operations a traced function does, whatever it is compiled to."""

import math
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from jaxnets.nn.trilinear import others, trilinear_p

MOVES = frozenset({
    "bitcast_convert_type", "broadcast_in_dim", "concatenate", "convert_element_type", "copy",
    "device_put", "dynamic_slice", "dynamic_update_slice", "gather", "iota", "optimization_barrier",
    "pad", "pcast", "pvary", "reshape", "rev", "scatter", "select_n", "slice", "sort", "split",
    "squeeze", "stack", "stop_gradient", "tile", "transpose", "unstack",
})  # fmt: skip
"""What only moves numbers, or compares them."""


def operations(jaxpr: Jaxpr) -> float:
    """Floating-point operations of a trace: two per term of a product of matrices or of a
    convolution (also at the zeros of its padding), one per number that anything else makes or sums.

    XLA counts what it has compiled, of which convolutions may be loops, and of every loop one turn.

    Args:
        jaxpr: of the function, such as ``jax.make_jaxpr(f)(x).jaxpr``.

    Returns:
        The number. Loops count as often as they turn, where the trace knows (``scan``), else once
        (``while``); of branches the longest counts.

    Example:
        >>> import jax
        >>> f = lambda x: jax.lax.scan(lambda a, _: (a @ x, None), x, length=5)[0]
        >>> operations(jax.make_jaxpr(f)(jnp.ones((4, 4))).jaxpr)
        640.0
    """
    return float(sum(_of(equation) for equation in jaxpr.eqns))


def _of(equation: Any) -> float:
    name, how = equation.primitive.name, equation.params
    inner = [operations(jaxpr) for jaxpr in _inner(how.values())]
    if inner:
        return max(inner) if name == "cond" else how.get("length", 1) * sum(inner)
    given = [variable.aval for variable in equation.invars]
    made = [variable.aval for variable in equation.outvars]
    if name == "dot_general":
        contracted = how["dimension_numbers"][0][0]
        return 2.0 * made[0].size * math.prod(given[0].shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        features = given[1].shape[how["dimension_numbers"].rhs_spec[0]]
        # The zeros that are put between the places of an input are not what anybody asked for.
        spread = math.prod(how["lhs_dilation"])
        return 2.0 * made[0].size * given[1].size / (max(1, features) * spread)
    if equation.primitive is trilinear_p:
        role, geometry = how["wanted"], how["geometry"]
        shapes = dict(zip(others(role), given, strict=True)) | {role: made[0]}
        examples = shapes["input"].shape[0]
        return 2.0 * examples * math.prod(geometry.out) * shapes["kernel"].size
    if name in MOVES or not any(jnp.issubdtype(it.dtype, jnp.floating) for it in made):
        return 0.0
    return float(max(it.size for it in (*given, *made)))


def _inner(values: Any) -> Iterator[Jaxpr]:
    """The traces within an equation."""
    for value in values:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _inner(value)
