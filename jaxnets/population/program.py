"""The compiled functions of one group: so many epochs of so many lanes, on all devices."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnets import rng
from jaxnets.population.engine import Engine
from jaxnets.population.lanes import Data, Lanes, Span
from jaxnets.population.plan import Program
from jaxnets.population.spec import Spec
from jaxnets.population.workshop import Blueprint, Workshop
from jaxnets.train import Run, init_state, selection
from jaxnets.train.recipe import Recipe
from jaxnets.train.watch import watched_epoch

Chunk = Callable[..., tuple[Run, dict[str, jax.Array]]]


def init_function(recipe: Recipe) -> Callable[..., Run]:
    """The pure function of one member: ``(lane, root, x) -> run`` before its first epoch."""

    def init(lane: Lanes, root: jax.Array, x: jax.Array) -> Run:
        keys = rng.stream_keys(root, lane.streams)
        return selection.begin(recipe, init_state(recipe, keys, lane.numbers, x))

    return init


def chunk_function(
    recipe: Recipe, history_every: int, periods: int, axis: str | None = None
) -> Chunk:
    """The pure function of one member: ``(run, lane, span, root, data) -> (run, history)``.

    The history has ``periods`` entries; those that ``span`` does not reach are NaN. Lanes that are
    mapped over ``axis`` go through the same loops together, as far as the longest of them goes.
    """

    def chunk(
        run: Run, lane: Lanes, span: Span, root: jax.Array, data: Data
    ) -> tuple[Run, dict[str, jax.Array]]:
        keys = rng.stream_keys(root, lane.streams)
        numbers = lane.numbers

        def period(carry: tuple[jax.Array, Run, Any]) -> tuple[jax.Array, Run, Any]:
            index, run, history = carry
            start = span.first + index * history_every
            stop = jnp.minimum(start + history_every, span.last)

            def one(number: jax.Array, carry: tuple[Run, Any]) -> tuple[Run, Any]:
                going = start + number < stop
                after, new = watched_epoch(recipe, carry[0], keys, numbers, data.train, going, axis)
                return after, {k: jnp.where(going, new[k], carry[1][k]) for k in new}

            means = {name: jnp.float32(jnp.nan) for name in recipe.record_names}
            run, means = jax.lax.fori_loop(0, _most(stop - start, axis), one, (run, means))
            record = selection.measure(recipe, run.train, numbers, means, data.valid)
            reached = (start < stop) & (run.epoch == stop)
            run = selection.decide(recipe, run, record, due=start < stop)
            record = {k: jnp.where(reached, v, jnp.nan) for k, v in record.items()}
            return index + 1, run, {k: history[k].at[index].set(record[k]) for k in history}

        def unfinished(carry: tuple[jax.Array, Run, Any]) -> jax.Array:
            index, run, _ = carry
            left = run.active & (span.first + index * history_every < span.last)
            return _most(left.astype(jnp.int32), axis) > 0

        names = recipe.records(data.valid is not None)
        history = {name: jnp.full((periods,), jnp.nan, jnp.float32) for name in names}
        _, run, history = jax.lax.while_loop(unfinished, period, (jnp.int32(0), run, history))
        return run, history

    return chunk


def _most(value: jax.Array, axis: str | None) -> jax.Array:
    return value if axis is None else jax.lax.pmax(value, axis)


class Executables(NamedTuple):
    """The two compiled functions of a blueprint: the beginning of a run, and a chunk of it."""

    init: Any
    chunk: Any


@functools.lru_cache(maxsize=64)
def executables(blueprint: Blueprint) -> Executables:
    """Compile a blueprint; equal ones are compiled once (the 64 used last are remembered)."""
    shop, recipe = Workshop(blueprint), blueprint.recipe
    init = shop.beginning(init_function(recipe))
    run, span = shop.owned(init.out_info), Span(*[shop.own((), jnp.int32)] * 2)
    data = Data(shop.data["train"], shop.data.get("valid"))
    chunk = chunk_function(recipe, blueprint.history_every, blueprint.periods, shop.axis)
    arguments = (run, shop.lanes, span, shop.root, data)
    return Executables(init, shop.compiled(chunk, arguments, mapped=3, donate=(0,)))


class Compiled(Engine):
    """The programs of a group whose training rows are on the devices."""

    def __init__(self, spec: Spec, program: Program, data: Data) -> None:
        init, self._chunk = executables(Blueprint.of(spec, program))
        super().__init__(spec, program, data, init)

    def __call__(self, run: Run, lanes: Lanes, span: Span) -> tuple[Run, dict[str, jax.Array]]:
        """One chunk. ``run`` is given away: do not use it again."""
        return self._chunk(run, lanes, self.spread(span), self._root, self.data)
