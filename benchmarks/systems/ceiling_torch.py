"""The products of a network's training steps and nothing else, by `torch.bmm`."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks.protocol import Job, Outcome, Variant
from benchmarks.systems import thread_counts, threads_label
from benchmarks.systems.torch_networks import device, synchronize

FLOPS = 4e9
"""Of one call: a fraction of a second on two cores."""

MEMBERS = (32, 128)


def variants(job: Job) -> Iterator[Variant]:
    """By threads and members side by side."""
    for threads in thread_counts():
        for members in MEMBERS:
            yield Variant(
                f"{members} together, {threads_label(threads)}", _repeat(job, threads, members)
            )


def _repeat(job: Job, threads: int, members: int) -> Callable[[int], Outcome]:
    problem = job.problem
    torch.manual_seed(0)
    weights = [
        torch.randn(members, a, b, device=device()) * a**-0.5
        for a, b in zip(problem.sizes[:-1], problem.sizes[1:], strict=True)
    ]
    x = torch.randn(members, problem.batch, problem.sizes[0], device=device())
    repeats = max(1, int(FLOPS / (members * problem.flops)))

    def train(seed: int) -> Outcome:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            for _ in range(repeats):
                inputs = [x]
                for weight in weights:
                    inputs.append(torch.bmm(inputs[-1], weight))
                error = inputs[-1]
                for layer in reversed(range(len(weights))):
                    torch.bmm(inputs[layer].mT, error)
                    if layer:
                        error = torch.bmm(error, weights[layer].mT)
            synchronize()
        return Outcome(np.zeros((0, 1)), members * repeats, problem.parameters)

    return train
