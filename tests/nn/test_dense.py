"""Dense layers, dropout and DropConnect against NumPy in float64; what bad fields get."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxnets.nn import MLP, Dense, Dropout, dropout

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 5)).astype(np.float32)


def f64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def test_dense():
    layer = Dense(3, bias_init="small_normal")
    variables = layer.init(jax.random.key(0), X)
    p = f64(variables["params"])
    np.testing.assert_allclose(
        layer.apply(variables, X), X @ p["kernel"] + p["bias"], rtol=2e-6, atol=1e-6
    )


def test_mlp_is_dense_activation_dense():
    net = MLP([4, 4], 2, activation="tanh", bias_init="small_normal")
    variables = net.init(jax.random.key(0), X)
    p, h = f64(variables["params"]), X.astype(np.float64)
    for i in range(3):
        h = h @ p[f"Dense_{i}"]["kernel"] + p[f"Dense_{i}"]["bias"]
        h = np.tanh(h) if i < 2 else h
    np.testing.assert_allclose(net.apply(variables, X), h, rtol=1e-5, atol=1e-6)


def test_dropconnect_masks_the_kernel_once_for_the_batch():
    layer = Dense(200, dropconnect_rate=0.3, bias_init="ones")
    x = np.eye(5, dtype=np.float32)
    variables = layer.init(jax.random.key(0), x)
    kernel = np.asarray(variables["params"]["kernel"])
    y = layer.apply(variables, x, train=True, rngs={"dropout": jax.random.key(1)})
    seen = np.asarray(y) - 1.0
    kept = seen != 0
    assert abs(kept.mean() - 0.7) < 4 * np.sqrt(0.3 * 0.7 / 1000)
    np.testing.assert_allclose(seen, np.where(kept, kernel / 0.7, 0), rtol=1e-5, atol=1e-6)
    twice = layer.apply(
        variables, np.concatenate([x, x]), train=True, rngs={"dropout": jax.random.key(1)}
    )
    np.testing.assert_array_equal(twice[:5], twice[5:])


def test_dropout_is_linens_and_keeps_the_mean():
    x = jnp.ones((100, 400))
    key = jax.random.key(3)
    for rate in (0.1, 0.5):
        theirs = nn.Dropout(rate, deterministic=False).apply({}, x, rngs={"dropout": key})
        layer = Dropout(rate)
        state = layer.init(jax.random.key(0), x)
        ours = np.asarray(layer.apply(state, x, train=True, rngs={"dropout": key}))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        assert abs((ours > 0).mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / x.size)
        assert abs(ours.mean() - 1) < 4 * np.sqrt(rate / (1 - rate) / x.size)


def test_dropout_of_everything_has_finite_gradients():
    def total(x, rate):
        return dropout(x, rate, jax.random.key(0)).sum()

    for rate in (0.0, 0.5, 1.0):
        value, grads = jax.value_and_grad(total, (0, 1))(jnp.ones(9), jnp.float32(rate))
        assert all(bool(jnp.isfinite(g).all()) for g in (value, *grads))
    assert float(value) == 0.0


def test_each_member_has_its_own_rate():
    net = MLP([500], 1, dropout_rate=0.5, kernel_init="ones")
    variables = net.init(jax.random.key(0), jnp.ones((1, 1)))

    @jax.jit
    @jax.vmap
    def kept(rate):
        v = {"params": variables["params"], "hyper": {"dropout_rate": rate}}
        y = net.apply(v, jnp.ones((1, 1)), train=True, rngs={"dropout": jax.random.key(1)})
        return y[0, 0] * (1 - rate) / 500

    rates = np.array([0.0, 0.2, 0.8], np.float32)
    np.testing.assert_allclose(kept(jnp.asarray(rates)), 1 - rates, atol=0.08)


BAD = [
    ({"features": [8, 0]}, ValueError, r"features\[1\]: expected an integer of at least 1, got 0"),
    ({"features": 8}, TypeError, "features: expected a sequence of integers, got 8"),
    ({"features": [8.5]}, TypeError, r"features\[0\]: expected an integer"),
    ({"features": [True]}, TypeError, r"features\[0\]: expected an integer"),
    ({"outputs": 0}, ValueError, "outputs: expected an integer of at least 1, got 0"),
    ({"outputs": None}, TypeError, "outputs: expected an integer"),
    ({"norm": "batchnorm"}, ValueError, "norm: unknown name 'batchnorm'"),
    ({"norm": ["batch"]}, ValueError, "norm: unknown name"),
    ({"dropout_rate": 1.0}, ValueError, r"dropout_rate: expected None or a finite number in \[0"),
    ({"dropout_rate": "0.5"}, TypeError, "dropout_rate: expected None or a finite number"),
    ({"dropconnect_rate": float("nan")}, ValueError, "dropconnect_rate: expected"),
    ({"dtype": "int32"}, TypeError, "dtype: expected a floating dtype, got int32"),
    ({"activation": 3}, ValueError, "activation: unknown name 3"),
]


@pytest.mark.parametrize(("fields", "error", "message"), BAD, ids=lambda v: str(v)[:30])
def test_bad_fields_are_refused_when_the_module_is_made(fields, error, message):
    with pytest.raises(error, match=message):
        MLP(**{"features": [8], "outputs": 3, **fields})


def test_rank_one_is_refused():
    with pytest.raises(ValueError, match="x: expected a batch of rank 2 or more"):
        MLP([8], 3).init(jax.random.key(0), jnp.ones(5))
