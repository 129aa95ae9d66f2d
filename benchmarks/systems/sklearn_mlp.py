"""scikit-learn's MLPClassifier, started from He's initialisation instead of Glorot's."""

import warnings
from collections.abc import Iterator

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.problems import Problem, loaded
from benchmarks.protocol import Job, Outcome, Variant


def variants(job: Job) -> Iterator[Variant]:
    """One: it has no choice of threads of its own."""
    problem = job.problem
    if problem.network != "mlp" or problem.optimizer != "adam":
        raise ValueError("MLPClassifier trains fully connected networks")
    x, y = loaded(job.data)

    def train(seed: int) -> Outcome:
        net = started(problem, x, y, seed)
        net.set_params(max_iter=job.epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            net.fit(x, y)
        losses = np.array(net.loss_curve_[-job.epochs :])[None]
        parameters = sum(a.size for a in (*net.coefs_, *net.intercepts_))
        return Outcome(losses, int(net._optimizer.t), parameters)

    yield Variant("", train)


def started(problem: Problem, x: np.ndarray, y: np.ndarray, seed: int) -> MLPClassifier:
    """A network with all its arrays, before its first step: fitting goes on from them."""
    net = MLPClassifier(
        problem.widths, alpha=0.0, batch_size=problem.batch,
        learning_rate_init=problem.learning_rate, random_state=seed, tol=0.0,
        n_iter_no_change=10**9, warm_start=True, max_iter=1,
    )  # fmt: skip
    some = np.unique(y, return_index=True)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        net.fit(x[some], y[some])
    generator = np.random.default_rng(seed)
    for index, (a, b) in enumerate(zip(problem.sizes[:-1], problem.sizes[1:], strict=True)):
        net.coefs_[index] = generator.normal(0, (2 / a) ** 0.5, (a, b)).astype(x.dtype)
        net.intercepts_[index] = np.zeros(b, x.dtype)
    return net
