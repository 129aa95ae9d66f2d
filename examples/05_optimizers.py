"""Six optimizers side by side: on a long valley that one can see, and on a network.

The valley is f(x, y) = x^2 / 20 + y^2: steep across, almost flat along. Plain gradient descent has
to choose between zigzags and crawling; every other method is an answer to that.

    python examples/05_optimizers.py [folder for the figures]
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxnets as jn

jn.use_all_cores()
STEPS, START = 60, jnp.array([-7.0, 2.0])


def valley(point):
    """A scalar of a point (2,)."""
    return point[0] ** 2 / 20 + point[1] ** 2


# For each the rate on the valley, and three rates for the network, of which validation chooses.
OPTIMIZERS = {
    "SGD": (jn.optim.sgd(0.9), [0.03, 0.1, 0.3]),
    "momentum": (jn.optim.momentum(0.1), [0.01, 0.03, 0.1]),
    "Nesterov": (jn.optim.nesterov(0.1), [0.01, 0.03, 0.1]),
    "Adagrad": (jn.optim.adagrad(1.0), [0.01, 0.03, 0.1]),
    "RMSprop": (jn.optim.rmsprop(0.1), [0.001, 0.003, 0.01]),
    "Adam": (jn.optim.adam(0.3), [0.003, 0.01, 0.03]),
}
COLORS = ("#999999", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00")


def descend(optimizer):
    """The path of an optimizer from START, (STEPS + 1, 2)."""
    transformation = optimizer()  # an Optax pair (init, update), made from the default numbers

    def step(carry, _):
        point, state = carry
        updates, state = transformation.update(jax.grad(valley)(point), state, point)
        return (optax.apply_updates(point, updates), state), point

    (last, _), points = jax.lax.scan(step, (START, transformation.init(START)), length=STEPS)
    return jnp.concatenate([points, last[None]])


figure, panels = plt.subplots(
    2, 3, figsize=(10, 4.6), sharex=True, sharey=True, layout="constrained"
)
xs, ys = jnp.meshgrid(jnp.linspace(-8, 8, 160), jnp.linspace(-3.2, 3.2, 80))
heights = valley(jnp.stack([xs, ys]))
print("valley: steps until the height stays below 0.01 (start: 6.45)")
for (name, (optimizer, _)), axes, color in zip(
    OPTIMIZERS.items(), panels.flat, COLORS, strict=True
):
    path = descend(optimizer)
    above = np.flatnonzero(jax.vmap(valley)(path) >= 0.01)
    needed = f"{above[-1] + 1} steps" if above[-1] < STEPS else f"more than {STEPS} steps"
    print(f"  {name:10} rate {dict(optimizer.defaults)['learning_rate']:<4g} {needed}")
    axes.contour(xs, ys, heights, [0.05, 0.25, 0.7, 1.5, 3, 5, 8], colors="0.8", linewidths=0.8)
    axes.plot(path[:, 0], path[:, 1], "o-", color="#0072B2", ms=2.5, lw=1)
    axes.plot(*START, "ks", ms=5)
    axes.plot(0, 0, "*", color="#D55E00", ms=11)
    axes.set_title(f"{name}: {needed}", fontsize=10)
figure.supxlabel("x")
figure.supylabel("y")
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "figures"
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "05_optimizers_valley.png", dpi=150)

# The network: a member may choose its optimizer; within one optimizer the rate is only a number.
# The data keep their order of seeds: member k of every optimizer has the same start and batches.
data = jn.data.mnist1d()
network = jn.nn.MLP([32, 32], outputs=10)
members = [
    member
    for optimizer, rates in OPTIMIZERS.values()
    for member in jn.grid(network=network, optimizer=optimizer, learning_rate=rates, seed=range(4))
]
runs = jn.fit(jax.random.key(0), data, members, loss="softmax_cross_entropy", epochs=30,
              batch_size=100)  # fmt: skip
shape = (len(OPTIMIZERS), 3, 4)  # optimizers, rates, seeds
valid = runs.evaluate("valid")["loss"].values.reshape(shape).mean(axis=2)
curves = runs.history["train_loss"].values.reshape(*shape, -1).mean(axis=2)

print("\nMLP 40-32-32-10 on MNIST-1D: the best of three rates, mean of four seeds")
figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
for place, (name, (_, rates)) in enumerate(OPTIMIZERS.items()):
    best = int(np.argmin(valid[place]))
    print(f"  {name:10} rate {rates[best]:<5g} training loss {curves[place, best, -1]:.3f}, "
          f"validation {valid[place, best]:.3f}")  # fmt: skip
    axes.plot(runs.history.epoch, curves[place, best], color=COLORS[place],
              ls=("-", "--")[name in ("momentum", "RMSprop")],
              label=f"{name}, {rates[best]:g}")  # fmt: skip
axes.set(xlabel="epoch", ylabel="training loss (nats)", title="MNIST-1D, each at its best rate")
axes.legend(title="optimizer, rate", frameon=False)
figure.savefig(folder / "05_optimizers_network.png", dpi=150)
