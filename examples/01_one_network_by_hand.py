"""One network by hand, from the pure pieces, and then the same network through `jaxnets.fit`.

Everything below is a function of a key. The loop in the middle is all there is to training; `fit`
runs the same loop, compiled as a whole and for many networks at once. At the end both are compared.

    python examples/01_one_network_by_hand.py [folder for the figure]   # else runs/examples
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax

import jaxnets as jn

EPOCHS, BATCH = 20, 100

# Ten digits drawn as signals of 40 numbers. 3200 rows train, 800 validate, 1000 test.
data = jn.data.mnist1d()
print(data)

# A network is two pure functions: init makes parameters from a key, apply computes outputs from
# parameters. (Its state would hold BatchNorm statistics; this network has none.)
module = jn.nn.MLP([64, 64], outputs=10, activation="tanh")
network = jn.from_linen(module)

# One root key; from it the key of member 0; from that one key per source of randomness.
root = jax.random.key(0)
keys = jn.rng.stream_keys(root, {"seed": 0})
params, state = network.init(keys[jn.rng.Stream.INIT], data.train.x[:1])
print(f"{sum(p.size for p in jax.tree.leaves(params)):,} parameters")

optimizer = optax.adam(3e-3)
opt_state = optimizer.init(params)


def loss(params, batch):
    """The mean cross-entropy of a batch."""
    outputs, _ = network.apply(params, state, batch.x, key=None, train=True)
    return jnp.mean(jn.losses.softmax_cross_entropy(outputs, batch))


@jax.jit
def step(params, opt_state, batch):
    """One update: the gradient, what the optimizer makes of it, the new parameters."""
    value, gradient = jax.value_and_grad(loss)(params, batch)
    updates, opt_state = optimizer.update(gradient, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, value


# The plain loop. Every epoch visits the rows in a new order that follows from the key and the
# number of the epoch alone: nothing random is carried along.
by_hand = []
for epoch in range(EPOCHS):
    order = jn.rng.epoch_order(keys[jn.rng.Stream.ORDER], epoch, len(data.train))
    values = []
    for rows in order.reshape(-1, BATCH):
        batch = jn.data.Batch(data.train.x[rows], data.train.y[rows])
        params, opt_state, value = step(params, opt_state, batch)
        values.append(value)
    by_hand.append(float(jnp.mean(jnp.stack(values))))

# The same through fit: a population of one. `keep="last"` because the loop kept its last weights.
runs = jn.fit(root, data, module, loss="softmax_cross_entropy", optimizer=jn.optim.adam(3e-3),
              epochs=EPOCHS, batch_size=BATCH, keep="last")  # fmt: skip

apart = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), params, runs[0].params)
apart = max(float(value) for value in jax.tree.leaves(apart))
largest = max(float(jnp.max(jnp.abs(p))) for p in jax.tree.leaves(params))
outputs, _ = network.apply(params, state, data.test.x, key=None, train=False)
accuracy = float(jnp.mean(jnp.argmax(outputs, axis=-1) == data.test.y))

print(f"training loss, last epoch: by hand {by_hand[-1]:.4f}, "
      f"fit {float(runs.history.train_loss[0, -1]):.4f}")  # fmt: skip
print(f"test accuracy: by hand {accuracy:.3f}, "
      f"fit {float(runs.evaluate('test').accuracy[0]):.3f}")  # fmt: skip
print(f"largest difference of a weight: {apart:.1e} (largest weight {largest:.2f})")
# The two programs add up in different orders, so the last bits differ, and here they stay the last
# bits. With ReLU and a large rate training amplifies them: now and then an input falls on the other
# side of a kink, and some hundred steps later there are two networks, equally good. What example 02
# measures can begin with a rounding error.

figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
curve = runs.history.isel(member=0)
axes.plot(curve.epoch, curve.train_loss, color="#0072B2", label="training, fit")
axes.plot(curve.epoch, by_hand, "o", color="#0072B2", mfc="white", label="training, by hand")
axes.plot(curve.epoch, curve.valid_loss, color="#D55E00", ls="--", label="validation, fit")
axes.set(xlabel="epoch", ylabel="cross-entropy (nats)", title="MNIST-1D, MLP 40-64-64-10")
axes.set_xticks(range(0, EPOCHS + 1, 5))
axes.legend(frameon=False)
path = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples") / "01_one_network_by_hand.png"
path.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(path, dpi=150)
print(f"figure: {path}")
