"""A population of seeds: error bars, and where the variance between runs comes from.

One run is one draw. Here the same network is trained 96 times: 32 times with everything random, 32
times with only the initial weights random, and 32 times with only the order of the data random.

    python examples/02_population_of_seeds.py [folder for the figure]   # else runs/examples
"""

import sys
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

import jaxnets as jn

jn.use_all_cores()  # one XLA device per core: the members are spread over them

COUNT, EPOCHS = 32, 25
data = jn.data.mnist1d()
network = jn.nn.MLP([64, 64], outputs=10)

# `seed` decides everything that is random about a member. `init_seed` and `order_seed` take one
# source out of its hand: members of equal `order_seed` see the same batches in the same order.
designs = {
    "both random": jn.grid(network=network, seed=range(COUNT)),
    "only the initial weights": jn.grid(network=network, init_seed=range(COUNT), order_seed=0),
    "only the order of the data": jn.grid(network=network, init_seed=0, order_seed=range(COUNT)),
}
runs = jn.fit(
    jax.random.key(0),
    data,
    [member for members in designs.values() for member in members],
    loss="softmax_cross_entropy",
    optimizer=jn.optim.adam(1e-2),
    epochs=EPOCHS,
    batch_size=100,
    keep="last",
)
print(runs.plan)

# One architecture, so one program. Every member is labelled with its own coordinates; the three
# designs lie one after the other.
accuracy = 100 * runs.evaluate("test")["accuracy"].values.reshape(len(designs), COUNT)

# The interval of a deviation is wide: 32 seeds know it to about a quarter. With fewer, an "error
# bar" is hardly a number at all.
print(f"\n{'test accuracy, %':28}{'mean':>6}{'deviation':>11}{'95 % interval of it':>23}")
for name, values in zip(designs, accuracy, strict=True):
    spread = stats.bootstrap((values,), lambda v, axis: np.std(v, axis=axis, ddof=1),
                             method="basic", rng=0).confidence_interval  # fmt: skip
    print(f"{name:28}{values.mean():6.2f}{values.std(ddof=1):11.2f}"
          f"{f'{spread.low:.2f} to {spread.high:.2f}':>23}")  # fmt: skip
few = 1.96 * accuracy[0].std(ddof=1) / np.sqrt(3)  # 32 runs know the deviation; from 3: Student
print(f"\nOne run differs from another by up to {np.ptp(accuracy[0]):.1f} points; "
      f"the mean of 3 runs is known to about ±{few:.1f},\n"
      f"and who has these 3 alone must say ±{few * stats.t.ppf(0.975, 2) / 1.96:.1f}.")  # fmt: skip
share = accuracy.var(axis=1, ddof=1) / accuracy[0].var(ddof=1)
factor = stats.f.ppf(0.975, COUNT - 1, COUNT - 1)  # of the ratio of two variances
print(f"Of that variance the initial weights alone give {share[1]:.0%}, the order alone "
      f"{share[2]:.0%}\n(each known to a factor of {factor:.1f}). Over 100 % together would say "
      "that training\namplifies whatever is left.")  # fmt: skip

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
curves = 100 * runs.history["valid_accuracy"][:COUNT]  # the first design
left.plot(curves.epoch, curves.T, color="#56B4E9", lw=0.6)
left.plot([], [], color="#56B4E9", label=f"{COUNT} seeds")
left.plot(curves.epoch, curves.mean("member"), color="#0072B2", lw=2.5, label="their mean")
left.set(xlabel="epoch", ylabel="validation accuracy (%)", title="Both random")
left.legend(frameon=False, loc="lower right")

jitter = np.random.default_rng(0).uniform(-0.12, 0.12, COUNT)
for place, (values, color) in enumerate(zip(accuracy, ("#0072B2", "#D55E00", "#009E73"),
                                            strict=True)):  # fmt: skip
    right.plot(place + jitter, values, "o", ms=4, color=color, alpha=0.6, mec="none")
    right.errorbar(place + 0.25, values.mean(), values.std(ddof=1), fmt="s", color="black", ms=5,
                   capsize=4)  # fmt: skip
right.set_xticks(range(3), ["both\nrandom", "only initial\nweights", "only order\nof the data"])
right.set(xlim=(-0.5, 2.5), ylabel="test accuracy (%)",
          title="One dot per network; bars: mean ± deviation")  # fmt: skip
path = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples") / "02_population_of_seeds.png"
path.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(path, dpi=150)
print(f"figure: {path}")
