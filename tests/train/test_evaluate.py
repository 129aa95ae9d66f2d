"""Means over a whole part, in chunks that do not show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.data import Batch
from jaxnets.train import evaluate, make_recipe
from jaxnets.train.evaluate import CHUNK, predict

NET = jn.from_linen(jn.nn.MLP([4], outputs=3, norm="batch", dropout_rate=0.5))
PARAMS, REST = NET.init(jax.random.key(0), jnp.ones((1, 5)))


def forward(x: np.ndarray) -> np.ndarray:
    """The network in float64 with its running statistics, mean 0 and variance 1."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), PARAMS)
    hidden = (x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]) / np.sqrt(1 + 1e-5)
    return np.maximum(hidden, 0) @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]


def rows(n: int) -> Batch:
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, 5)).astype(np.float32)
    return Batch(jnp.asarray(x), jnp.asarray(rng.integers(0, 3, n), jnp.int32))


@pytest.mark.parametrize(("n", "smoothing"), [(1, 0.0), (CHUNK, 0.2), (2 * CHUNK + 300, 0.2)])
def test_loss_and_metrics_are_means_over_examples(n: int, smoothing: float):
    recipe = make_recipe(NET, loss="softmax_cross_entropy")
    data, hyper = rows(n), recipe.defaults | {"label_smoothing": smoothing}
    found = jax.jit(lambda d: evaluate(recipe, PARAMS, REST, hyper, d))(data)
    logits, y = forward(np.asarray(data.x, np.float64)), np.asarray(data.y)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = -(1 - smoothing) * logs[np.arange(n), y] - smoothing * logs.mean(1)
    np.testing.assert_allclose(found["loss"], loss.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], np.mean(logits.argmax(1) == y), rtol=1e-6)
    assert set(found) == {"loss", "accuracy"}


@pytest.mark.parametrize("n", [1, 2 * CHUNK + 300])
def test_predictions_keep_their_order(n: int):
    x = rows(n).x
    found = predict(NET, PARAMS, REST, x)
    np.testing.assert_allclose(found, forward(np.asarray(x, np.float64)), atol=1e-5)


def test_outputs_may_be_a_tree():
    def apply(params, state, x, *, key, train):
        return {"double": 2 * x, "sum": x.sum(1)}, state

    network = jn.Network(lambda key, x: ({}, {}), apply)
    x = rows(CHUNK + 3).x
    found = predict(network, {}, {}, x)
    np.testing.assert_array_equal(found["double"], 2 * x)
    assert found["sum"].shape == (CHUNK + 3,)
