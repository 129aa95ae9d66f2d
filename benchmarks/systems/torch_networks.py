"""What somebody writes in torch who wants one network; He initialisation, as in all systems."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.problems import OUTPUTS, Problem, loaded
from benchmarks.protocol import Job


class Signals(nn.Module):
    """A signal gets its channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, None]


class Block(nn.Module):
    """Two convolutions with BatchNorm and a shortcut without parameters."""

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.stride = 1 if inputs == features else 2
        self.more = features - inputs
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, features, 3, self.stride, 1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(inplace=True),
            nn.Conv2d(features, features, 3, 1, 1, bias=False),
            nn.BatchNorm2d(features),
        )

    def forward(self, x: Tensor) -> Tensor:
        short = x
        if self.more:
            short = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))
        return torch.relu(short + self.branch(x))


def _mlp(problem: Problem) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip(problem.sizes[:-2], problem.sizes[1:-1], strict=True):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(problem.sizes[-2], OUTPUTS))


def _lenet(problem: Problem) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, OUTPUTS),
    )  # fmt: skip


def _cnn1d(problem: Problem) -> nn.Sequential:
    layers: list[nn.Module] = [Signals()]
    for inputs, kernel in ((1, 5), (25, 3), (25, 3)):
        layers += [nn.Conv1d(inputs, 25, kernel, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(125, OUTPUTS))


def _resnet20(problem: Problem) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)
    ]  # fmt: skip
    inputs = 16
    for features in (16, 32, 64):
        for _ in range(3):
            layers.append(Block(inputs, features))
            inputs = features
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, OUTPUTS)
    )  # fmt: skip


NETWORKS = {"mlp": _mlp, "lenet": _lenet, "cnn1d": _cnn1d, "resnet20": _resnet20}


def network(problem: Problem) -> nn.Sequential:
    """The problem's, from torch's global generator."""
    net = NETWORKS[problem.network](problem)
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def optimizer(
    problem: Problem, parameters: Iterable[Tensor], fused: bool = True
) -> torch.optim.Optimizer:
    """The problem's, fused or (the default for CPU tensors) one tensor at a time."""
    rate = problem.learning_rate
    if problem.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, fused=fused)
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, fused=fused)


def tensors(job: Job) -> tuple[Tensor, Tensor]:
    """Inputs with channels first, and labels, on the device."""
    x, y = loaded(job.data)
    inputs = torch.from_numpy(x)
    if inputs.ndim == 4:
        inputs = inputs.permute(0, 3, 1, 2).contiguous()
    return inputs.to(device()), torch.from_numpy(y).long().to(device())


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronize() -> None:
    """Wait for the accelerator."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def batches(x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """A shuffled copy, cut up: one gather per epoch."""
    order = torch.randperm(len(x), device=x.device)
    xs = x[order]
    if x.is_contiguous(memory_format=torch.channels_last) and x.ndim == 4:
        xs = xs.contiguous(memory_format=torch.channels_last)
    return zip(xs.split(size), y[order].split(size), strict=True)
