"""A sweep of learning rate and width: choose on validation, read the test set once.

A learning rate is a number, so it costs nothing to give every member its own: all rates and seeds
of one width are members of one compiled program. A width is a shape: another program.

    python examples/03_sweep.py [folder for the figure]   # else runs/examples
"""

import sys
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxnets as jn

jn.use_all_cores()

WIDTHS, RATES, SEEDS = [8, 32, 128], [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1], range(4)

data = jn.data.mnist1d()
members = jn.grid(
    network=[jn.nn.MLP([width, width], outputs=10) for width in WIDTHS],
    learning_rate=RATES,
    seed=SEEDS,
)
runs = jn.fit(jax.random.key(0), data, members, loss="softmax_cross_entropy", epochs=30,
              batch_size=100)  # fmt: skip
print(runs.plan)

# The data have a validation part, so every member kept the weights of the epoch of its lowest
# validation loss. These are what is judged. `unstack` turns the list of members into a cube with
# named axes.
widths = ("member", [m.network.module.features[0] for m in members])
valid = 100 * runs.evaluate("valid")["accuracy"].assign_coords(width=widths)
cube = valid.set_index(member=["width", "learning_rate", "seed"]).unstack("member")
print("\nvalidation accuracy (%), mean over seeds")
print(cube.mean("seed").to_pandas().astype(float).round(1).to_string())

# For each width the rate with the best mean over seeds. `idxmax` returns the label, not a place.
chosen = cube.mean("seed").idxmax("learning_rate")

# Only now the test set, and only for the chosen members: as many as there are widths times seeds.
rows = np.flatnonzero(valid.learning_rate == chosen.sel(width=valid.width))
test = 100 * runs.evaluate("test", members=rows)["accuracy"]
test = test.assign_coords(width=valid.width[rows]).groupby("width")
test = test.mean(), test.std(ddof=1)

print("\nwidth  chosen rate  validation  test (mean ± deviation over seeds)")
for width in WIDTHS:
    rate = float(chosen.sel(width=width))
    best = float(cube.sel(width=width, learning_rate=rate).mean())
    mean, deviation = (float(value.sel(width=width)) for value in test)
    print(f"{width:5}  {rate:11g}  {best:8.1f} %  {mean:.1f} ± {deviation:.1f} %")

figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.6), layout="constrained", width_ratios=[3, 2]
)
for width, color, mark in zip(WIDTHS, ("#E69F00", "#009E73", "#0072B2"), "ovs",
                              strict=True):  # fmt: skip
    one = cube.sel(width=width)
    left.errorbar(RATES, one.mean("seed"), one.std("seed", ddof=1), color=color, marker=mark,
                  capsize=2, label=f"{width}")  # fmt: skip
    rate = float(chosen.sel(width=width))
    left.plot(rate, one.sel(learning_rate=rate).mean(), "o", ms=13, mfc="none", mec="black")
left.set(xscale="log", xlabel="learning rate of Adam", ylabel="validation accuracy (%)",
         title="Mean ± deviation of 4 seeds (circle: chosen)")  # fmt: skip
left.legend(title="width", frameon=False)
right.errorbar(WIDTHS, test[0], test[1], color="black", marker="o", capsize=3)
right.set_xscale("log", base=2)
right.set_xticks(WIDTHS, WIDTHS)
right.set(xlabel="width of both hidden layers", ylabel="test accuracy (%)",
          title="Test, at the chosen rate")  # fmt: skip
path = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples") / "03_sweep.png"
path.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(path, dpi=150)
print(f"figure: {path}")
