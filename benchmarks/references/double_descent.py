"""Double descent on clean labels: the test loss peaks where the network just fits its rows.

Source: the case study of Greydanus and Kobak, arXiv:2011.14439: 16,000 samples of which 4000 train;
MLP 40-H-H-10, torch's default initialisation, SGD 0.01 with momentum 0.9, shuffled batches of 100,
500 epochs.
"""

from collections.abc import Sequence

import jax
import numpy as np

import jaxnets as jn
from benchmarks.references.record import Line

# Width: train error in percent, test loss, test error in percent.
PUBLISHED = {
    9: (41.28, 1.308, 49.33),
    16: (28.80, 1.392, 44.55),
    36: (1.35, 4.161, 41.66),
    47: (0.00, 4.415, 41.01),
    61: (0.00, 3.775, 41.24),
    104: (0.00, 3.070, 38.61),
    300: (0.00, 2.338, 37.25),
}


def sweep(
    data: jn.data.Dataset, widths: Sequence[int], *, epochs: int = 500, seeds: int = 1
) -> np.ndarray:
    """Train error, test loss and test error of every width.

    Returns:
        ``(widths, seeds, 3)``, errors in percent.
    """
    networks = [
        jn.nn.MLP([w, w], outputs=10, kernel_init="torch_uniform", bias_init="torch_uniform")
        for w in widths
    ]
    runs = jn.fit(
        jax.random.key(0),
        data,
        jn.grid(network=networks, seed=range(seeds)),
        loss="softmax_cross_entropy",
        optimizer=jn.optim.momentum(0.01, 0.9),
        epochs=epochs,
        batch_size=100,
        history_every=epochs,
    )
    train, test = runs.evaluate("train"), runs.evaluate("test")
    columns = (100 * (1 - train["accuracy"]), test["loss"], 100 * (1 - test["accuracy"]))
    stacked = np.stack([column.values for column in columns], axis=-1)
    return stacked.reshape(len(widths), seeds, 3)


def experiment(seeds: int = 5) -> list[Line]:
    """The seven widths of which numbers are published."""
    data = jn.data.mnist1d(16_000, valid=None, test=12_000)
    found, lines = sweep(data, tuple(PUBLISHED), seeds=seeds), []
    for (width, (fit, loss, error)), values in zip(PUBLISHED.items(), found, strict=True):
        lines += [
            Line(f"H={width}: train error, %", f"{fit}", values[:, 0].tolist(),
                 max(0.0, round(fit - 2.5, 2)), round(fit + 2.5, 2)),
            Line(f"H={width}: test loss", f"{loss}", values[:, 1].tolist()),
            Line(f"H={width}: test error, %", f"{error}", values[:, 2].tolist(),
                 round(error - 2.5, 2), round(error + 2.5, 2)),
        ]  # fmt: skip
    widths, medians = tuple(PUBLISHED), np.median(found, axis=1)
    fits = [float(w) for w, row in zip(widths, medians, strict=True) if row[0] == 0.0]
    peak = float(widths[int(np.argmax(medians[:, 1]))])
    return [
        *lines,
        Line("first width with no train error", "36 to 61", fits[:1] or [float("inf")], 36, 61),
        Line("width of the highest test loss", "47", [peak], 36, 61),
    ]
