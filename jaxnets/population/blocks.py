"""The compiled functions of one group whose training rows stay on the disk: a block of steps, and
what there is to do after an epoch.

They make of the rows of a block what `jaxnets.population.program` makes of the same rows in memory.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import rng
from jaxnets.data import Batch
from jaxnets.population.engine import Engine
from jaxnets.population.lanes import Data, Lanes
from jaxnets.population.memory import BLOCK_BYTES, streamed_bytes
from jaxnets.population.plan import CHUNK_FLOPS, CHUNK_STEPS, Program
from jaxnets.population.program import init_function
from jaxnets.population.spec import Spec
from jaxnets.population.workshop import Blueprint, Workshop
from jaxnets.train import Run, TrainState, selection
from jaxnets.train.epoch import (
    Record,
    batches,
    blank_records,
    record_kinds,
    step_sizes,
    steps_per_epoch,
    walk,
)
from jaxnets.train.recipe import Recipe
from jaxnets.train.watch import watched, watched_kinds, watched_step


class Lengths(NamedTuple):
    """How an epoch is cut into blocks.

    Attributes:
        examples: training rows.
        size: of a batch.
        whole: steps with a whole batch.
        rest: rows of one more step, or 0.
        block: the most steps of one block.
    """

    examples: int
    size: int
    whole: int
    rest: int
    block: int

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return steps_per_epoch(self.examples, self.size)

    @classmethod
    def of(cls, spec: Spec, program: Program) -> "Lengths":
        """Of one program: constants decide, and nothing that depends on the other members."""
        part, recipe = spec.data.train, program.group.recipe
        n, size = len(part), min(recipe.batch_size, len(part))
        whole, rest = divmod(n, size)
        bytes_per_step = max(1, streamed_bytes(spec, recipe) * program.lanes * program.turns)
        most = min(
            CHUNK_STEPS, CHUNK_FLOPS / max(program.step_flops, 1.0), BLOCK_BYTES / bytes_per_step
        )
        return cls(n, size, whole, rest, max(1, min(whole, int(most))))

    def shape(self, rest: bool) -> tuple[int, int]:
        """The steps of a block, and the rows of each."""
        return (1, self.rest) if rest else (self.block, self.size)


def begin_function(recipe: Recipe, steps: int) -> Callable[..., Run]:
    """``(lane, root, x) -> run`` before the first epoch, with room for the records of one."""
    init = init_function(recipe)

    def begin(lane: Lanes, root: jax.Array, x: jax.Array) -> Run:
        records = blank_records(record_kinds(recipe), steps)
        return init(lane, root, x)._replace(records=records)

    return begin


def block_function(recipe: Recipe, axis: str | None) -> Callable[..., Run]:
    """``(run, lane, going, start, batch, rows, count, root) -> run``: ``count`` steps from step
    ``start`` of the epoch on, of the rows ``batch``, whose places in it are ``rows``.
    """

    def block(
        run: Run, lane: Lanes, going: jax.Array, start: jax.Array, batch: Batch,
        rows: jax.Array, count: jax.Array, root: jax.Array,
    ) -> Run:  # fmt: skip
        keys, length = rng.stream_keys(root, lane.streams), rows.shape[0]
        kinds = watched_kinds(recipe)

        def walked(steps: jax.Array, search: jax.Array) -> tuple[TrainState, Record]:
            def take(state: TrainState, own: Batch) -> tuple[TrainState, Record]:
                return watched_step(recipe, state, own, keys, lane.numbers, search)

            # Never unrolled: the steps left over would be other code, and where a block ends is
            # for others to say.
            xs, body = batches(batch, rows, take)
            return walk(body, run.train, xs, steps, length, unroll=1, kinds=kinds)

        blank = blank_records(kinds, length)
        state, found = watched(walked, run.train, blank, going & run.active, count, axis)
        index = jnp.arange(length, dtype=jnp.int32)
        records = {
            name: values.at[jnp.where(going & (index < count), start + index, values.size)].set(
                found[name], mode="drop"
            )
            for name, values in run.records.items()
        }
        return run._replace(train=state, records=records)

    return block


def finish_function(recipe: Recipe, lengths: Lengths) -> Callable[..., tuple[Run, Any]]:
    """``(run, lane, ended, due, looks, valid) -> (run, record)``: what there is to do where an
    epoch has ended, and where a record is due. ``looks`` is 1 if it is anywhere, else 0.
    """

    def finish(
        before: Run, lane: Lanes, ended: jax.Array, due: jax.Array, looks: jax.Array,
        valid: Batch | None,
    ) -> tuple[Run, dict[str, jax.Array]]:  # fmt: skip
        sizes = step_sizes(lengths.examples, lengths.size)
        blank = dict.fromkeys(recipe.records(valid is not None), jnp.float32(jnp.nan))
        after, means = selection.completed(before, before.train, before.records, sizes, ended)
        reached = due & (after.epoch > before.epoch)

        def look(_: Any, carry: tuple[Run, Any]) -> tuple[Run, Any]:
            run = carry[0]
            record = selection.measure(recipe, run.train, lane.numbers, means, valid)
            run = selection.decide(recipe, run, record, due)
            return run, {name: jnp.where(reached, record[name], jnp.nan) for name in record}

        # A loop, as in memory: nothing is measured where no record is due.
        return jax.lax.fori_loop(0, looks, look, (after, blank))

    return finish


class _Executables(NamedTuple):
    begin: Any
    blocks: dict[bool, Any]  # of steps with whole batches, and of the rest where there is one
    finish: Any


@functools.lru_cache(maxsize=64)
def stream_executables(blueprint: Blueprint, lengths: Lengths) -> _Executables:
    """Compile the functions of a blueprint; equal ones are compiled once."""
    shop, recipe = Workshop(blueprint), blueprint.recipe
    begin = shop.beginning(begin_function(recipe, lengths.steps))
    run, data = shop.owned(begin.out_info), shop.data
    flag, number = shop.own((), jnp.bool_), shop.own((), jnp.int32)
    one = shop.shared((), jnp.int32)

    def block(steps: int, size: int) -> Any:
        count = steps * size
        batch = Batch(*(shop.own((count, *a.shape[1:]), a.dtype) for a in data["train"]))
        rows = shop.shared((steps, size), jnp.int32)
        arguments = (run, shop.lanes, flag, number, batch, rows, one, shop.root)
        return shop.compiled(block_function(recipe, shop.axis), arguments, mapped=5, donate=(0,))

    looked = (run, shop.lanes, flag, flag, one, data.get("valid"))
    return _Executables(
        begin,
        {rest: block(*lengths.shape(rest)) for rest in (False, True) if lengths.rest or not rest},
        shop.compiled(finish_function(recipe, lengths), looked, mapped=4, donate=(0,)),
    )


class Blocks(Engine):
    """The programs of a group whose training rows stay on the disk."""

    def __init__(self, spec: Spec, program: Program, data: Data) -> None:
        self.lengths = Lengths.of(spec, program)
        self._functions = stream_executables(Blueprint.of(spec, program), self.lengths)
        super().__init__(spec, program, data, self._functions.begin)
        shapes = {rest: self.lengths.shape(rest) for rest in self._functions.blocks}
        self._rows = {
            rest: self.share(np.arange(math.prod(shape), dtype=np.int32).reshape(shape))
            for rest, shape in shapes.items()
        }

    def rows(self, batch: Batch) -> Batch:
        """The rows of a block on their devices; targets that are the inputs are sent once."""
        x = self.spread(batch.x)
        return Batch(x, x if batch.y is batch.x else self.spread(batch.y))

    def take(
        self, run: Run, lanes: Lanes, going: Any, start: Any, batch: Batch, count: int, rest: bool
    ) -> Run:
        """``count`` steps with whole batches, or the step with the rows that are left over. ``run``
        is given away, here and below.
        """
        own = self.spread((going, start.astype(np.int32)))
        function, rows = self._functions.blocks[rest], self._rows[rest]
        return function(run, lanes, *own, batch, rows, self.share(np.int32(count)), self._root)

    def finish(self, run: Run, lanes: Lanes, ended: Any, due: Any) -> tuple[Run, Any]:
        """The end of an epoch where ``ended``, with a record where ``due``."""
        own, looks = self.spread((ended, due)), self.share(np.int32(due.any()))
        return self._functions.finish(run, lanes, *own, looks, self.data.valid)
