"""A learning rate that is learned: gradient descent on it, through 200 steps of gradient descent.

Source: the case study on metalearning of Greydanus and Kobak, arXiv:2011.14439, with the settings
of the authors' notebook: a tanh network 40-50-10 with torch's default initialisation, SGD on
batches of 50 in the order of the file; the outer loop descends on the mean of the 200 losses.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp

import jaxnets as jn
from benchmarks.references.record import Line

STEPS, OUTER_STEPS, OUTER_RATE = 200, 50, 0.3

MLP = jn.nn.MLP([50], outputs=10, activation="tanh", kernel_init="torch_uniform",
                bias_init="torch_uniform")  # fmt: skip


@cache
def torch_start(seed: int = 0) -> jn.Network:
    """The same network with the very weights from which the published run started."""
    import torch

    torch.manual_seed(seed)
    layers = [torch.nn.Linear(40, 50), torch.nn.Linear(50, 10)]
    params = {
        f"Dense_{i}": {
            "kernel": jnp.asarray(layer.weight.detach().numpy().T),
            "bias": jnp.asarray(layer.bias.detach().numpy()),
        }
        for i, layer in enumerate(layers)
    }
    network = jn.from_linen(MLP)
    return jn.Network(lambda key, x: (params, {}), network.apply, "the published start")


@partial(jax.jit, static_argnames=("network", "steps", "outer_steps"))
def learn(
    key: jax.Array,
    start: jax.Array,
    network: jn.Network,
    steps: int = STEPS,
    outer_steps: int = OUTER_STEPS,
) -> tuple[jax.Array, jax.Array]:
    """The learned rate and the mean inner loss at every outer step.

    Args:
        key: decides the initial weights, the same in every outer step.
        start: the first learning rate.
        network: what is trained.
        steps: of the inner loop.
        outer_steps: of the outer loop.

    Returns:
        Two arrays of shape ``(outer_steps,)``: the rate after each step, the loss before it.
    """
    train = jn.make_train(
        network,
        jn.data.mnist1d(valid=None).train,
        loss="softmax_cross_entropy",
        optimizer="sgd",
        steps=steps,
        batch_size=50,
        shuffle=False,
        every="step",
    )

    def mean_loss(rate: jax.Array) -> jax.Array:
        _, history = train(key, {"learning_rate": rate})
        return jnp.mean(history["loss"])

    def outer(rate: jax.Array, _: None) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        loss, slope = jax.value_and_grad(mean_loss)(rate)
        rate = rate - OUTER_RATE * slope
        return rate, (rate, loss)

    return jax.lax.scan(outer, jnp.float32(start), length=outer_steps)[1]


def experiment(own_starts: int = 5) -> list[Line]:
    """From both ends, with the published initial weights and with some of our own.

    The learned rate depends on the initial weights far more than on where it began, so our own are
    held only to what has to be: both ends arrive at the same rate.
    """
    lines, learned = [], {}
    for start, published in ((1.5, 0.624), (0.15, 0.620)):
        rates, losses = learn(jax.random.key(0), start, torch_start())
        band = (round(published - 0.001, 3), round(published + 0.001, 3))
        lines.append(
            Line(f"rate from {start}, published weights", str(published), [float(rates[-1])], *band)
        )
        lines.append(
            Line(f"mean inner loss from {start}", "1.716", [float(losses[-1])], 1.715, 1.717)
        )
        own = [learn(jax.random.key(seed), start, jn.from_linen(MLP)) for seed in range(own_starts)]
        learned[start] = [float(rates[-1]) for rates, _ in own]
        lines.append(Line(f"rate from {start}, own weights", "", learned[start]))
    apart = [abs(a - b) for a, b in zip(learned[1.5], learned[0.15], strict=True)]
    lines.append(Line("own weights: difference of the two ends", "0.004", apart, 0.0, 0.01))
    return lines
