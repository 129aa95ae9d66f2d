"""The whole training as one `jax.lax.scan`, mapped over seeds: ten lines that many have written."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.problems import loaded
from benchmarks.protocol import Job, Outcome, Variant
from benchmarks.systems import flax_networks


def variants(job: Job) -> Iterator[Variant]:
    """A scan of epochs of scans of steps; `jax.vmap` over members if there are several."""
    problem = job.problem
    x, y = (jnp.asarray(array) for array in loaded(job.data))

    def step(state: Any, rows: jax.Array) -> Any:
        return flax_networks.update(problem, state, x[rows], y[rows])

    def epoch(state: Any, key: jax.Array) -> Any:
        order = jax.random.permutation(key, problem.rows)
        state, losses = jax.lax.scan(step, state, order.reshape(-1, problem.batch))
        return state, losses.mean()

    def whole(key: jax.Array) -> Any:
        begin, order = jax.random.split(key)
        state = flax_networks.begin(problem, begin, x[:1])
        return jax.lax.scan(epoch, state, jax.random.split(order, job.epochs))

    run = jax.jit(jax.vmap(whole) if job.members > 1 else whole)

    def train(seed: int) -> Outcome:
        key = jax.random.key(seed)
        state, losses = run(jax.random.split(key, job.members) if job.members > 1 else key)
        count = flax_networks.parameters(state) // job.members
        values = np.asarray(losses).reshape(job.members, job.epochs)
        return Outcome(values, int(np.max(state[3])), count)

    yield Variant("jit(vmap(scan))" if job.members > 1 else "jit(scan)", train)
