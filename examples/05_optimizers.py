"""Six optimizers side by side: on a long valley that one can see, and on a network.

The valley is f(x, y) = x^2 / 100 + y^2: steep across, almost flat along. Plain gradient descent has
to choose between zigzags and crawling; every other method is an answer to that. Each runs with
sixty learning rates up to 2 at once, and its best is shown (Adagrad would take a larger one).

    python examples/05_optimizers.py [folder for the figures]   # else runs/examples
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from scipy import stats

import jaxnets as jn

jn.use_all_cores()
STEPS, NEAR, START = 150, 1e-2, jnp.array([-7.0, 2.0])

# The optimizers, and for each four rates for the network below.
OPTIMIZERS = {
    "SGD": (jn.optim.sgd(), [0.1, 0.3, 1.0, 3.0]),
    "momentum": (jn.optim.momentum(), [0.03, 0.1, 0.3, 1.0]),
    "Nesterov": (jn.optim.nesterov(), [0.03, 0.1, 0.3, 1.0]),
    "Adagrad": (jn.optim.adagrad(), [0.1, 0.3, 1.0, 3.0]),
    "RMSprop": (jn.optim.rmsprop(), [0.003, 0.01, 0.03, 0.1]),
    "Adam": (jn.optim.adam(), [0.003, 0.01, 0.03, 0.1]),
}


def valley(point):
    return point[0] ** 2 / 100 + point[1] ** 2


def descend(optimizer, learning_rate):
    """The path from START, (STEPS + 1, 2), and the height along it."""
    transformation = optimizer(learning_rate=learning_rate)  # Optax's pair (init, update)

    def step(carry, _):
        point, state = carry
        updates, state = transformation.update(jax.grad(valley)(point), state, point)
        return (optax.apply_updates(point, updates), state), point

    (last, _), points = jax.lax.scan(step, (START, transformation.init(START)), length=STEPS)
    path = jnp.concatenate([points, last[None]])
    return path, jax.vmap(valley)(path)


figure, panels = plt.subplots(2, 3, figsize=(10, 4.4), layout="constrained")
x, y = points = jnp.stack(jnp.meshgrid(jnp.linspace(-8, 4, 160), jnp.linspace(-2.6, 2.6, 80)))
print(f"valley: steps until the height stays below {NEAR} (start: {valley(START):.2f})")
for (name, (optimizer, _)), axes in zip(OPTIMIZERS.items(), panels.flat, strict=True):
    rates = jnp.geomspace(0.01, 2.0, 60)
    paths, heights = jax.vmap(lambda rate, o=optimizer: descend(o, rate))(rates)
    above = np.asarray(~(heights < NEAR))  # a path that left for infinity is above as well
    needed = STEPS + 1 - np.argmax(above[:, ::-1], axis=1)
    best = int(np.argmin(needed))
    print(f"  {name:10} {needed[best]:3} steps at rate {rates[best]:.2g}")
    axes.contour(x, y, valley(points), [NEAR, 0.09, 0.25, 0.5, 1, 2, 4], colors="0.8", linewidths=1)
    axes.plot(*paths[best].T, "o-", color="#0072B2", ms=2.5, lw=1)
    axes.plot(*START, "ks", 0, 0, "r*", ms=6)
    axes.set_title(f"{name}: {needed[best]} steps, rate {rates[best]:.2g}")
    axes.set(xlabel="x", ylabel="y", xlim=(-8, 4), ylim=(-2.6, 2.6))
    axes.label_outer()
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples")
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "05_optimizers_valley.png", dpi=150)

# The network: a member may choose its optimizer, which is another program; within one optimizer the
# rate is only a number. Equal seeds have equal initial weights and batches: a paired comparison.
network, members = jn.nn.MLP([64], outputs=10), []
for optimizer, rates in OPTIMIZERS.values():
    members += jn.grid(network=network, optimizer=optimizer, learning_rate=rates, seed=range(4))
runs = jn.fit(jax.random.key(0), jn.data.mnist1d(), members, loss="softmax_cross_entropy",
              epochs=30, batch_size=100)  # fmt: skip
shape = (len(OPTIMIZERS), 4, 4, -1)  # optimizers, rates, seeds, epochs
losses, valid = (runs.history[f"{of}_loss"].values.reshape(shape) for of in ("train", "valid"))

# An optimizer's task is the training loss, so that chooses the rate here, not the validation loss.
print("\nMLP 40-64-10 on MNIST-1D: the best of four rates, mean of four seeds ± half its interval")
figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
colors = ("#999999", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00")
for i, (name, (_, rates)) in enumerate(OPTIMIZERS.items()):
    best = int(np.nanargmin(losses[i, :, :, -1].mean(axis=1)))  # NaN: one of four seeds diverged
    mean = losses[i, best].mean(axis=0)
    half = stats.t.ppf(0.975, 3) * stats.sem(losses[i, best])  # of Student's interval
    print(f"  {name:10} rate {rates[best]:<5g} training loss {mean[-1]:.3f} ± {half[-1]:.3f}, "
          f"smallest validation loss {valid[i, best].mean(axis=0).min():.3f}")  # fmt: skip
    label, line = f"{name}, {rates[best]:g}", ("-", "--")[i % 2]
    axes.plot(runs.history.epoch, mean, line, color=colors[i], label=label)
    axes.fill_between(runs.history.epoch, mean - half, mean + half, color=colors[i], alpha=0.15)
axes.set(title="Each at its best; 95 % band", xlabel="epoch", ylabel="training loss", ylim=(0.4, 2))
axes.legend(title="optimizer, rate", frameon=False)
figure.savefig(folder / "05_optimizers_network.png", dpi=150)
