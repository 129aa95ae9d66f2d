"""Members whose training rows stay on the disk: read in the background, trained block by block.

The order of the rows is the same function of key and epoch as in memory, so the position of a
member is the number of its steps, and every block's end is a place to save and to go on from.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import rng
from jaxnets.data import Batch, StreamedSplit
from jaxnets.population.blocks import Blocks, Lengths, Walking
from jaxnets.population.piece import Keeping, Piece, PieceRun
from jaxnets.population.plan import Plan, Program
from jaxnets.population.progress import Progress
from jaxnets.population.rows import Layout, Rows
from jaxnets.population.spec import Spec
from jaxnets.train.checks import check_targets, output_shape


def run_streamed_piece(
    plan: Plan,
    compiled: Any,
    places: np.ndarray,
    saved: Rows | None,
    progress: Progress | None,
    keeping: Keeping | None,
) -> Piece:
    """What `jaxnets.population.piece.run_piece` does, with rows from the disk."""
    return _StreamRun(plan, compiled, places, saved, progress, keeping).to_the_end()


class StreamLayout(Layout):
    """The states of members that may be in the middle of an epoch: its records so far belong to
    them.
    """

    def __init__(self, spec: Spec, program: Program) -> None:
        super().__init__(spec, program)
        recipe = program.group.recipe
        self._steps = program.steps_per_epoch
        self._parts = {name: f"epoch.{i:02d}" for i, name in enumerate(recipe.record_names)}

    def pack(self, rows: Rows) -> dict[str, np.ndarray]:
        """The rows as named arrays; records of complete epochs are left out."""
        walking: Any = rows.run
        arrays = super().pack(replace(rows, run=walking.run))
        used = int((rows.reached % self._steps).max())
        if used:
            arrays |= {self._parts[k]: v[:, :used] for k, v in walking.records.items()}
        return arrays

    def unpack(
        self, arrays: Mapping[str, np.ndarray], places: np.ndarray, reached: np.ndarray
    ) -> Rows:
        """What `pack` made, as rows again."""
        rows = super().unpack(arrays, places, reached)
        shape = (len(reached), self._steps)
        records = {name: np.zeros(shape, np.float32) for name in self._parts}
        for name, stored in self._parts.items():
            if stored in arrays:
                found = arrays[stored]
                records[name][:, : found.shape[1]] = found
        walking: Any = Walking(rows.run, records)
        return replace(rows, run=walking)

    def typed(self, run: Any) -> Any:
        """A state whose words are keys again where the group's are keys."""
        return Walking(super().typed(run.run), run.records)


class Job(NamedTuple):
    """What the lanes do next.

    Attributes:
        going: which members take part, bool ``(members,)``.
        position: steps behind each of them, int ``(members,)``.
        steps: how many they take; 0: they end an epoch.
    """

    going: np.ndarray
    position: np.ndarray
    steps: int


def jobs(position: np.ndarray, epochs: int, lengths: Lengths) -> Iterator[Job]:
    """All blocks of members from their positions on, in order; none depends on what comes out.

    Args:
        position: int ``(members,)``, steps behind each.
        epochs: how many there are to be.
        lengths: of an epoch.

    Yields:
        Blocks and ends of epochs.

    Example:
        >>> lengths = Lengths(examples=10, size=4, whole=2, rest=2, block=2)
        >>> [(job.position.tolist(), job.steps) for job in jobs(np.array([0]), 1, lengths)]
        [([0], 2), ([2], 1), ([3], 0)]
    """
    steps = lengths.steps
    # Where a member is in its epoch; the end of one is not yet the beginning of the next.
    epoch, step = position // steps, position % steps
    while (left := epoch < epochs).any():
        ended, at_rest = left & (step == steps), left & (step == lengths.whole) & (step < steps)
        if ended.any():
            yield Job(ended, epoch * steps + step, 0)
            epoch, step = epoch + ended, np.where(ended, 0, step)
            continue
        going = at_rest if at_rest.any() else left
        count = 1 if at_rest.any() else int((lengths.whole - step[going]).min())
        count = min(count, lengths.block)
        yield Job(going, epoch * steps + step, count)
        step = step + count * going


