"""Adam's rule against Optax's and against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets.adam import scale_by_adam

STEPS, B1, B2 = 50, 0.9, 0.999


def gradients() -> np.ndarray:
    """Of numbers from 1e-12 to 1e6, one step per row, some of them zero."""
    generator = np.random.default_rng(0)
    found = generator.normal(size=(STEPS, 60)) * 10.0 ** np.linspace(-12, 6, 60)
    found[generator.random(found.shape) < 0.1] = 0
    return found.astype(np.float32)


def updates(rule: optax.GradientTransformation) -> np.ndarray:
    """Of every step."""
    state, found, step = rule.init(jnp.zeros(60)), [], jax.jit(rule.update)
    for gradient in jnp.asarray(gradients()):
        update, state = step(gradient, state)
        found.append(update)
    return np.stack(found)


def exact(eps: float, eps_root: float, b1: float, b2: float) -> np.ndarray:
    """The paper's algorithm 1 in float64."""
    b1, b2 = float(np.float32(b1)), float(np.float32(b2))
    mean, square, found = np.zeros(60), np.zeros(60), []
    for step, gradient in enumerate(gradients().astype(np.float64), 1):
        mean = b1 * mean + (1 - b1) * gradient
        square = b2 * square + (1 - b2) * gradient**2
        under = square / (1 - b2**step) + eps_root
        found.append(mean / (1 - b1**step) / (np.sqrt(under) + eps))
    return np.stack(found)


@pytest.mark.parametrize("b2", [B2, 0.9])
@pytest.mark.parametrize(("eps", "eps_root"), [(1e-8, 0.0), (1e-3, 0.0), (0.0, 1e-16), (1e-8, 0.1)])
def test_equals_float64_as_closely_as_optax_does(eps: float, eps_root: float, b2: float):
    numbers = [jnp.float32(n) for n in (B1, b2, eps, eps_root)]
    want = exact(eps, eps_root, B1, b2)
    ours, theirs = (
        np.abs(updates(make(*numbers)) - want).max()
        for make in (scale_by_adam, optax.scale_by_adam)
    )
    assert ours < 5e-6 and ours < 1.5 * theirs


def test_state_is_that_of_optax():
    params = {"a": jnp.ones(3), "b": jnp.ones((2, 2))}
    ours, theirs = (make(B1, B2, 1e-8, 0.0) for make in (scale_by_adam, optax.scale_by_adam))
    _, one = ours.update(params, ours.init(params))
    _, two = theirs.update(params, theirs.init(params))
    jax.tree.map(np.testing.assert_array_equal, one, two)
    assert jax.tree.structure(one) == jax.tree.structure(two)


def test_each_number_is_divided_once():
    params = {"a": jnp.ones(60), "b": jnp.ones(60)}
    rule = scale_by_adam(B1, B2, 1e-8, 0.0)
    program = jax.jit(rule.update).lower(params, rule.init(params)).compile()
    assert program.as_text().count("f32[60]{0} divide(") == len(params)
