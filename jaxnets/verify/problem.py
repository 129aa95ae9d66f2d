"""The small population that is trained over and over: made up, the same on every machine."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen

from jaxnets import nn, optim
from jaxnets.data import Dataset
from jaxnets.errors import lookup
from jaxnets.population import Member, member

ROWS, BATCH, EPOCHS = 22, 8, 4
"""The last batch of an epoch is a batch of six."""

LOSS = "softmax_cross_entropy"
ABSURD = 1e38
"""A learning rate that no network survives."""


@dataclass(frozen=True)
class Candidate:
    """A network, and how it is trained.

    Attributes:
        module: the network.
        optimizer: as jaxnets takes it.
        plain: the same from Optax alone, from a learning rate.
        numbers: by name, per member: two values, of which the members have one in turn.
    """

    module: linen.Module
    optimizer: Any
    plain: Callable[[Any], optax.GradientTransformation]
    numbers: dict[str, tuple[float, float]]


def _plain_adam(rate: Any) -> optax.GradientTransformation:
    # Optax takes 1 - b2 in double precision from a Python number and in float32 from an array,
    # which a population's numbers are.
    b1, b2 = jnp.float32(0.9), jnp.float32(0.999)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate, b1=b1, b2=b2))


CANDIDATES: dict[str, Candidate] = {
    # Batch normalisation, pooling, a convolution. Adam would turn the gradient of a bias before
    # batch normalisation, which is nothing but rounding, into steps of full length.
    "convolution": Candidate(
        nn.ConvNet([4], 3, norm="batch", pool="max"),
        "momentum",
        lambda rate: optax.sgd(rate, momentum=0.9),
        {"learning_rate": (0.02, 0.05)},
    ),
    "residual": Candidate(
        nn.ResidualMLP(8, 1, 3, dropout_rate=0.1),
        optim.adam(clip_norm=1.0),
        _plain_adam,
        {"learning_rate": (0.003, 0.01), "dropout_rate": (0.1, 0.3)},
    ),
}
"""What is trained. Few and small, since each is compiled many times; between them they have what
can make a member depend on others: statistics of batches, dropout, one norm over all parameters,
convolutions, an optimizer that counts."""


def root() -> jax.Array:
    """The root key of everything here."""
    return jax.random.key(20, impl="threefry2x32")


def dataset() -> Dataset:
    """Three noisy classes of images with one channel.

    Example:
        >>> dataset()
        Dataset('made up': train 22, valid 10, test none; x (6, 6, 1) float32; y 3 classes)
    """

    def part(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        y = (np.arange(n) % 3).astype(np.int32)
        x = rng.standard_normal((n, 6, 6, 1)) + 0.5 * (y[:, None, None, None] - 1)
        return x.astype(np.float32), y

    return Dataset.from_splits(train=part(ROWS, 1), valid=part(10, 2), test=None, name="made up")


def members(names: Iterable[str], seeds: Iterable[int], **numbers: float) -> list[Member]:
    """One member per network and seed, with different numbers.

    Args:
        names: of `CANDIDATES`.
        seeds: of every network.
        **numbers: the same for all of them, in place of their own.

    Returns:
        All of the first network, then all of the second, ...

    Example:
        >>> [one.numbers["learning_rate"] for one in members(["convolution"], range(3))]
        [0.02, 0.05, 0.02]
    """
    found, given = [], list(seeds)
    for name in names:
        candidate = lookup("network", name, CANDIDATES)
        for seed in given:
            own = {key: pair[seed % 2] for key, pair in candidate.numbers.items()} | numbers
            found.append(member(candidate.module, optimizer=candidate.optimizer, seed=seed, **own))
    return found


def describe(one: Member) -> str:
    """A member in a few words.

    Example:
        >>> describe(members(["convolution"], [3])[0])
        'convolution, seed 3'
    """
    return f"{candidate_of(one)}, seed {one.seeds['seed']}"


def candidate_of(one: Member) -> str:
    """The name of a member's network in `CANDIDATES`."""
    return next(name for name, c in CANDIDATES.items() if c.module == one.network.module)


def settings(**options: Any) -> dict[str, Any]:
    """How the population is trained, unless a check asks for something else."""
    return {
        "loss": LOSS, "batch_size": BATCH, "epochs": EPOCHS, "keep": "last", "progress": False,
    } | options  # fmt: skip


def seeds_for(devices: Sequence[jax.Device]) -> range:
    """More members of every network than there are devices: more than one dispatch."""
    return range(max(3, len(devices) + 1))
