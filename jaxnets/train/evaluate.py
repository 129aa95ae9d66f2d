"""Loss and metrics over a whole part of the data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnets.data import Batch
from jaxnets.network import Collections, Network, Params
from jaxnets.train.measures import loss_values, metric_values
from jaxnets.train.recipe import Hyper, Recipe

CHUNK = 1000
"""Examples that go through the network at once; a constant, so that results never depend on it."""


def evaluate(
    recipe: Recipe, params: Params, collections: Collections, hyper: Hyper, data: Batch
) -> dict[str, jax.Array]:
    """The means of the loss and of every metric over all examples, in evaluation mode.

    Args:
        recipe: the static half of the run.
        params: the parameters.
        collections: the network's other collections.
        hyper: the run's numbers, for the loss.
        data: all examples of one part.

    Returns:
        Scalars by name: ``{"loss": ..., "accuracy": ...}``.

    Example:
        >>> import jax, jax.numpy as jnp, jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy")
        >>> data = jn.data.Batch(jnp.ones((10, 5)), jnp.zeros(10, jnp.int32))
        >>> params, rest = recipe.network.init(jax.random.key(0), data.x)
        >>> sorted(evaluate(recipe, params, rest, recipe.defaults, data))
        ['accuracy', 'loss']
    """

    def sums(chunk: Batch) -> dict[str, jax.Array]:
        outputs, _ = recipe.network.apply(params, collections, chunk.x, key=None, train=False)
        values = {"loss": loss_values(recipe, hyper, outputs, chunk)}
        return jax.tree.map(jnp.sum, values | metric_values(recipe, outputs, chunk))

    whole, rest = over_chunks(sums, data)
    totals = jax.tree.map(lambda a: jnp.sum(a, axis=0), whole) if whole is not None else None
    if rest is not None:
        totals = rest if totals is None else jax.tree.map(jnp.add, totals, rest)
    return jax.tree.map(lambda total: total / data.x.shape[0], totals)


def predict(network: Network, params: Params, collections: Collections, x: jax.Array) -> Any:
    """The outputs for all inputs, in evaluation mode.

    Args:
        network: the pure pair.
        params: the parameters.
        collections: the network's other collections.
        x: ``(n, ...)``.

    Returns:
        The outputs, ``(n, ...)``.

    Example:
        >>> import jax, jax.numpy as jnp, jaxnets as jn
        >>> network = jn.from_linen(jn.nn.MLP([8], outputs=3))
        >>> params, rest = network.init(jax.random.key(0), jnp.ones((1, 5)))
        >>> predict(network, params, rest, jnp.ones((1200, 5))).shape
        (1200, 3)
    """
    whole, rest = over_chunks(
        lambda chunk: network.apply(params, collections, chunk, key=None, train=False)[0], x
    )
    parts = [] if whole is None else [jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), whole)]
    parts += [] if rest is None else [rest]
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)


def over_chunks(function: Callable[[Any], Any], data: Any) -> tuple[Any, Any]:
    """``function`` of every whole chunk, stacked, and of the rest; ``None`` for what is empty."""
    n = jax.tree.leaves(data)[0].shape[0]
    whole, rest = divmod(n, CHUNK)
    first, last = None, None
    if whole:
        chunks = jax.tree.map(
            lambda a: a[: whole * CHUNK].reshape(whole, CHUNK, *a.shape[1:]), data
        )
        first = jax.lax.map(function, chunks)
    if rest:
        last = function(jax.tree.map(lambda a: a[whole * CHUNK :], data))
    return first, last
