"""Eager torch: data preloaded, gradients set to None; threads, optimizer, memory format tuned."""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.protocol import Job, Outcome, Variant
from benchmarks.systems import thread_counts, threads_label
from benchmarks.systems.torch_networks import (
    batches,
    device,
    network,
    optimizer,
    synchronize,
    tensors,
)


def variants(job: Job) -> Iterator[Variant]:
    """Threads, the fused optimizer or not, and for images the channels first or last."""
    for threads in thread_counts():
        for fused in (True, False):
            yield variant(job, threads, fused, last=False)
        if job.problem.network in ("lenet", "resnet20"):
            yield variant(job, threads, fused=True, last=True)


def variant(job: Job, threads: int, fused: bool, last: bool, compiled: bool = False) -> Variant:
    """One way of training.

    Args:
        job: what.
        threads: within an operation.
        fused: the optimizer in one kernel.
        last: channels last in memory.
        compiled: through `torch.compile`.
    """
    problem = job.problem
    layout = torch.channels_last
    x, y = tensors(job)
    x = x.contiguous(memory_format=layout) if last else x
    criterion = torch.nn.CrossEntropyLoss()

    def loss_of(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return criterion(net(x), y)

    # Compiled once: a new network of equal shapes is another set of inputs of the same graph.
    model = network(problem).to(device())
    if last:
        for parameter in model.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=layout)
    loss = torch.compile(loss_of) if compiled else loss_of

    def train(seed: int) -> Outcome:
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        model.load_state_dict(network(problem).state_dict())
        update = optimizer(problem, model.parameters(), fused)
        losses = []
        for _ in range(job.epochs):
            for xs, ys in batches(x, y, problem.batch):
                update.zero_grad(set_to_none=True)
                value = loss(model, xs, ys)
                value.backward()
                update.step()
                losses.append(value.detach())
        synchronize()
        by_epoch = torch.stack(losses).cpu().numpy().reshape(1, job.epochs, -1).mean(axis=2)
        return Outcome(
            by_epoch.astype(np.float64),
            updates(update, len(losses)),
            sum(p.numel() for p in model.parameters()),
        )

    name = "Adam" if problem.optimizer == "adam" else "SGD"
    label = f"{threads_label(threads)}{f', fused {name}' * fused}{', channels last' * last}"
    return Variant(label, train)


def updates(optimizer: torch.optim.Optimizer, calls: int) -> int:
    """How many steps the optimizer counted; SGD counts none, so its calls are taken."""
    steps = {int(state["step"]) for state in optimizer.state.values() if "step" in state}
    return steps.pop() if len(steps) == 1 else calls if not steps else -1
