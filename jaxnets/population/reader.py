"""Reads the rows of blocks from the disk, each member's in its own order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import rng
from jaxnets.data import Batch, StreamedSplit
from jaxnets.population.blocks import Blocks
from jaxnets.population.jobs import Job
from jaxnets.population.plan import Plan
from jaxnets.train.checks import check_targets, output_shape


class Reader:
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
        lengths, width = self.lengths, self.compiled.program.width
        most, size = lengths.shape(job.rest)
        room, count = most * size, job.steps * size
        x = np.zeros((width, room, *self.part.x.shape[1:]), self.part.x.dtype)
        y = x
        if not self.part.reconstructs:
            y = np.zeros((width, room, *self.part.y.shape[1:]), self.part.y.dtype)
        wanted: dict[tuple[int, int], list[int]] = {}
        for lane in np.flatnonzero(job.going & active).tolist():
            wanted.setdefault((self.seeds[lane], int(job.position[lane])), []).append(lane)
        self._forget(job)
        for (seed, position), lanes in wanted.items():  # equal orders are read once
            epoch, step = divmod(position, lengths.steps)
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
        """All orders but those in which members are now, also those that wait."""
        epochs = (job.position // self.lengths.steps).tolist()
        now = {*zip(self.seeds, epochs, strict=True), (-1, -1)}
        self._orders = {which: order for which, order in self._orders.items() if which in now}

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
    with jax.default_device(_nearest()):
        words = jnp.asarray(np.asarray(jax.random.key_data(root)))
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        key = rng.stream_keys(key, {"seed": jnp.uint32(seed)})[stream]
        return np.asarray(_epoch_order(key, jnp.int32(epoch), n))


@functools.cache
def _nearest() -> jax.Device:
    """A CPU, or where JAX has been told to use none, what there is: the bits are the same."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]


_epoch_order = jax.jit(rng.epoch_order, static_argnums=2)
