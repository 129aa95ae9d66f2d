"""One small problem that the tests of training and of populations share.

Programs are compiled once per architecture and remembered, so that tests which ask for the same
shapes and options pay for one compilation together.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import jax
import numpy as np
import pytest

import jaxnets as jn

ROOT = jax.random.key(11)
NET = jn.nn.MLP([4], outputs=3)
LOSS = "softmax_cross_entropy"
BATCH, EPOCHS = 4, 3


def part(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three noisy classes in three dimensions."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n).astype(np.int32)
    x = rng.standard_normal((n, 3)) + 1.5 * np.eye(3)[y]
    return x.astype(np.float32), y


DATA = jn.data.Dataset.from_splits(train=part(10, 1), valid=part(6, 2), test=part(7, 3))
"""Ten training rows in batches of four: the last batch is a batch of two."""


def regression(n: int = 10) -> jn.data.Dataset:
    """Two numbers from three, without a validation part."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, 3)).astype(np.float32)
    y = x[:, :2] * [1.0, -2.0] + 0.1 * rng.standard_normal((n, 2)) + 0.5
    return jn.data.Dataset.from_splits(train=(x, y.astype(np.float32)), valid=None, test=None)


def fit(members: Any = None, data: Any = DATA, key: Any = ROOT, **options: Any) -> jn.Runs:
    """`jaxnets.fit` on the shared problem."""
    given = {"loss": LOSS, "optimizer": "sgd", "batch_size": BATCH, "epochs": EPOCHS} | options
    return jn.fit(
        key, data, jn.member(NET, learning_rate=0.1) if members is None else members, **given
    )


def leaves(runs: jn.Runs, index: int = 0) -> list[np.ndarray]:
    """Everything that was kept of one member."""
    trained = runs[index]
    return [np.asarray(leaf) for leaf in jax.tree.leaves((trained.params, trained.collections))]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Whether two lists of arrays hold the same bits, up to the payload of a NaN."""
    return len(a) == len(b) and all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True)
    )


_EVENTS: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **about: (
        _EVENTS.append(about.get("fun_name", "")) if "backend_compile" in event else None
    )
)


@contextmanager
def compilations() -> Iterator[list[str]]:
    """The names of the functions that XLA compiles while the block runs."""
    start, found = len(_EVENTS), []
    yield found
    found.extend(_EVENTS[start:])


def check_refused(call: Callable[[], Any], kind: type[Exception], *fragments: str) -> None:
    """A mistake is refused in these words, soon, and before anything is compiled."""
    start = perf_counter()
    with compilations() as compiled, pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert type(caught.value) is kind, repr(caught.value)
    for fragment in fragments:
        assert fragment in str(caught.value), str(caught.value)
    assert compiled == []
    assert perf_counter() - start < 2
