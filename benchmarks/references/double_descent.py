"""Double descent on clean labels: the test loss peaks where the network just fits its rows.

Source: the case study of Greydanus and Kobak, arXiv:2011.14439: 16,000 samples of which 4000 train;
MLP 40-H-H-10, torch's default initialisation, SGD 0.01 with momentum 0.9, shuffled batches of 100,
500 epochs. The sweep has nineteen widths, and took 11 min 12 s; errors are known of seven.
"""

from collections.abc import Sequence

import jax
import numpy as np

import jaxnets as jn
from benchmarks.references.record import Line

WIDTHS = (2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 47, 61, 80, 104, 135, 177, 230, 300)
"""``np.unique(np.geomspace(2, 300, 20, dtype=int))``."""

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
    data: jn.data.Dataset,
    widths: Sequence[int] = WIDTHS,
    *,
    epochs: int = 500,
    seeds: int = 1,
    share: bool = True,
) -> np.ndarray:
    """Train error, test loss and test error of every width.

    Args:
        data: with a training and a test part.
        widths: of both hidden layers.
        epochs: of training.
        seeds: networks per width.
        share: networks that are close in width share a program.

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
        widths="padded" if share else "exact",
    )
    train, test = runs.evaluate("train"), runs.evaluate("test")
    columns = (100 * (1 - train["accuracy"]), test["loss"], 100 * (1 - test["accuracy"]))
    stacked = np.stack([column.values for column in columns], axis=-1)
    return stacked.reshape(len(widths), seeds, 3)


def experiment(seeds: int = 5, widths: int = len(PUBLISHED)) -> list[Line]:
    """The seven widths of which numbers are published, or all nineteen of the sweep."""
    data = jn.data.mnist1d(16_000, valid=None, test=12_000)
    chosen = WIDTHS if widths == len(WIDTHS) else tuple(PUBLISHED)
    found, lines = sweep(data, chosen, seeds=seeds), []
    for width, values in zip(chosen, found, strict=True):
        fit, loss, error = PUBLISHED.get(width, (None, None, None))
        lines += [
            _line(f"H={width}: train error, %", fit, values[:, 0], margin=2.5),
            _line(f"H={width}: test loss", loss, values[:, 1]),
            _line(f"H={width}: test error, %", error, values[:, 2], margin=2.5),
        ]
    medians = np.median(found, axis=1)
    fits = [float(w) for w, row in zip(chosen, medians, strict=True) if row[0] == 0.0]
    peak = float(chosen[int(np.argmax(medians[:, 1]))])
    return [
        *lines,
        Line("first width with no train error", "36 to 61", fits[:1] or [float("inf")], 36, 61),
        Line("width of the highest test loss", "47", [peak], 36, 61),
    ]


def _line(
    quantity: str, published: float | None, values: np.ndarray, margin: float | None = None
) -> Line:
    """One quantity; with a band around what is published, if it is and is to be met."""
    if published is None:
        return Line(quantity, "", values.tolist())
    if margin is None:
        return Line(quantity, f"{published}", values.tolist())
    low, high = max(0.0, round(published - margin, 2)), round(published + margin, 2)
    return Line(quantity, f"{published}", values.tolist(), low, high)
