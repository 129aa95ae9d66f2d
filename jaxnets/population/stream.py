"""Members whose training rows stay on the disk: read in the background, trained block by block.

The order of the rows is the same function of key and epoch as in memory, so the position of a
member is the number of its steps, and every block's end is a place to save and to go on from.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from jaxnets.data import Batch
from jaxnets.population.blocks import Blocks
from jaxnets.population.jobs import Job, jobs
from jaxnets.population.piece import Piece, PieceRun
from jaxnets.population.plan import Program
from jaxnets.population.reader import Reader
from jaxnets.population.rows import Layout, Rows
from jaxnets.population.spec import Spec
from jaxnets.settings import carried


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
        run = rows.run
        arrays = super().pack(replace(rows, run=run._replace(records=None)))
        used = int((rows.reached % self._steps).max())
        if used:
            arrays |= {self._parts[k]: v[:, :used] for k, v in run.records.items()}
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
        return replace(rows, run=rows.run._replace(records=records))


class StreamRun(PieceRun):
    """What `PieceRun` does, with rows from the disk. Positions are steps, not epochs."""

    compiled: Blocks

    @staticmethod
    def unit_of(program: Program) -> int:
        """Positions are steps."""
        return program.steps_per_epoch

    def train(self, others: bool = False) -> tuple[Piece, Rows | None]:
        """Block after block; the next is read while one is under way. Nobody leaves for others to
        come: members that are equally far share the rows that are read.
        """
        self.active = np.ones(len(self.places), bool)
        reader = Reader(self.plan, self.compiled, self.places, self.at)
        read = carried(reader.read)
        todo = jobs(self.position, self.plan.spec.epochs, self.compiled.lengths)
        with ThreadPoolExecutor(1, thread_name_prefix="read") as thread:

            def next_block() -> tuple[list[Job], Future[Batch] | None]:
                """Ends of epochs, and the block after them, which is being read."""
                found: list[Job] = []
                for job in todo:
                    found.append(job)
                    if job.steps:
                        return found, thread.submit(read, job, self.active.copy())
                return found, None

            following, ahead, waiting = *next_block(), None
            while following:
                now, rows = following, ahead
                following, ahead = next_block() if rows is not None else ([], None)
                for job in now:
                    if job.steps:
                        self._save_if_due()
                        self.halt.raise_if_made()
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
        self.run = self.compiled.take(
            self.run, self.lanes, going, start, batch, job.steps, job.rest
        )
        self.position = self.position + job.steps * job.going

    def _end(self, job: Job) -> None:
        every, epochs = self.plan.spec.history_every, self.plan.spec.epochs
        number = job.position // self.unit  # of epochs, with the one that ends
        due = job.going & ((number % every == 0) | (number == epochs))
        self.run, record = self.compiled.finish(
            self.run, self.lanes, self._everyone(job.going), self._everyone(due)
        )
        for name, values in record.items() if due.any() else ():
            curve, found = self.history[name], np.asarray(values)[self.at]
            for lane in np.flatnonzero(due):
                curve[lane, (number[lane] - 1) // every] = found[lane]
        if self.tally is not None:
            self.tally.advance(int(job.going.sum()))

    def _everyone(self, values: np.ndarray) -> np.ndarray:
        """For all lanes, padding included."""
        lanes = np.zeros(self.compiled.program.width, values.dtype)
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
