"""One step of one member, traced before anything is compiled: whether it can be repeated, and what
it costs.
"""

import functools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets import environment, rng
from jaxnets.data import Batch, Dataset
from jaxnets.devices import traced_for
from jaxnets.nn import conv_measured
from jaxnets.population.operations import operations
from jaxnets.train import Recipe, TrainState, init_state
from jaxnets.train.recipe import Hyper
from jaxnets.train.step import attempted_step, kept_step


def program_key(recipe: Recipe) -> Any:
    """What two recipes must have in common to share a program: all but the optimizer's numbers."""
    return (
        recipe.network, recipe.loss, recipe.optimizer.structure, recipe.batch_size, recipe.metrics,
        recipe.shuffle, recipe.augment, recipe.keep, recipe.monitor, recipe.mode, recipe.patience,
        recipe.unroll, recipe.kinds,
    )  # fmt: skip


@dataclass(frozen=True)
class StepShape:
    """What the shapes and the cost of one member's step depend on; equal ones are traced once.

    Attributes:
        recipe: the static half; compared by ``structure``.
        structure: see `program_key`.
        names: the numbers that are part of the program.
        batch: shapes and dtypes of inputs and targets.
        precision: of matrix products.
        platform: the kind of device that it is for.
        flags: see `jaxnets.environment.flags`.
        measured: see `jaxnets.nn.conv_measured.count`.
    """

    recipe: Recipe = field(compare=False)
    structure: Any
    names: tuple[str, ...]
    batch: Batch
    precision: str
    platform: str
    flags: tuple[str, ...]
    measured: int

    @classmethod
    def of(
        cls, recipe: Recipe, names: tuple[str, ...], data: Dataset, precision: str, platform: str
    ) -> "StepShape":
        """The step of one recipe with these numbers, under the flags of now."""
        return cls(
            recipe=recipe,
            structure=program_key(recipe),
            names=names,
            batch=example_batch(data, recipe.batch_size),
            precision=precision,
            platform=platform,
            flags=environment.flags(),
            measured=conv_measured.count(),
        )


class StepCost(NamedTuple):
    """What is known about a step before anything is compiled.

    Attributes:
        state: shapes of the training state of one member.
        flops: floating-point operations of one step, see `jaxnets.population.operations`.
    """

    state: TrainState
    flops: float


@functools.lru_cache(maxsize=256)
def step_cost(shape: StepShape) -> StepCost:
    """Trace one step of one member: what does not fit together is found here."""
    recipe = shape.recipe

    def begin(key: jax.Array, numbers: Hyper, x: jax.Array) -> TrainState:
        return init_state(recipe, rng.member_keys(key), numbers, x[:1])

    def one(state: TrainState, key: jax.Array, numbers: Hyper, batch: Batch) -> Any:
        keys = rng.member_keys(key)
        new, record, found = attempted_step(recipe, state, batch, keys, numbers, check=True)
        _check_stays(state, new)
        return kept_step(state, new, found), record

    key = rng.abstract_key()
    numbers = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in shape.names}
    with jax.default_matmul_precision(shape.precision), traced_for(shape.platform):
        state = jax.eval_shape(begin, key, numbers, shape.batch.x)
        traced = jax.make_jaxpr(one)(state, key, numbers, shape.batch)
    return StepCost(state, operations(traced.jaxpr))


def _check_stays(before: TrainState, after: TrainState) -> None:
    """What goes from step to step has to keep its shapes and dtypes."""
    kinds = [
        {jax.tree_util.keystr(path): (leaf.shape, leaf.dtype)
         for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
        for state in (before, after)
    ]  # fmt: skip
    for place in sorted(kinds[0].keys() | kinds[1].keys()):
        was, now = (kind.get(place) for kind in kinds)
        if was != now:
            a, b = ("nothing" if k is None else f"{k[1]}{list(k[0])}" for k in (was, now))
            raise TypeError(
                f"the training state{place}: expected a step to leave it what it was, {a}; "
                f"after one it is {b}."
            )


def example_batch(data: Dataset, size: int) -> Batch:
    """Shapes and dtypes of a batch of training rows."""
    part = data.train
    return Batch(
        jax.ShapeDtypeStruct((size, *part.x.shape[1:]), part.x.dtype),
        jax.ShapeDtypeStruct((size, *part.y.shape[1:]), part.y.dtype),
    )
