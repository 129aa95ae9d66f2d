"""Every activation and its derivative against NumPy in float64, and against printed numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxnets.nn import ACTIVATIONS, MLP, activation_function

erf = np.vectorize(math.erf)
ALPHA, SCALE = 1.6732632423543772848, 1.0507009873554804934


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


REFERENCES = {
    "identity": lambda x: x,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softmax": softmax,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x >= 0, x, 0.01 * x),
    "prelu": lambda x: np.where(x >= 0, x, 0.25 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
    "selu": lambda x: SCALE * np.where(x > 0, x, ALPHA * np.expm1(x)),
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.log1p(np.exp(x)),
}


class Layer(nn.Module):
    activation: str

    @nn.compact
    def __call__(self, x):
        return activation_function(self.activation)(x)


def test_every_activation_has_a_reference():
    assert set(REFERENCES) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", REFERENCES)
def test_value_and_derivative(name):
    x = np.linspace(-4.03, 3.97, 64).reshape(8, 8)
    weights = np.random.default_rng(0).standard_normal(x.shape)
    layer, reference = Layer(name), REFERENCES[name]
    variables = layer.init(jax.random.key(0), jnp.zeros((1, 8)))

    @jax.jit
    def both(x):
        y, pull = jax.vjp(lambda x: layer.apply(variables, x), x)
        return y, pull(jnp.asarray(weights, jnp.float32))[0]

    y, gradient = both(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(y, reference(x), rtol=2e-6, atol=1e-6)
    h = 1e-5
    expected = np.empty_like(x)
    for j in range(8):
        step = h * (np.arange(8) == j)
        change = (reference(x + step) - reference(x - step)) / (2 * h)
        expected[:, j] = (weights * change).sum(-1)
    np.testing.assert_allclose(gradient, expected, rtol=2e-5, atol=3e-6)


@pytest.mark.parametrize("name", [n for n in REFERENCES if n != "softmax"])
def test_derivatives_are_finite_far_out(name):
    layer = Layer(name)
    variables = layer.init(jax.random.key(0), jnp.zeros(1))
    slope = jax.jit(jax.vmap(jax.grad(lambda x: layer.apply(variables, x))))
    assert np.isfinite(slope(jnp.array([-1e10, -1e4, -100.0, 0.0, 100.0, 1e4]))).all()


def test_printed_numbers():
    one = jnp.float32(1.0)
    assert abs(float(ACTIVATIONS["gelu"](one)) - 0.8413447) < 1e-7
    assert abs(float(ACTIVATIONS["gelu_tanh"](one)) - 0.8411920) < 1e-7
    assert abs(float(ACTIVATIONS["selu"](-one)) + 1.1113307) < 2e-7
    assert float(jax.grad(ACTIVATIONS["relu"])(0.0)) == 0.0


def test_selu_fixed_point_in_float64():
    """Mean 0 and variance 1 of SELU(z), z ~ N(0, 1), in closed form with the constants used."""

    def below_zero(k):
        """E[exp(k z); z < 0]."""
        return math.exp(k * k / 2) * math.erfc(k / math.sqrt(2)) / 2

    mean = SCALE * (1 / math.sqrt(2 * math.pi) + ALPHA * (below_zero(1) - 0.5))
    square = SCALE**2 * (0.5 + ALPHA**2 * (below_zero(2) - 2 * below_zero(1) + 0.5))
    assert abs(mean) < 1e-10
    assert abs(square - 1) < 1e-10


def test_a_learned_slope_per_layer():
    net = MLP([3, 3], 1, activation="prelu")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((5, 2)), jnp.float32)
    params = net.init(jax.random.key(0), x)["params"]
    grads = jax.jit(jax.grad(lambda p: net.apply({"params": p}, x).sum()))(params)
    assert all(float(grads[f"PReLU_{i}"]["negative_slope"]) != 0 for i in range(2))


def test_a_function_of_the_users():
    x = jnp.ones((2, 2))
    named = MLP([3], 1, activation="tanh")
    params = named.init(jax.random.key(0), x)
    given = MLP([3], 1, activation=jnp.tanh).apply(params, x)
    np.testing.assert_array_equal(given, named.apply(params, x))


def test_unknown_name():
    with pytest.raises(ValueError, match="activation: unknown name 'rleu'"):
        MLP([3], 1, activation="rleu")
