"""Members of different widths in one program: which, how, and the way back to the true network.

A module that can be padded has a method ``padded() -> (module, numbers)``: a wider network, and
the numbers among its hyperparameters that make it this one; or, in words, what forbids it. What
is decided here depends on the member alone, so that its neighbours do not change its bits.
"""

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import rng
from jaxnets.network import Network, as_network
from jaxnets.train import Recipe

ZEROS_STAY: dict[str, bool] = {
    "sgd": False,
    "momentum": False,
    "nesterov": False,
    "adagrad": True,
    "rmsprop": True,
    "adam": True,
    "adamw": True,
}
"""Optimizers that leave a parameter of zero alone whose gradient is zero, and treat no parameter
by the size or the shape of its array; and whether that takes an ``eps`` above zero."""


class Shared(NamedTuple):
    """How a member is to be trained.

    Attributes:
        recipe: its own, or that of the wider network.
        numbers: what the wider network needs to be its own.
        reason: why it is its own; empty if it is not.
    """

    recipe: Recipe
    numbers: dict[str, float]
    reason: str


def share(recipe: Recipe, numbers: Mapping[str, float]) -> Shared:
    """A program that other widths use, too, if there is an exact one.

    Args:
        recipe: the static half of a member.
        numbers: all its numbers.

    Returns:
        How it is to be trained.

    Example:
        >>> import jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([9], outputs=3), loss="softmax_cross_entropy")
        >>> share(recipe, recipe.defaults).numbers
        {'units_0': 9.0}
        >>> share(recipe, {**recipe.defaults, "eps": 0.0}).reason
        'adam with an eps of 0 divides zero by zero'
    """
    # JAX's own setting is part of what is remembered: there is no padding without it.
    found = _padded(recipe.network, jax.config.values["jax_threefry_partitionable"])
    if isinstance(found, str):
        return Shared(recipe, {}, found)
    wider, units = found
    forbidden = _optimizer(recipe, numbers)
    if not forbidden and not units.keys().isdisjoint(numbers):
        forbidden = f"one of its hyperparameters has a name of {', '.join(units)}"
    if forbidden:
        return Shared(recipe, {}, forbidden)
    return Shared(replace(recipe, network=wider), units, "")


def trimmed(network: Network, trained: Network, shape: tuple[int, ...], weights: Any) -> Any:
    """The part of a padded network's weights that is the true network's.

    Args:
        network: the true network.
        trained: the wider one, or ``network`` itself.
        shape: of one input.
        weights: parameters and other collections of ``trained``.

    Returns:
        Parameters and other collections of ``network``.

    Example:
        >>> import jaxnets as jn
        >>> true, wider = (jn.from_linen(jn.nn.MLP([width], outputs=1)) for width in (2, 4))
        >>> weights = wider.init(jax.random.key(0), jnp.ones((1, 3)))
        >>> params, _ = trimmed(true, wider, (3,), weights)
        >>> params["Dense_0"]["kernel"].shape
        (3, 2)
    """
    if trained == network:
        return weights
    leaves = dict(jax.tree_util.tree_leaves_with_path(tuple(weights)))
    return jax.tree_util.tree_map_with_path(
        lambda path, true: leaves[path][tuple(slice(n) for n in true.shape)],
        _shapes(network, shape),
    )


def kernel_entries(network: Network, shape: tuple[int, ...]) -> int:
    """Entries of all kernels of a dense network: multiplications per example in one direction."""
    leaves = jax.tree.leaves(_shapes(network, shape)[0])
    return sum(leaf.size for leaf in leaves if len(leaf.shape) > 1)


@functools.lru_cache(maxsize=1024)
def _padded(network: Network, partitionable: bool) -> tuple[Network, dict[str, float]] | str:
    method = getattr(network.module, "padded", None)
    if method is None:
        return f"{network.name.partition('(')[0]} cannot be padded"
    found = method()
    return found if isinstance(found, str) else (as_network(found[0]), found[1])


def _optimizer(recipe: Recipe, numbers: Mapping[str, float]) -> str:
    """What is against this optimizer."""
    structure = recipe.optimizer.structure
    name = structure[0] if isinstance(structure, tuple) and structure else None
    if name not in ZEROS_STAY:
        return f"{recipe.optimizer.name} is not known to leave zeros alone"
    tiny = float(np.finfo(np.float32).tiny)
    if ZEROS_STAY[str(name)] and max(numbers["eps"], numbers.get("eps_root", 0.0)) < tiny:
        return f"{name} with an eps of {numbers['eps']:g} divides zero by zero"
    return ""


@functools.lru_cache(maxsize=1024)
def _shapes(network: Network, shape: tuple[int, ...]) -> Any:
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return tuple(jax.eval_shape(network.init, rng.abstract_key(), x))
