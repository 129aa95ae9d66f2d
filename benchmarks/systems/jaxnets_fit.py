"""jaxnets as its users call it: `jaxnets.fit`, all of it on the clock."""

from collections.abc import Callable, Iterator

import jax
import numpy as np

import jaxnets as jn
from benchmarks.problems import OUTPUTS, Problem, loaded
from benchmarks.protocol import Job, Outcome, Variant


def network(problem: Problem) -> object:
    """The library's own."""
    if problem.network == "mlp":
        return jn.nn.MLP(problem.widths, OUTPUTS)
    return {
        "lenet": lambda: jn.nn.LeNet(OUTPUTS),
        "cnn1d": lambda: jn.nn.ConvNet(
            [25, 25, 25], OUTPUTS, kernel_size=[5, 3, 3], strides=2, padding=1
        ),
        "resnet20": lambda: jn.nn.ResNet(20, OUTPUTS),
    }[problem.network]()


def optimizer(problem: Problem) -> object:
    """With the problem's numbers."""
    if problem.optimizer == "adam":
        return jn.optim.adam(learning_rate=problem.learning_rate)
    return jn.optim.momentum(problem.learning_rate, 0.9)


def dataset(job: Job) -> jn.data.Dataset:
    """The job's rows, all of them to train on."""
    x, y = loaded(job.data)
    return jn.data.Dataset.from_splits(train=(x, y), valid=None, test=None)


def fit(job: Job, data: jn.data.Dataset, seed: int, lanes: int | None = None) -> "jn.Runs":
    """Train the job's members, ``lanes`` of them side by side on each device."""
    problem = job.problem
    return jn.fit(
        jax.random.key(seed),
        data,
        jn.grid(network=network(problem), seed=range(job.members)),
        loss="softmax_cross_entropy",
        optimizer=optimizer(problem),
        epochs=job.epochs,
        batch_size=problem.batch,
        metrics=[],
        progress=False,
        lanes=lanes,
    )


def variants(job: Job) -> Iterator[Variant]:
    """One: what it does by itself."""
    jn.use_all_cores()
    yield Variant(where(), trained(job, dataset(job)))


def where() -> str:
    """The devices, in words."""
    devices = jax.local_devices()
    return f"{len(devices)} {devices[0].platform} device{'s' * (len(devices) > 1)}"


def trained(job: Job, data: jn.data.Dataset, lanes: int | None = None) -> Callable[[int], Outcome]:
    """``seed -> Outcome``."""

    def train(seed: int) -> Outcome:
        runs = fit(job, data, seed, lanes)
        group = runs.groups[0]
        steps = np.unique(group.steps)
        return Outcome(
            losses=group.history["train_loss"],
            updates=int(steps[0]) if len(steps) == 1 else -1,
            parameters=sum(leaf[0].size for leaf in jax.tree.leaves(group.kept[0])),
        )

    return train
