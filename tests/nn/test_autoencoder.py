"""The dense autoencoder: its parts, its shapes, and that the linear one is linear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.nn import Autoencoder

X = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)


def test_parts_make_the_whole():
    net = Autoencoder([8], 2, output_activation="sigmoid", dropout_rate=0.5, noise_scale=0.1)
    variables = net.init(jax.random.key(0), X)
    whole = net.apply(variables, X)
    code = net.apply(variables, X, method="encode")
    parts = net.apply(variables, code, method="decode")
    assert code.shape == (5, 2)
    np.testing.assert_array_equal(parts.reshape(X.shape), whole)
    inside = net.apply(variables, X, method=lambda m, x: m.decode(m.encode(x)))
    np.testing.assert_array_equal(inside, parts)
    assert bool(((whole > 0) & (whole < 1)).all())
    assert set(variables["hyper"]) == {"dropout_rate", "noise_scale"}


def test_linear_is_a_matrix_of_low_rank():
    net = Autoencoder([], 2)
    variables = net.init(jax.random.key(0), X)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    matrix = p["encoder"]["Dense_0"]["kernel"] @ p["decoder"]["Dense_0"]["kernel"]
    expected = (X.reshape(5, 12) @ matrix).reshape(X.shape)
    np.testing.assert_allclose(net.apply(variables, X), expected, rtol=1e-5, atol=1e-6)
    assert np.linalg.matrix_rank(matrix) == 2


def test_other_outputs():
    net = Autoencoder([8], 2, outputs=7)
    y, _ = net.init_with_output(jax.random.key(0), X)
    assert y.shape == (5, 7)
    y, _ = net.init_with_output(jax.random.key(0), jnp.ones((3, 2)), method="decode")
    assert y.shape == (3, 7)


def test_no_examples():
    for outputs, shape in ((3, (0, 3)), (None, (0, 2, 4))):
        net = Autoencoder([4], 2, outputs=outputs)
        assert net.init_with_output(jax.random.key(0), jnp.zeros((0, 2, 4)))[0].shape == shape


def test_what_bad_input_gets():
    with pytest.raises(ValueError, match="code: expected an integer of at least 1, got 0"):
        Autoencoder([8], 0)
    with pytest.raises(ValueError, match="code_activation: unknown name 'tahn'"):
        Autoencoder([8], 2, code_activation="tahn")
    with pytest.raises(ValueError, match="noise_scale: expected None or a finite number"):
        Autoencoder([8], 2, noise_scale=-1)
    with pytest.raises(ValueError, match=r"code: expected shape \(batch, 2\), got \(3, 4\)"):
        Autoencoder([8], 2, 7).init(jax.random.key(0), jnp.ones((3, 4)), method="decode")
    with pytest.raises(ValueError, match="outputs: needed to make a decoder"):
        Autoencoder([8], 2).init(jax.random.key(0), jnp.ones((3, 2)), method="decode")
