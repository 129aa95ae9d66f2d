import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import clipping

RNG = np.random.default_rng(0)


def pair(shape):
    return (jnp.asarray(RNG.normal(size=shape), jnp.float32) for _ in range(2))


@pytest.mark.parametrize("shape", [(), (5,), (6, 5), (3, 3, 4, 5)])
def test_adaptive_equals_optax_where_the_units_are_the_same(shape):
    weights, gradient = pair(shape)
    ours, theirs = clipping.adaptive(0.5), optax.adaptive_grad_clip(0.5)
    if shape == ():
        # Optax's does not take scalars.
        most = 0.5 * abs(float(weights))
        want = np.clip(gradient, -most, most)
    else:
        want, _ = theirs.update(gradient, theirs.init(weights), weights)
    got, _ = ours.update(gradient, ours.init(weights), weights)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_one_dimensional_convolution_has_one_unit_per_output_feature():
    weights, gradient = pair((3, 4, 5))
    clip = clipping.adaptive(0.5)
    got, _ = clip.update(gradient, clip.init(weights), weights)
    flat = clip.update(gradient.reshape(12, 5), clip.init(weights), weights.reshape(12, 5))[0]
    np.testing.assert_allclose(got, flat.reshape(3, 4, 5), rtol=1e-6)
    ratio = jnp.sqrt(jnp.sum(got**2, (0, 1)) / jnp.sum(weights**2, (0, 1)))
    assert (ratio < 0.5 + 1e-6).all()


def test_adaptive_needs_parameters():
    clip = clipping.adaptive(0.5)
    with pytest.raises(ValueError, match="params: adaptive clipping needs the parameters"):
        clip.update(jnp.ones(3), clip.init(jnp.ones(3)))


def test_zero_weights_can_move_and_zero_gradients_have_a_derivative():
    clip = clipping.adaptive(0.5)
    got, _ = clip.update(jnp.ones((4, 1)), clip.init(None), jnp.zeros((4, 1)))
    np.testing.assert_allclose(jnp.linalg.norm(got), 0.5e-3, rtol=1e-6)
    slope = jax.grad(lambda g: clip.update(g, clip.init(None), jnp.ones((4, 2)))[0].sum())
    np.testing.assert_array_equal(slope(jnp.zeros((4, 2))), np.ones((4, 2)))


def test_in_float32_changes_nothing_on_float32():
    params, gradient = pair((6, 5))
    inner = optax.adam(0.1)
    wrapped = clipping.in_float32(inner)
    want = inner.update(gradient, inner.init(params), params)
    got = wrapped.update(gradient, wrapped.init(params), params)
    jax.tree.map(np.testing.assert_array_equal, got, want)


@pytest.mark.parametrize("size", [0.01, 1.0, 3.0])
def test_by_norm_is_optaxs(size: float):
    _, gradient = pair((6, 5))
    tree = {"a": size * gradient / jnp.linalg.norm(gradient), "b": jnp.zeros(3)}
    want, _ = optax.clip_by_global_norm(1.0).update(tree, optax.EmptyState())
    got, _ = clipping.by_norm(1.0).update(tree, optax.EmptyState())
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_by_norm_has_a_derivative_at_zero_and_hides_no_fault():
    clip = clipping.by_norm(1.0)
    slope = jax.grad(lambda g: clip.update(g, clip.init(None))[0].sum())
    np.testing.assert_array_equal(slope(jnp.zeros(3)), np.ones(3))
    assert not jnp.isfinite(clip.update(jnp.array([1.0, jnp.nan]), clip.init(None))[0]).any()
    assert not jnp.isfinite(clip.update(jnp.array([1.0, jnp.inf]), clip.init(None))[0]).all()
