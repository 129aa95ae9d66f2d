"""Depth with random labels: of equal parameters, the deeper network fits in fewer epochs.

Source: Prince, Understanding Deep Learning, figure 20.2: 4000 examples of MNIST-1D with permuted
labels, full-batch gradient descent at 0.0025, He initialisation, no momentum, no regularisation.
That takes 200,000 steps (500,000 for one layer); the proxy has fewer examples and a larger rate.
"""

from collections.abc import Sequence

import jax
import numpy as np

import jaxnets as jn
from benchmarks.references.record import Line

# Hidden layers, their width, and the parameters. The published fourth count, 15,139, is a misprint.
SHAPES = {1: (298, 15_208), 2: (100, 15_210), 3: (75, 15_235), 4: (63, 15_319)}


def epochs_to_fit(
    *,
    examples: int,
    learning_rate: float,
    epochs: int,
    accuracy: float,
    depths: Sequence[int] = tuple(SHAPES),
    seeds: int = 1,
    history_every: int = 10,
) -> np.ndarray:
    """After how many epochs each network first has the given accuracy on its training rows.

    Returns:
        ``(depths, seeds)``; infinite where it never has.
    """
    data = jn.data.mnist1d(valid=None)
    data = data.subset(examples).with_random_labels(jax.random.key(0))
    networks = [jn.nn.MLP([SHAPES[d][0]] * d, outputs=10, kernel_init="he_normal") for d in depths]
    runs = jn.fit(
        jax.random.key(0),
        data,
        jn.grid(network=networks, seed=range(seeds)),
        loss="softmax_cross_entropy",
        optimizer=jn.optim.sgd(learning_rate),
        epochs=epochs,
        batch_size=examples,
        history_every=history_every,
    )
    reached = runs.history["train_accuracy"] >= accuracy
    first = runs.history["epoch"].where(reached).min("epoch").fillna(np.inf)
    return first.values.reshape(len(depths), seeds)


def experiment(full: bool = False) -> list[Line]:
    """The proxy, or the published setting (an hour on two cores, minutes on a GPU)."""
    if full:
        found = epochs_to_fit(
            examples=4000, learning_rate=0.0025, epochs=500_000, accuracy=1.0, history_every=100
        )
    else:
        found = epochs_to_fit(examples=1000, learning_rate=0.05, epochs=8000, accuracy=1.0, seeds=3)
    medians = np.median(found, axis=1)
    lines = [
        Line(f"{depth} hidden layers: epochs to no error", "fewer if deeper", row.tolist())
        for depth, row in zip(SHAPES, found, strict=True)
    ]
    in_order = bool((np.diff(medians) < 0).all())
    return [*lines, Line("deeper needs fewer epochs (1: yes)", "yes", [float(in_order)], 1, 1)]
