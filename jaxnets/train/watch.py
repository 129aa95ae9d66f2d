"""An epoch whose guard against divergence costs nothing as long as nothing diverges."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets.data import Batch
from jaxnets.rng import Keys
from jaxnets.train import selection
from jaxnets.train.epoch import Record, blank_records, epoch, record_kinds, step_sizes
from jaxnets.train.recipe import Hyper, Recipe
from jaxnets.train.selection import Run
from jaxnets.train.state import Fault, TrainState
from jaxnets.train.step import attempted_step, finite


class _Walks(NamedTuple):
    """What is known after some walks over the epoch.

    Attributes:
        number: walks so far; the same for all lanes.
        settled: whether this lane has its result, bool.
        steps: how many steps it is to take, int32.
        fault: a `Fault`, int32.
    """

    number: jax.Array
    settled: jax.Array
    steps: jax.Array
    fault: jax.Array


def watched_epoch(
    recipe: Recipe,
    run: Run,
    keys: Keys,
    hyper: Hyper,
    data: Batch,
    going: jax.Array,
    axis: str | None = None,
) -> tuple[Run, Record]:
    """One epoch of a run, with the price of divergence paid by those that diverge.

    To keep the last finite state in every step (`jaxnets.train.step`) means to choose between two
    states in every step, which costs a small network a quarter of its time. Instead the epoch is
    walked without a choice. If it ends badly it is walked again, looking for the step that failed,
    and once more up to that step. All walks are one loop around one body, the same compiled code,
    so that a step has the same bits in each of them (with ``recipe.unroll`` over 1 what a shorter
    walk leaves over is other code, and its last bits may differ). Reverse-mode differentiation
    cannot pass.

    Lanes that are mapped over walk together: the length of a walk is the same for all, and each
    takes its result from the walk that was its own, so that no lane pays for a choice in every
    step.

    Args:
        recipe: the static half of the run.
        run: the run before.
        keys: the run's stream keys.
        hyper: the run's numbers.
        data: the training part.
        going: whether this run takes part, a bool scalar; nothing changes for one that does not.
        axis: the name of the axis that lanes are mapped over, if they are.

    Returns:
        The run after; the means of the epoch by name, NaN if the run was not active throughout.

    Example:
        >>> import jax, jax.numpy as jnp, jaxnets as jn
        >>> recipe = jn.train.make_recipe(
        ...     jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy", batch_size=4
        ... )
        >>> keys, hyper = jn.rng.member_keys(jax.random.key(0)), recipe.defaults
        >>> data = jn.data.Batch(jnp.ones((10, 5)), jnp.zeros(10, jnp.int32))
        >>> state = jn.train.init_state(recipe, keys, hyper, data.x)
        >>> run = jn.train.selection.begin(recipe, state)
        >>> run, means = watched_epoch(recipe, run, keys, hyper, data, jnp.bool_(True))
        >>> int(run.epoch), int(run.train.step)
        (1, 3)
    """
    sizes, kinds = step_sizes(data.x.shape[0], recipe.batch_size), watched_kinds(recipe)

    def walk(steps: jax.Array, search: jax.Array) -> tuple[TrainState, Record]:
        def take(state: TrainState, batch: Batch) -> tuple[TrainState, Record]:
            return watched_step(recipe, state, batch, keys, hyper, search)

        return epoch(recipe, run.train, keys, hyper, data, run.epoch, steps, take, kinds)

    blank, length = blank_records(kinds, sizes.size), jnp.int32(sizes.size)
    state, records = watched(walk, run.train, blank, going & run.active, length, axis)
    return selection.completed(run, state, records, sizes, going)


def watched_step(
    recipe: Recipe, state: TrainState, batch: Batch, keys: Keys, hyper: Hyper, search: jax.Array
) -> tuple[TrainState, Record]:
    """One step of a walk for `watched`: what was wrong with it is part of its record."""
    new, record, fault = attempted_step(recipe, state, batch, keys, hyper, search)
    return new, record | {_FAULT: fault}


def watched_kinds(recipe: Recipe) -> dict[str, Any]:
    """The dtypes of a record of `watched_step`."""
    return record_kinds(recipe) | {_FAULT: jnp.int32}


def watched(
    walk: Callable[[jax.Array, jax.Array], tuple[TrainState, Record]],
    before: TrainState,
    blank: Record,
    going: jax.Array,
    length: jax.Array,
    axis: str | None = None,
) -> tuple[TrainState, Record]:
    """Walk over some steps, again and again where they end badly; see `watched_epoch`.

    Args:
        walk: ``(steps, search) -> (state, records)`` from ``before``, made of `watched_step`.
        before: the state before.
        blank: the records of a walk, before any: `watched_kinds` says what is in them.
        going: whether this run takes part, a bool scalar.
        length: of a whole walk, int32; the same for all lanes.
        axis: the name of the axis that lanes are mapped over, if they are.

    Returns:
        The state after the last good step, with its fault; the records of the steps.
    """

    def again(carry: tuple[_Walks, Any]) -> tuple[_Walks, Any]:
        now, kept = carry
        first_walk, search = now.number == 0, now.number == 1
        # The first two walks go to the end; then the shortest way of those that are left.
        steps = _least(jnp.where(now.settled, length, now.steps), axis)
        ended = state, records = walk(steps, search)
        faults = records[_FAULT]
        sound = jnp.all(faults == Fault.NONE) & finite(state)
        # A second walk may be sound where a device does not repeat itself to the bit.
        own = jnp.where(first_walk | search, sound, now.steps == steps)
        taken = own & ~now.settled
        failed = jnp.argmax(faults != Fault.NONE).astype(jnp.int32)
        found = search & ~now.settled & ~sound
        following = _Walks(
            number=now.number + 1,
            settled=now.settled | own,
            steps=jnp.where(found, failed, now.steps),
            fault=jnp.where(found, faults[failed], now.fault),
        )
        # A branch, not a choice per array: each of those would be compiled by itself.
        kept = jax.lax.cond(taken, lambda new, old: new, lambda new, old: old, ended, kept)
        return following, kept

    begin = _Walks(jnp.int32(0), ~going, length, before.fault)
    end, (state, records) = jax.lax.while_loop(
        lambda carry: ~_all(carry[0].settled, axis), again, (begin, (before, blank))
    )
    del records[_FAULT]
    return state._replace(fault=end.fault), records


_FAULT = "fault "  # no metric has such a name


def _least(value: jax.Array, axis: str | None) -> jax.Array:
    return value if axis is None else jax.lax.pmin(value, axis)


def _all(value: jax.Array, axis: str | None) -> jax.Array:
    return value if axis is None else jax.lax.pmin(value.astype(jnp.int32), axis) > 0
