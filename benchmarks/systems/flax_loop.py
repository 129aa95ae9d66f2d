"""A Python loop over a jitted step with donated state, data on the device, losses fetched once."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.problems import loaded
from benchmarks.protocol import Job, Outcome, Variant
from benchmarks.systems import flax_networks


def variants(job: Job) -> Iterator[Variant]:
    """Rows picked inside the step by indices from the host, or cut out of a shuffled copy."""
    problem = job.problem
    x, y = (jnp.asarray(array) for array in loaded(job.data))
    n, batch = problem.rows, problem.batch

    def with_rows(state: Any, rows: Any) -> Any:
        return flax_networks.update(problem, state, x[rows], y[rows])

    def with_slice(state: Any, xs: jax.Array, ys: jax.Array, start: Any) -> Any:
        cut = (jax.lax.dynamic_slice_in_dim(a, start, batch) for a in (xs, ys))
        return flax_networks.update(problem, state, *cut)

    by_rows = jax.jit(with_rows, donate_argnums=0)
    by_slice = jax.jit(with_slice, donate_argnums=0)
    shuffle = jax.jit(lambda order: (x[order], y[order]))
    begin = jax.jit(lambda key: flax_networks.begin(problem, key, x[:1]))

    def train(seed: int, picked: bool) -> Outcome:
        generator = np.random.default_rng(seed)
        state = begin(jax.random.key(seed))
        losses = []
        for _ in range(job.epochs):
            order = generator.permutation(n)
            shuffled = None if picked else shuffle(order)
            for start in range(0, n, batch):
                if shuffled is None:
                    state, value = by_rows(state, order[start : start + batch])
                else:
                    state, value = by_slice(state, *shuffled, start)
                losses.append(value)
        by_epoch = np.reshape(jax.device_get(losses), (1, job.epochs, -1)).mean(axis=2)
        return Outcome(by_epoch, int(state[3]), flax_networks.parameters(state))

    yield Variant("rows picked in the step", lambda seed: train(seed, True))
    yield Variant("a shuffled copy per epoch", lambda seed: train(seed, False))
