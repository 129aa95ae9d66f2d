"""One pass over the training part: a loop of steps."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxnets.data import Batch
from jaxnets.devices import platform
from jaxnets.rng import Keys, Stream, epoch_order
from jaxnets.train.recipe import Hyper, Recipe
from jaxnets.train.state import TrainState
from jaxnets.train.step import step

Record = dict[str, jax.Array]
Take = Callable[[TrainState, Batch], tuple[TrainState, Record]]
Carry = TypeVar("Carry")


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Steps in one epoch; the last one takes what is left over.

    Example:
        >>> steps_per_epoch(4000, 128)
        32
    """
    return -(-examples // batch_size)


def step_sizes(examples: int, batch_size: int) -> jax.Array:
    """The number of examples of every step of an epoch, float32.

    Example:
        >>> step_sizes(10, 4).tolist()
        [4.0, 4.0, 2.0]
    """
    steps = steps_per_epoch(examples, batch_size)
    last = examples - (steps - 1) * batch_size
    return jnp.full((steps,), batch_size, jnp.float32).at[-1].set(last)


def epoch(
    recipe: Recipe,
    state: TrainState,
    keys: Keys,
    hyper: Hyper,
    data: Batch,
    number: jax.Array | int,
    steps: jax.Array | int | None = None,
    take: Take | None = None,
    kinds: Mapping[str, Any] | None = None,
) -> tuple[TrainState, Record]:
    """One epoch, or its first ``steps`` steps.

    Args:
        recipe: the static half of the run.
        state: the state before.
        keys: the run's stream keys.
        hyper: the run's numbers.
        data: the whole training part, ``n`` examples.
        number: which epoch, from 0; decides the order. May be traced.
        steps: ``None`` for a whole epoch. If it is traced, the loop's length is not known when it
            is compiled, and reverse-mode differentiation cannot pass through it.
        take: ``(state, batch) -> (state, record)``; ``None`` for `jaxnets.train.step`.
        kinds: the dtypes of a record, where ``steps`` is traced; ``None`` for `record_kinds`.

    Returns:
        The state after; the record of every step of a whole epoch, arrays of shape ``(steps,)``;
        of steps that were not taken the records are 0.

    Example:
        >>> import jax, jax.numpy as jnp, jaxnets as jn
        >>> recipe = jn.train.make_recipe(
        ...     jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy", batch_size=4
        ... )
        >>> keys, hyper = jn.rng.member_keys(jax.random.key(0)), recipe.defaults
        >>> data = jn.data.Batch(jnp.ones((10, 5)), jnp.zeros(10, jnp.int32))
        >>> state = jn.train.init_state(recipe, keys, hyper, data.x)
        >>> state, records = epoch(recipe, state, keys, hyper, data, 0)
        >>> int(state.step), records["loss"].shape
        (3, (3,))
    """
    n, size = data.x.shape[0], min(recipe.batch_size, data.x.shape[0])
    whole, rest = divmod(n, size)
    wanted = steps_per_epoch(n, size) if steps is None else steps

    def guarded(state: TrainState, batch: Batch) -> tuple[TrainState, Record]:
        return step(recipe, state, batch, keys, hyper)

    take = guarded if take is None else take
    kinds = record_kinds(recipe) if kinds is None else kinds
    if size == n:  # the order of a full batch means nothing: no shuffle, no copy
        return walk(lambda state, _: take(state, data), state, None, wanted, 1, 1, kinds)

    if recipe.shuffle:
        order = epoch_order(keys[Stream.ORDER], number, n)
    else:
        order = jnp.arange(n, dtype=jnp.int32)

    rows, body = batches(data, order[: whole * size].reshape(whole, size), take)
    state, records = walk(body, state, rows, wanted, whole, min(recipe.unroll, whole), kinds)
    if rest:  # compiled apart, at its true size: exact for any network, batch statistics included
        rows, body = batches(data, order[whole * size :][None], take)
        state, last = walk(body, state, rows, wanted - whole, 1, 1, kinds)
        records = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), records, last)
    return state, records


def record_kinds(recipe: Recipe) -> dict[str, Any]:
    """The dtypes of a step's record by name.

    Example:
        >>> import jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy")
        >>> sorted(record_kinds(recipe))
        ['accuracy', 'loss']
    """
    return dict.fromkeys(recipe.record_names, jnp.float32)


