"""The loss and the metrics of a recipe on one batch: one number per example, and nothing else."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnets import hyper as hyper_table
from jaxnets import losses
from jaxnets.data import Batch
from jaxnets.numerics import at_least_float32
from jaxnets.train.recipe import Hyper, Recipe


def loss_values(recipe: Recipe, hyper: Hyper, outputs: Any, batch: Batch) -> jax.Array:
    """The loss of every example, with its own share of the run's numbers.

    Args:
        recipe: the static half of the run.
        hyper: the run's numbers.
        outputs: of the network for ``batch``.
        batch: the examples.

    Returns:
        ``(batch,)``, at least float32.

    Raises:
        ValueError: the loss does not return one number per example: its mean would be right in
            training and wrong wherever examples are added up over batches.

    Example:
        >>> import jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([8], outputs=2), loss="mean_squared_error")
        >>> print(loss_values(recipe, {}, jnp.ones((3, 2)), Batch(None, jnp.zeros((3, 2)))))
        [1. 1. 1.]
    """
    own = {name: hyper[name] for name in losses.hyperparameters(recipe.loss)}
    values = recipe.loss(outputs, batch, **own)
    return _one_per_example(f"loss: {hyper_table.label(recipe.loss)}", values, batch)


def metric_values(recipe: Recipe, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
    """Every metric of every example, by name.

    Args:
        recipe: the static half of the run.
        outputs: of the network for ``batch``.
        batch: the examples.

    Returns:
        Arrays of shape ``(batch,)``, at least float32.

    Raises:
        ValueError: a metric does not return one number per example.

    Example:
        >>> import jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([8], outputs=2), loss="softmax_cross_entropy")
        >>> print(metric_values(recipe, jnp.eye(2), Batch(None, jnp.array([0, 0])))["accuracy"])
        [1. 0.]
    """
    return {
        name: _one_per_example(f"metrics: {name}", metric(outputs, batch), batch)
        for name, metric in recipe.metrics
    }


def _one_per_example(name: str, values: Any, batch: Batch) -> jax.Array:
    expected = jnp.shape(batch.y)[:1]
    if jnp.shape(values) != expected:
        raise ValueError(
            f"{name}: expected one number per example, shape {expected}, "
            f"got shape {jnp.shape(values)}."
        )
    return at_least_float32(values)  # sums over many examples, whatever a network computes in
