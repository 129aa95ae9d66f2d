"""One neuron learns a line: gradient descent by hand, and the surface that it walks on.

Three patients: the size of a tumour, and how long they survived. One neuron without activation
predicts w * size + b. Gradient descent starts at w = b = 0.01 and follows the slope of the sum of
squared errors.

    python examples/04_one_neuron.py [folder for the figure]   # else runs/examples
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxnets as jn

size, survival = jnp.array([0.5, 2.3, 2.9]), jnp.array([3.2, 1.9, 1.0])
patients = jn.data.Batch(size, survival)

# A network is any pair of functions: init makes the parameters, apply the outputs.
neuron = jn.Network(
    init=lambda key, x: ({"w": jnp.float32(0.01), "b": jnp.float32(0.01)}, {}),
    apply=lambda params, state, x, *, key, train: (params["w"] * x + params["b"], state),
    name="one neuron",
)


# A loss gives one number per example and a step descends on their *mean*, so that the size of a
# batch does not change the meaning of a learning rate. The textbook descends on the *sum*, which is
# as many times the mean as there are examples: so is its step.
def summed_squares(outputs, batch):
    """Per-example numbers whose mean is the sum of squared errors."""
    return batch.y.shape[0] * jn.losses.sum_squared_error(outputs, batch)


recipe = jn.train.make_recipe(neuron, loss=summed_squares, optimizer=jn.optim.sgd(0.05))
keys = jn.rng.member_keys(jax.random.key(0))  # nothing is random here, but a step may ask for keys
state = jn.train.init_state(recipe, keys, recipe.defaults, size)
step = jax.jit(lambda state: jn.train.step(recipe, state, patients, keys, recipe.defaults))


def total(w, b):
    """The sum of squared errors at one point of the plane."""
    outputs, _ = neuron.apply({"w": w, "b": b}, {}, size, key=None, train=False)
    return jnp.mean(summed_squares(outputs, patients))


errors = survival - (0.01 * size + 0.01)
print(f"start: sum of absolute errors {jnp.sum(jnp.abs(errors)):.3f}, "
      f"sum of squared errors {jnp.sum(errors**2):.2f}")  # fmt: skip
path = []
for number in range(101):
    w, b = state.params["w"], state.params["b"]
    path.append((float(w), float(b), float(total(w, b))))
    if number in (0, 1, 2, 3, 10, 30, 100):
        print(f"step {number:3}: w = {w:5.2f}, b = {b:.2f}, loss {path[-1][2]:5.2f}")
    state, record = step(state)  # record["loss"] is the loss before the step
path = np.array(path)

# The bottom of the bowl is known exactly: the least-squares line.
slope, intercept = np.polyfit(np.asarray(size, np.float64), np.asarray(survival, np.float64), 1)
print(f"least squares: w = {slope:.2f}, b = {intercept:.2f}, loss {total(slope, intercept):.2f}")

# The whole surface: the same function, mapped over a grid of points.
ws, bs = jnp.linspace(-1.6, 1.6, 200), jnp.linspace(-0.5, 4.5, 200)
surface = jax.vmap(jax.vmap(total, (0, None)), (None, 0))(ws, bs)

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
levels = [0.05, 0.2, 0.5, 1, 2, 4, 8, 16, 32, 64, 128]
shade = left.contourf(ws, bs, surface, levels, cmap="Blues", norm="log", extend="max")
left.contour(ws, bs, surface, levels, colors="white", linewidths=0.5)
left.plot(path[:, 0], path[:, 1], "o-", color="#D55E00", ms=3, lw=1.2)
for number, place in enumerate([(4, -10), (6, -3), (-11, -3), (6, 0)]):
    left.annotate(f"{number}", path[number, :2], place, textcoords="offset points", weight="bold")
left.plot(slope, intercept, "*", color="white", ms=14, mec="black")
left.set(xlabel="w", ylabel="b", title="Loss and path (star: minimum)")
figure.colorbar(shade, ax=left, label="sum of squared errors", ticks=levels, format="%g")

line = jnp.linspace(0, 3.4, 2)
for number, color in ((0, "#999999"), (1, "#56B4E9"), (3, "#009E73"), (30, "#D55E00")):
    right.plot(line, path[number, 0] * line + path[number, 1], color=color, label=f"{number}")
right.plot(line, slope * line + intercept, "k:", label="least squares")
right.plot(size, survival, "o", color="black", ms=7)
right.set(xlabel="tumour size", ylabel="survival", title="The neuron's line", ylim=(-0.2, 4.2))
right.legend(title="after step", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
path = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/examples") / "04_one_neuron.png"
path.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(path, dpi=150)
print(f"figure: {path}")