class _Reader:
    """Reads the rows of blocks, in a thread of its own.

    Args:
        plan: the population's.
        compiled: the group's programs.
        places: of the members in the group.
        at: their places among the lanes.
    """

    def __init__(self, plan: Plan, compiled: Blocks, places: np.ndarray, at: np.ndarray) -> None:
        assert isinstance(plan.spec.data.train, StreamedSplit)
        self.part, self.compiled, self.at = plan.spec.data.train, compiled, at
        self.recipe, self.lengths = compiled.program.group.recipe, compiled.lengths
        self.outputs = output_shape(self.recipe, plan.spec.data.train.x)
        seeds = compiled.program.group.seeds[places, rng.Stream.ORDER]
        self.seeds = [int(seed) for seed in seeds]
        self._root = plan.spec.key
        self._orders: dict[tuple[int, int], np.ndarray] = {}

    def read(self, job: Job, active: np.ndarray) -> Batch:
        """The rows of a block for all lanes, on their devices: zeros for those without a part."""
        lengths, steps, width = self.lengths, self.lengths.steps, self.compiled.program.width
        is_rest = bool((job.position[job.going] % steps == lengths.whole).all() and lengths.rest)
        count = lengths.rest if is_rest else job.steps * lengths.size
        room = lengths.rest if is_rest else lengths.block * lengths.size
        x = np.zeros((width, room, *self.part.x.shape[1:]), self.part.x.dtype)
        y = x
        if not self.part.reconstructs:
            y = np.zeros((width, room, *self.part.y.shape[1:]), self.part.y.dtype)
        wanted: dict[tuple[int, int], list[int]] = {}
        for lane in np.flatnonzero(job.going & active).tolist():
            wanted.setdefault((self.seeds[lane], int(job.position[lane])), []).append(lane)
        self._forget(job)
        for (seed, position), lanes in wanted.items():  # equal orders are read once
            epoch, step = divmod(position, steps)
            first = step * lengths.size
            rows = self._order(seed, epoch)[first : first + count]
            batch = self.part.read_rows(rows)
            self._check(batch, rows)
            x[self.at[lanes], :count] = batch.x
            if y is not x:
                y[self.at[lanes], :count] = batch.y
        return self.compiled.rows(Batch(x, y))

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        n = self.lengths.examples
        if not self.recipe.shuffle or self.lengths.size == n:
            seed, epoch = -1, -1
        if (seed, epoch) not in self._orders:
            order = np.arange(n) if epoch < 0 else _order(self._root, seed, epoch, n)
            self._orders[seed, epoch] = order
        return self._orders[seed, epoch]

    def _forget(self, job: Job) -> None:
        """Orders of epochs that are over."""
        oldest = int((job.position[job.going] // self.lengths.steps).min())
        for seed, epoch in list(self._orders):
            if 0 <= epoch < oldest:
                del self._orders[seed, epoch]

    def _check(self, batch: Batch, rows: np.ndarray) -> None:
        """Whether the targets are what the loss takes; the error names the first row that is not.

        Raises:
            ValueError: they are not.
        """
        if self.outputs is None:
            return
        try:
            check_targets(self.recipe, batch.y, self.outputs, "data.train.y: ")
        except ValueError:
            for at in np.argsort(rows):
                where = f"data.train.y[{rows[at]}:{rows[at] + 1}]: "
                check_targets(self.recipe, batch.y[at : at + 1], self.outputs, where)
            raise


def _order(root: jax.Array, seed: int, epoch: int, n: int) -> np.ndarray:
    stream = rng.Stream.ORDER
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        words = jnp.asarray(np.asarray(jax.random.key_data(root)))
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        key = rng.stream_keys(key, {"seed": jnp.uint32(seed)})[stream]
        return np.asarray(_epoch_order(key, jnp.int32(epoch), n))


_epoch_order = jax.jit(rng.epoch_order, static_argnums=2)


class _StreamRun(PieceRun):
    """See `run_streamed_piece`. Positions are steps, not epochs."""

    def __init__(
        self,
        plan: Plan,
        compiled: Any,
        places: np.ndarray,
        saved: Rows | None,
        progress: Progress | None,
        keeping: Keeping | None,
    ) -> None:
        self.unit = compiled.lengths.steps
        super().__init__(plan, compiled, places, saved, progress, keeping)
        self.blocks: Blocks = compiled
        self.active = np.ones(len(places), bool)

    def to_the_end(self) -> Piece:
        """Block after block; the next is read while one is under way."""
        reader = _Reader(self.plan, self.blocks, self.places, self.at)
        todo = jobs(self.position, self.plan.spec.epochs, self.blocks.lengths)
        with ThreadPoolExecutor(1, thread_name_prefix="read") as thread:

            def next_block() -> tuple[list[Job], Future[Batch] | None]:
                """Ends of epochs, and the block after them, which is being read."""
                found: list[Job] = []
                for job in todo:
                    found.append(job)
                    if job.steps:
                        return found, thread.submit(reader.read, job, self.active.copy())
                return found, None

            following, ahead, waiting = *next_block(), None
            while following:
                now, rows = following, ahead
                following, ahead = next_block() if rows is not None else ([], None)
                for job in now:
                    if job.steps:
                        self._save_if_due()
                        assert rows is not None
                        self._take(job, rows.result())
                    else:
                        self._end(job)
                # The block before this one is looked at: at most two are ever under way.
                if waiting is not None and not self._still(waiting):
                    break
                waiting = self._still_active()
        return self._finish()

    def _take(self, job: Job, batch: Batch) -> None:
        going, start = self._everyone(job.going), self._everyone(job.position % self.unit)
        if bool((start[self.at][job.going] == self.blocks.lengths.whole).all()):
            self.run = self.blocks.rest(self.run, self.lanes, going, start, batch)
        else:
            self.run = self.blocks.block(self.run, self.lanes, going, start, batch, job.steps)
        self.position = self.position + job.steps * job.going

    def _end(self, job: Job) -> None:
        every, epochs = self.plan.spec.history_every, self.plan.spec.epochs
        number = job.position // self.unit  # of epochs, with the one that ends
        due = job.going & ((number % every == 0) | (number == epochs))
        self.run, record = self.blocks.finish(
            self.run, self.lanes, self._everyone(job.going), self._everyone(due)
        )
        for name, values in record.items() if due.any() else ():
            curve, found = self._curve(name), np.asarray(values)[self.at]
            for lane in np.flatnonzero(due):
                curve[lane, (number[lane] - 1) // every] = found[lane]
        if self.progress is not None:
            self.progress.advance(self.blocks.program, int(job.going.sum()))

    def _everyone(self, values: np.ndarray) -> np.ndarray:
        """For all lanes, padding included."""
        lanes = np.zeros(self.blocks.program.width, values.dtype)
        lanes[self.at] = values
        return lanes

    def _still(self, waiting: Any) -> bool:
        self.active = np.asarray(waiting)[self.at]
        return bool(self.active.any())

    def _save_if_due(self) -> None:
        """A member at the end of an epoch without a record looks as if it had ended there: the next
        block's end is a better place.
        """
        keeping, epochs = self.keeping, self.position // self.unit
        between = (self.position % self.unit == 0) & (epochs % self.plan.spec.history_every != 0)
        between &= epochs < self.plan.spec.epochs
        if keeping is not None and not between.any() and self._must_save(keeping):
            self._save(keeping)
