"""The accuracies of four architectures on MNIST-1D, in order and with the positions permuted.

Source: Greydanus and Kobak, Scaling Down Deep Learning with MNIST-1D, arXiv:2011.14439, with the
networks of the authors' repository. Adam at 1e-2 on batches of 100, taken in the order of the file,
6000 steps, torch's default initialisation; the weights of the last step count.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

import jaxnets as jn
from benchmarks.references.record import Line
from jaxnets.nn.initializers import symmetric_uniform

TORCH = {"kernel_init": "torch_uniform", "bias_init": "torch_uniform"}


class TorchGRUCell(nn.RNNCellBase):
    """The GRU with two biases per gate, as torch has it; Flax leaves the redundant ones out.

    Attributes:
        features: the size of the state.
    """

    features: int

    @nn.compact
    def __call__(self, carry: jax.Array, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """One step: state ``(batch, features)`` and inputs to the new state, twice."""
        start = symmetric_uniform(self.features**-0.5)
        dense = partial(nn.Dense, 3 * self.features, kernel_init=start, bias_init=start)
        of_input = jnp.split(dense(name="input")(inputs), 3, axis=-1)
        of_state = jnp.split(dense(name="state")(carry), 3, axis=-1)
        reset = nn.sigmoid(of_input[0] + of_state[0])
        update = nn.sigmoid(of_input[1] + of_state[1])
        proposal = nn.tanh(of_input[2] + reset * of_state[2])
        carry = (1.0 - update) * proposal + update * carry
        return carry, carry

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]) -> jax.Array:
        """The state before the first step: zeros."""
        return jnp.zeros((*input_shape[:-1], self.features))

    @property
    def num_feature_axes(self) -> int:
        """One axis of features."""
        return 1


class BidirectionalGRU(nn.Module):
    """A signal read forwards and backwards, all states of both into one linear layer.

    Attributes:
        features: the size of each of the two states.
        outputs: the number of outputs.
    """

    features: int
    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Signals ``(batch, length)`` to ``(batch, outputs)``."""
        both = nn.Bidirectional(
            nn.RNN(TorchGRUCell(self.features)), nn.RNN(TorchGRUCell(self.features))
        )
        states = both(x[..., None])
        return jn.nn.Dense(self.outputs, **TORCH)(states.reshape(x.shape[0], -1))


NETWORKS: dict[str, Any] = {
    "linear": jn.nn.MLP([], outputs=10, **TORCH),
    "MLP": jn.nn.ResidualMLP(100, 1, outputs=10, layers_per_block=1, preactivation=False, **TORCH),
    "CNN": jn.nn.ConvNet(
        [25, 25, 25], outputs=10, kernel_size=[5, 3, 3], strides=2, padding=1, **TORCH
    ),
    "GRU": BidirectionalGRU(6, outputs=10),
}
PARAMETERS = {"linear": 410, "MLP": 15_210, "CNN": 5_210, "GRU": 5_134}

# Published accuracy in percent, and the band for the median of five seeds.
IN_ORDER = {
    "linear": ("31.5 to 32", 30.0, 33.5),
    "MLP": ("65 to 68", 62.0, 69.0),
    "CNN": ("92 to 94", 90.0, 95.0),
    "GRU": ("89 to 91", 89.0, 91.0),
}
PERMUTED = {
    "linear": ("31.5", None, None),
    "MLP": ("66", None, None),
    "CNN": ("59", 52.0, 62.0),
    "GRU": ("53", None, None),
}


def accuracies(
    names: Sequence[str], *, permuted: bool, seeds: int = 5, epochs: int = 150
) -> dict[str, list[float]]:
    """Test accuracies in percent, by network, one per seed.

    Args:
        names: keys of ``NETWORKS``.
        permuted: whether the 40 positions are put into one fixed random order.
        seeds: how many initialisations.
        epochs: 150 are the published 6000 steps.
    """
    data = jn.data.mnist1d(valid=None)
    if permuted:
        data = data.permuted_features(jax.random.key(1))
    runs = jn.fit(
        jax.random.key(0),
        data,
        jn.grid(network=[NETWORKS[name] for name in names], seed=range(seeds)),
        loss="softmax_cross_entropy",
        optimizer=jn.optim.adam(1e-2),
        epochs=epochs,
        batch_size=100,
        shuffle=False,
        history_every=epochs,
    )
    test = 100 * runs.evaluate("test")["accuracy"].values.reshape(len(names), seeds)
    return {name: row.tolist() for name, row in zip(names, test, strict=True)}


def experiment(names: Sequence[str] = tuple(NETWORKS)) -> list[Line]:
    """The whole table."""
    lines, medians = [], {}
    for where, published in (("in order", IN_ORDER), ("permuted", PERMUTED)):
        found = accuracies(names, permuted=where == "permuted")
        for name, values in found.items():
            text, low, high = published[name]
            line = Line(f"{name}, {where}: test accuracy, %", text, values, low, high)
            medians[name, where] = line.median
            lines.append(line)
    if "MLP" in names:
        gap = abs(medians["MLP", "in order"] - medians["MLP", "permuted"])
        lines.append(Line("MLP: |in order - permuted|, %", "0 to 2", [gap], 0.0, 3.0))
    return lines