def blank_records(kinds: Mapping[str, Any], length: int) -> Record:
    """Records of so many steps, none of which was taken.

    Example:
        >>> blank_records({"loss": jnp.float32}, 2)["loss"].tolist()
        [0.0, 0.0]
    """
    return {name: jnp.zeros((length,), kind) for name, kind in kinds.items()}


def walk(
    body: Callable[[Carry, Any], tuple[Carry, Record]],
    carry: Carry,
    xs: Any,
    count: jax.Array | int,
    length: int,
    unroll: int,
    kinds: Mapping[str, Any],
) -> tuple[Carry, Record]:
    """The first ``count`` iterations of ``jax.lax.scan(body, carry, xs, length)``.

    Args:
        body: ``(carry, x) -> (carry, record)``.
        carry: what goes from step to step.
        xs: a tree of arrays whose leading axes have ``length`` entries.
        count: at most ``length`` count. A number, or traced.
        length: of the records.
        unroll: iterations of the body per iteration of the compiled loop.
        kinds: the dtypes of a record. Said, not found by tracing the body once more: loops within
            loops would trace it twice as often with each of them.

    Returns:
        The carry after; records of ``length`` entries, 0 from ``count`` on.
    """
    if isinstance(count, int):
        count = max(0, min(count, length))
        head = jax.tree.map(lambda a: a[:count], xs)
        carry, records = jax.lax.scan(
            body, carry, head, length=count, unroll=max(1, min(unroll, count))
        )
        missing = length - count
        return carry, jax.tree.map(lambda a: jnp.pad(a, (0, missing)), records)

    def at(index: Any) -> Any:
        return jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, index, keepdims=False), xs)

    def one(index: jax.Array, state: tuple[Carry, Record]) -> tuple[Carry, Record]:
        carry, record = body(state[0], at(index))
        return carry, {
            name: state[1][name].at[index].set(record[name].astype(kind))
            for name, kind in kinds.items()
        }

    count, state = jnp.minimum(count, length), (carry, blank_records(kinds, length))
    blocks = count // unroll
    if unroll > 1:

        def block(number: jax.Array, state: tuple[Carry, Record]) -> tuple[Carry, Record]:
            for index in range(unroll):
                state = one(number * unroll + index, state)
            return state

        state = jax.lax.fori_loop(0, blocks, block, state)
    return jax.lax.fori_loop(blocks * unroll if unroll > 1 else 0, count, one, state)


TOGETHER_BYTES = 2**28
"""Up to so many bytes of data are put into the order of the steps before the first of them."""


def ordered_at_once(data_bytes: int) -> bool:
    """Whether there is a second copy of the training part, in the order of an epoch.

    Example:
        >>> ordered_at_once(10**6), ordered_at_once(10**9)
        (True, False)
    """
    return platform() == "cpu" and data_bytes <= TOGETHER_BYTES


def batches(data: Batch, rows: jax.Array, take: Take) -> tuple[Any, Take]:
    """What to walk over, and the body of the walk, so that step ``i`` takes the rows ``rows[i]``.

    The rows are put into their order either before the first step or one batch after the other
    within the steps. On a CPU a gather within a step makes XLA hand the rest of the step to its
    thread pool, whose threads then wait for each other; the steps of small networks are too short
    for that. On an accelerator a gather costs next to nothing, and a copy of the data for every
    member would not fit.

    Args:
        data: any number of examples.
        rows: int32 ``(steps, size)``, places in the data.
        take: ``(state, batch) -> (state, record)``.

    Returns:
        ``xs`` and ``body`` for `walk`.

    Example:
        >>> data, rows = Batch(jnp.ones((4, 2)), jnp.arange(4)), jnp.array([[3, 0], [1, 2]])
        >>> xs, body = batches(data, rows, lambda state, batch: (state + batch.y[0], {}))
        >>> state, _ = walk(body, jnp.int32(0), xs, 2, 2, 1, {})
        >>> int(state)
        4
    """
    if ordered_at_once(sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(data))):
        return _rows(data, rows), take
    return rows, lambda state, some: take(state, _rows(data, some))


def _rows(data: Batch, rows: jax.Array) -> Batch:
    return jax.tree.map(lambda array: array.at[rows].get(mode="promise_in_bounds"), data)
