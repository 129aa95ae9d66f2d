"""Training rows that stay on the disk: the same call, and the same bits as from memory.

A file of random patterns is written, mapped, and a population is trained from it. Here the file is
small, so that the same training can also be done in memory, to compare. With `out=` a run that is
killed in the middle of an epoch goes on from there.

    python examples/larger_than_memory.py [folder for the files]
"""

import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

import jaxnets as jn

jn.use_all_cores()
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
FOLDER.mkdir(parents=True, exist_ok=True)
ROWS, FEATURES = 20_000, 32


def rows(seed, count):
    """Inputs as bytes, and whether a hidden quadratic form of them is positive."""
    x = np.random.default_rng(seed).integers(0, 256, (count, FEATURES), np.uint8)
    centred = x / 255 - 0.5
    form = np.random.default_rng(0).standard_normal((FEATURES, FEATURES))
    return x, (np.einsum("ni,ij,nj->n", centred, form, centred) > 0).astype(np.int32)


# Written in pieces, as one would write a file that does not fit into memory.
x_file = np.lib.format.open_memmap(FOLDER / "x.npy", "w+", np.float32, (ROWS, FEATURES))
y_file = np.lib.format.open_memmap(FOLDER / "y.npy", "w+", np.int32, (ROWS,))
for start in range(0, ROWS, 5000):
    x, y = rows(1 + start, 5000)
    x_file[start : start + 5000], y_file[start : start + 5000] = x / 255 - 0.5, y
x_file.flush(), y_file.flush()
x, y = rows(0, 1000)
valid = (x / 255 - 0.5, y)

data = jn.data.from_memmap(FOLDER / "x.npy", FOLDER / "y.npy", valid=valid, test=None)
print(data)
members = jn.grid(network=jn.nn.MLP([64, 64], outputs=2), learning_rate=[1e-3, 3e-3], seed=range(4))
recipe = {"loss": "softmax_cross_entropy", "epochs": 5, "batch_size": 100}
runs = jn.fit(jax.random.key(0), data, members, out=FOLDER / "run", **recipe)
accuracy = runs.history["valid_accuracy"].values[:, -1]
print(
    f"validation accuracy of {len(members)} members: {accuracy.min():.3f} to {accuracy.max():.3f}"
)

# The order of the rows is a function of the key, not of where they come from.
arrays = (np.load(FOLDER / "x.npy"), np.load(FOLDER / "y.npy"))
memory = jn.data.Dataset.from_splits(arrays, valid=valid, test=None)
same = jn.fit(jax.random.key(0), memory, members, **recipe)
print(f"the same history as from memory: {runs.history.identical(same.history)}")

# Rows can come from anywhere that gives them by number, a Grain pipeline for example:
#     data = jn.data.from_source(grain.MapDataset.source(...).map(decode), valid=..., test=...)
