"""The products of a network's training steps and nothing else, by XLA, on all devices."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jaxnets as jn
from benchmarks.problems import Problem
from benchmarks.protocol import Job, Outcome, Variant

FLOPS = 4e9
"""Of one call: a fraction of a second on two cores."""

LANES = (1, 4, 16)


def chain(weights: list[jax.Array], x: jax.Array) -> list[jax.Array]:
    """A linear network's products of one step, member by member: no activation, no loss.

    Args:
        weights: ``(members, inputs, outputs)`` of every layer.
        x: ``(members, batch, inputs)``.

    Returns:
        The gradients, as if the outputs were their own error.
    """
    inputs = [x]
    for weight in weights:
        inputs.append(inputs[-1] @ weight)
    error, gradients = inputs[-1], []
    for layer in reversed(range(len(weights))):
        gradients.append(inputs[layer].mT @ error)
        if layer:
            error = error @ weights[layer].mT
    return gradients[::-1]


def variants(job: Job) -> Iterator[Variant]:
    """By members side by side on each device: the best is the ceiling."""
    jn.use_all_cores()
    for lanes in LANES:
        yield Variant(f"{lanes} per device", repeat(job.problem, lanes))


def repeat(problem: Problem, lanes: int) -> Callable[[int], Outcome]:
    """What computes the products of some steps of ``lanes`` members on every device."""
    devices = jax.local_devices()
    mesh = Mesh(np.array(devices, dtype=object), ("member",))
    own = PartitionSpec("member")
    width = lanes * len(devices)
    steps = max(1, int(FLOPS / (width * problem.flops)))

    def many(weights: list[jax.Array], x: jax.Array) -> jax.Array:
        def one(_: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            # Nothing may be hoisted out of the loop or left out: the inputs depend on all the
            # products before by a zero that the compiler must not assume to be one.
            total, _ = carry
            gradients = chain(weights, x + 0.0 * total[:, None, None])
            return sum((g[:, 0, 0] for g in gradients), jnp.zeros_like(total)), total

        zero = jnp.zeros(lanes)
        return jax.lax.fori_loop(0, steps, one, (zero, zero))[0]

    run = jax.jit(
        jax.shard_map(many, mesh=mesh, in_specs=(own, own), out_specs=own, check_vma=False)
    )
    operands = jax.device_put(_operands(problem, width), NamedSharding(mesh, own))

    def train(seed: int) -> Outcome:
        jax.block_until_ready(run(*operands))
        return Outcome(np.zeros((0, 1)), width * steps, problem.parameters)

    return train


def _operands(problem: Problem, width: int) -> tuple[list[np.ndarray], np.ndarray]:
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        scale = shape[-2] ** -0.5 if len(shape) == 3 else 1.0
        return (scale * generator.normal(size=(width, *shape[1:]))).astype(np.float32)

    pairs = zip(problem.sizes[:-1], problem.sizes[1:], strict=True)
    weights = [normal(width, a, b) for a, b in pairs]
    return weights, normal(width, problem.batch, problem.sizes[0])
