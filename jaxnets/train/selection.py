"""Which weights of a run are kept, and when it stops: decided on validation, per member."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.data import Batch
from jaxnets.network import Collections, Params
from jaxnets.train.evaluate import evaluate
from jaxnets.train.recipe import Hyper, Recipe
from jaxnets.train.state import Fault, TrainState


class Best(NamedTuple):
    """The best weights so far.

    Attributes:
        params, collections: the network then.
        value: what ``monitor`` was, float32.
        epoch: epochs completed then, int32; 0 for the initial weights, which are never measured.
    """

    params: Params
    collections: Collections
    value: jax.Array
    epoch: jax.Array


class Run(NamedTuple):
    """A training state and what has been decided about it.

    Attributes:
        train: the state of the optimizer.
        best: the best weights, or ``None`` if the last ones are kept.
        epoch: epochs completed, int32.
        stopped: patience has run out, bool.
    """

    train: TrainState
    best: Best | None
    epoch: jax.Array
    stopped: jax.Array

    @property
    def active(self) -> jax.Array:
        """Whether training goes on: neither diverged nor stopped."""
        return (self.train.fault == Fault.NONE) & ~self.stopped

    @property
    def kept(self) -> tuple[Params, Collections]:
        """The weights that count."""
        source = self.train if self.best is None else self.best
        return source.params, source.collections


def begin(recipe: Recipe, state: TrainState) -> Run:
    """A run before its first epoch."""
    best = None
    if recipe.keep == "best" or recipe.patience is not None:
        worst = jnp.float32(-jnp.inf if recipe.maximized else jnp.inf)
        best = Best(state.params, state.collections, worst, jnp.int32(0))
    return Run(state, best, jnp.int32(0), jnp.bool_(False))


def measure(
    recipe: Recipe,
    state: TrainState,
    hyper: Hyper,
    training: dict[str, jax.Array],
    valid: Batch | None,
) -> dict[str, jax.Array]:
    """The record of an epoch: its training means and the measures on the validation part."""
    record = {f"train_{name}": value for name, value in training.items()}
    if valid is not None:
        measured = evaluate(recipe, state.params, state.collections, hyper, valid)
        record |= {f"valid_{name}": value for name, value in measured.items()}
    return record


def decide(recipe: Recipe, run: Run, record: dict[str, jax.Array]) -> Run:
    """Keep the weights if they are the best so far; stop if patience has run out.

    Nothing changes for a run that is no longer active.
    """
    if run.best is None:
        return run
    value = record[recipe.monitor]
    better = value > run.best.value if recipe.maximized else value < run.best.value
    better = better & run.active
    now = Best(run.train.params, run.train.collections, value, run.epoch)
    best = jax.tree.map(lambda a, b: jnp.where(better, a, b), now, run.best)
    stopped = run.stopped
    if recipe.patience is not None:
        stopped = stopped | (run.active & (run.epoch - best.epoch >= recipe.patience))
    return run._replace(best=best, stopped=stopped)
