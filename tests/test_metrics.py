from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import losses, metrics

RNG = np.random.default_rng(1)
LOGITS = RNG.normal(size=(50, 8)).astype(np.float32)
LABELS = RNG.integers(0, 8, size=50)
BITS = RNG.integers(0, 2, size=(50, 8))

# name, targets, reference
CASES = [
    ("accuracy", LABELS, lambda o, y: o.argmax(-1) == y),
    ("top_5_accuracy", LABELS, lambda o, y: (np.argsort(-o)[:, :5] == y[:, None]).any(-1)),
    ("binary_accuracy", BITS, lambda o, y: ((o > 0) == (y == 1)).mean(-1)),
    ("squared_error", BITS, lambda o, y: ((o - y) ** 2).mean(-1)),
    ("absolute_error", BITS, lambda o, y: np.abs(o - y).mean(-1)),
]  # fmt: skip


def test_every_metric_has_a_case():
    assert {case[0] for case in CASES} == set(metrics.METRICS)


@pytest.mark.parametrize(("name", "y", "reference"), CASES, ids=[c[0] for c in CASES])
def test_equals_numpy_with_and_without_jit(name, y, reference):
    batch = SimpleNamespace(y=jnp.asarray(y))
    for wrap in (lambda f: f, jax.jit):
        got = wrap(lambda o: metrics.get(name)(o, batch))(jnp.asarray(LOGITS))
        assert got.shape == (50,)
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, np.asarray(reference(LOGITS, y)), rtol=1e-6)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_shapes_that_do_not_fit(name):
    batch = SimpleNamespace(y=jnp.zeros((4, 2), jnp.int32))
    with pytest.raises(ValueError, match=rf"{name}: .*\(4, 3\).*\(4, 2\)"):
        jax.eval_shape(lambda o: metrics.get(name)(o, batch), jnp.zeros((4, 3)))


@pytest.mark.parametrize("name", ["accuracy", "binary_accuracy"])
def test_nan_is_wrong(name):
    y = jnp.zeros(2, jnp.int32) if name == "accuracy" else jnp.zeros((2, 3))
    outputs = jnp.array([[jnp.nan, jnp.nan, jnp.nan], [-0.1, -1.0, -1.0]])
    np.testing.assert_array_equal(metrics.get(name)(outputs, SimpleNamespace(y=y)), [0.0, 1.0])


def test_nan_is_not_among_the_largest():
    batch = SimpleNamespace(y=jnp.array([0]))
    outputs = jnp.full((1, 6), jnp.nan)
    np.testing.assert_array_equal(metrics.top_k_accuracy(3)(outputs, batch), [0.0])


def test_equal_outputs_do_not_all_count():
    # A network that says the same for every class is right for one class, not for all.
    outputs, batch = jnp.zeros((4, 4)), SimpleNamespace(y=jnp.arange(4))
    for k in (1, 2, 3):
        _, best = jax.lax.top_k(outputs, k)
        want = (best == batch.y[:, None]).any(-1)
        np.testing.assert_array_equal(metrics.top_k_accuracy(k)(outputs, batch), want)
    np.testing.assert_array_equal(metrics.accuracy(outputs, batch), [1.0, 0.0, 0.0, 0.0])


def test_a_label_that_there_is_not_is_never_right():
    outputs, batch = -jnp.ones((3, 4)), SimpleNamespace(y=jnp.array([7, -1, 1]))
    far = SimpleNamespace(y=np.array([2**32, 2**32 + 1, 1]))  # 0 and 1, were they cut to 32 bits
    np.testing.assert_array_equal(metrics.accuracy(jnp.eye(3), far), [0.0, 0.0, 0.0])
    assert np.isnan(losses.softmax_cross_entropy(outputs, far)[:2]).all()
    for metric in (metrics.accuracy, metrics.top_k_accuracy(2), metrics.top_k_accuracy(4)):
        np.testing.assert_array_equal(metric(outputs, batch)[:2], [0.0, 0.0])
    np.testing.assert_array_equal(metrics.top_k_accuracy(2)(outputs, batch), [0.0, 0.0, 1.0])


def test_positions_of_an_example_are_averaged():
    outputs = jnp.eye(2)[jnp.array([[0, 1, 1, 1]])]
    batch = SimpleNamespace(y=jnp.array([[0, 0, 0, 1]]))
    np.testing.assert_array_equal(metrics.accuracy(outputs, batch), [0.5])


def test_top_k():
    assert metrics.top_k_accuracy(3) is metrics.top_k_accuracy(np.int64(3))
    assert metrics.top_k_accuracy(1).__name__ == "top_1_accuracy"
    with pytest.raises(TypeError, match="k: expected an integer, got True"):
        metrics.top_k_accuracy(True)  # equal to 1, which is known already
    assert metrics.top_k_accuracy(3).__name__ == "top_3_accuracy"
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        metrics.top_k_accuracy(0)
    with pytest.raises(TypeError, match=r"k: expected an integer, got 1\.5"):
        metrics.top_k_accuracy(1.5)
    with pytest.raises(ValueError, match=r"top_9_accuracy: expected at least 9 classes.*\(50, 8\)"):
        metrics.top_k_accuracy(9)(jnp.asarray(LOGITS), SimpleNamespace(y=jnp.asarray(LABELS)))


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_defaults_accept_what_the_loss_accepts(loss):
    y = {"softmax_cross_entropy": LABELS}.get(loss, BITS)
    for name, metric in metrics.defaults(loss).items():
        assert name == "accuracy"
        assert metric(jnp.asarray(LOGITS), SimpleNamespace(y=jnp.asarray(y))).shape == (50,)


def test_get_and_defaults():
    def mine(outputs, batch):
        return outputs

    assert metrics.get(mine) is mine
    assert metrics.defaults(mine) == {}
    assert metrics.defaults("sigmoid_binary_cross_entropy") == {"accuracy": metrics.binary_accuracy}
    with pytest.raises(ValueError, match=r"unknown name 'acuracy'\. Did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(TypeError, match="metric: expected a name or a function"):
        metrics.get(3)
