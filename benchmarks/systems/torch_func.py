"""torch.func: gradients of stacked networks through `vmap`, one fused optimizer over the stack."""

from collections.abc import Iterator

import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from benchmarks.protocol import Job, Outcome, Variant
from benchmarks.systems import thread_counts, threads_label
from benchmarks.systems.torch_eager import updates
from benchmarks.systems.torch_networks import device, network, optimizer, synchronize, tensors


def variants(job: Job) -> Iterator[Variant]:
    """By number of threads. BatchNorm's statistics change in place, which `vmap` refuses."""
    for threads in thread_counts():
        yield _variant(job, threads)


def _variant(job: Job, threads: int) -> Variant:
    problem, members = job.problem, job.members
    x, y = tensors(job)
    base = network(problem).to(device())

    def loss(params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(functional_call(base, params, (x,)), y)

    gradients = vmap(grad_and_value(loss))

    def train(seed: int) -> Outcome:
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        nets = [network(problem).to(device()) for _ in range(members)]
        params, _ = stack_module_state(nets)
        leaves = {name: leaf.detach() for name, leaf in params.items()}
        # Adam and momentum work element by element: over the stack they are one per member.
        update = optimizer(problem, list(leaves.values()))
        losses = []
        for _ in range(job.epochs):
            orders = torch.stack([torch.randperm(len(x), device=x.device) for _ in nets], 1)
            for rows in orders.split(problem.batch):
                picked = rows.T
                found, values = gradients(leaves, x[picked], y[picked])
                for name, leaf in leaves.items():
                    leaf.grad = found[name]
                update.step()
                losses.append(values)
        synchronize()
        by_epoch = torch.stack(losses, 1).reshape(members, job.epochs, -1).mean(dim=2)
        count = sum(leaf.numel() for leaf in leaves.values()) // members
        return Outcome(by_epoch.cpu().numpy(), updates(update, len(losses)), count)

    return Variant(f"vmap, {threads_label(threads)}", train)
