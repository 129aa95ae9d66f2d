"""One pass over the training part: a scan of steps."""

import jax
import jax.numpy as jnp

from jaxnets.data import Batch
from jaxnets.rng import Keys, Stream, epoch_order
from jaxnets.train.recipe import Hyper, Recipe
from jaxnets.train.state import TrainState
from jaxnets.train.step import step


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Steps in one epoch; the last one takes what is left over.

    Example:
        >>> steps_per_epoch(4000, 128)
        32
    """
    return -(-examples // batch_size)


def epoch(
    recipe: Recipe,
    state: TrainState,
    keys: Keys,
    hyper: Hyper,
    data: Batch,
    number: jax.Array | int,
    steps: int | None = None,
    check: bool | jax.Array = True,
) -> tuple[TrainState, dict[str, jax.Array], jax.Array]:
    """One epoch, or its first ``steps`` steps.

    Args:
        recipe: the static half of the run.
        state: the state before.
        keys: the run's stream keys.
        hyper: the run's numbers.
        data: the whole training part, ``n`` examples.
        number: which epoch, from 0; decides the order. May be traced.
        steps: static; ``None`` for a whole epoch.
        check: see `jaxnets.train.step`.

    Returns:
        The state after; the record of every step, arrays of shape ``(steps,)``; the number of
        examples in every step, ``float32`` of shape ``(steps,)``.

    Example:
        >>> import jax, jax.numpy as jnp, jaxnets as jn
        >>> recipe = jn.train.make_recipe(
        ...     jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy", batch_size=4
        ... )
        >>> keys, hyper = jn.rng.member_keys(jax.random.key(0)), recipe.defaults
        >>> data = jn.data.Batch(jnp.ones((10, 5)), jnp.zeros(10, jnp.int32))
        >>> state = jn.train.init_state(recipe, keys, hyper, data.x)
        >>> state, records, sizes = epoch(recipe, state, keys, hyper, data, 0)
        >>> int(state.step), sizes.tolist()
        (3, [4.0, 4.0, 2.0])
    """
    n, size = data.x.shape[0], recipe.batch_size
    whole, rest = divmod(n, size)
    wanted = steps_per_epoch(n, size) if steps is None else steps
    whole, rest = min(whole, wanted), rest if wanted > whole else 0
    if size >= n:  # the order of a full batch means nothing: no shuffle, no copy
        state, record = step(recipe, state, data, keys, hyper, check)
        return (
            state,
            jax.tree.map(lambda value: value[None], record),
            jnp.full((1,), n, jnp.float32),
        )

    if recipe.shuffle:
        order = epoch_order(keys[Stream.ORDER], number, n)
    else:
        order = jnp.arange(n, dtype=jnp.int32)

    def body(state: TrainState, rows: jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
        return step(recipe, state, _rows(data, rows), keys, hyper, check)

    state, records = jax.lax.scan(
        body, state, order[: whole * size].reshape(whole, size), unroll=min(recipe.unroll, whole)
    )
    sizes = jnp.full((whole,), size, jnp.float32)
    if rest:  # compiled apart, at its true size: exact for any network, batch statistics included
        state, last = body(state, order[whole * size : whole * size + rest])
        records = jax.tree.map(lambda a, b: jnp.append(a, b), records, last)
        sizes = jnp.append(sizes, jnp.float32(rest))
    return state, records, sizes


def _rows(data: Batch, rows: jax.Array) -> Batch:
    return jax.tree.map(lambda array: array.at[rows].get(mode="promise_in_bounds"), data)
