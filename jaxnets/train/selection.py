"""Which weights of a run are kept, and when it stops: decided on validation, per member."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.data import Batch
from jaxnets.network import Collections, Params
from jaxnets.train.evaluate import evaluate
from jaxnets.train.recipe import Hyper, Recipe
from jaxnets.train.state import Fault, TrainState


class Best(NamedTuple):
    """The best record so far.

    Attributes:
        value: what ``monitor`` was, float32.
        epoch: epochs completed then, int32; 0 for the initial weights, which are never measured.
        weights: parameters and other collections then; ``None`` if the last ones are kept and
            the best record only decides when to stop.
    """

    value: jax.Array
    epoch: jax.Array
    weights: tuple[Params, Collections] | None


class Run(NamedTuple):
    """A training state and what has been decided about it.

    Attributes:
        train: the state of the optimizer.
        best: the best record, or ``None`` if nothing depends on it.
        epoch: epochs completed, int32.
        stopped: patience has run out, bool.
        records: of the steps of the epoch under way so far, ``(steps,)`` by name, where a run may
            be left within an epoch; ``None`` where epochs are whole.
    """

    train: TrainState
    best: Best | None
    epoch: jax.Array
    stopped: jax.Array
    records: Any = None

    @property
    def active(self) -> jax.Array:
        """Whether training goes on: neither diverged nor stopped."""
        return (self.train.fault == Fault.NONE) & ~self.stopped

    @property
    def kept(self) -> tuple[Params, Collections]:
        """The weights that count."""
        if self.best is None or self.best.weights is None:
            return self.train.params, self.train.collections
        return self.best.weights

    @property
    def kept_epoch(self) -> jax.Array:
        """The number of completed epochs after which `kept` was taken."""
        return self.epoch if self.best is None or self.best.weights is None else self.best.epoch


def begin(recipe: Recipe, state: TrainState) -> Run:
    """A run before its first epoch."""
    best = None
    if recipe.selects:
        worst = jnp.float32(-jnp.inf if recipe.maximized else jnp.inf)
        weights = (state.params, state.collections) if recipe.keep == "best" else None
        best = Best(worst, jnp.int32(0), weights)
    return Run(state, best, jnp.int32(0), jnp.bool_(False))


def completed(
    run: Run,
    state: TrainState,
    records: dict[str, jax.Array],
    sizes: jax.Array,
    going: jax.Array | bool = True,
) -> tuple[Run, dict[str, jax.Array]]:
    """The run after an epoch that ended in ``state``, and the epoch's means over all examples:
    NaN, and no epoch more, if the run was not active throughout.

    Args:
        run: before the epoch.
        state: after it.
        records: of every step, arrays of shape ``(steps,)``.
        sizes: the number of examples in every step.
        going: whether the run took part; ``state`` is that of before if it did not.
    """
    done = going & run.active & (state.fault == Fault.NONE)
    total = jnp.sum(sizes)
    means = {
        name: jnp.where(done, jnp.sum(values * sizes) / total, jnp.nan)
        for name, values in records.items()
    }
    return run._replace(train=state, epoch=run.epoch + done.astype(jnp.int32)), means


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
    return {name: value.astype(jnp.float32) for name, value in record.items()}


def decide(
    recipe: Recipe, run: Run, record: dict[str, jax.Array], due: jax.Array | bool = True
) -> Run:
    """Keep the weights if they are the best so far; stop if patience has run out.

    Nothing changes for a run that is no longer active, or of which no record is ``due``.
    """
    if run.best is None:
        return run
    value = record[recipe.monitor]
    better = value > run.best.value if recipe.maximized else value < run.best.value
    looked = due & run.active
    better = better & looked
    weights = None if run.best.weights is None else (run.train.params, run.train.collections)
    now = Best(value, run.epoch, weights)
    # A branch: a choice array by array is a fusion for each of them, which takes long to compile.
    best = jax.lax.cond(better, lambda: now, lambda: run.best)
    stopped = run.stopped
    if recipe.patience is not None:
        stopped = stopped | (looked & (run.epoch - best.epoch >= recipe.patience))
    return run._replace(best=best, stopped=stopped)
