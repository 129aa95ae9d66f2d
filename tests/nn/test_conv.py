"""Convolution and pooling against NumPy loops in float64, and all methods against each other."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.test_util import check_grads

from jaxnets.nn import Conv, ConvNet, avg_pool, convolve, max_pool
from jaxnets.nn.conv_cost import METHODS
from jaxnets.nn.windows import padding_pairs


def windows(x, window, strides, pairs, dilation, fill=0.0):
    """All windows of a padded array by loops: (batch, *out, *window, channels)."""
    x = np.pad(np.asarray(x, np.float64), ((0, 0), *pairs, (0, 0)), constant_values=fill)
    size = [
        (n - (w - 1) * d - 1) // s + 1
        for n, w, s, d in zip(x.shape[1:-1], window, strides, dilation, strict=True)
    ]
    out = np.empty((len(x), *size, *window, x.shape[-1]))
    for i in itertools.product(*map(range, size)):
        for k in itertools.product(*map(range, window)):
            at = tuple(a * s + b * d for a, s, b, d in zip(i, strides, k, dilation, strict=True))
            out[(slice(None), *i, *k)] = x[(slice(None), *at)]
    return out


def naive(x, kernel, strides, pairs, dilation):
    seen = windows(x, kernel.shape[:-2], strides, pairs, dilation)
    rank = kernel.ndim - 2
    axes = tuple(range(rank + 1, 2 * rank + 2))
    return np.tensordot(seen, np.asarray(kernel, np.float64), (axes, tuple(range(rank + 1))))


# Spatial shape, kernel, strides, padding, dilation.
GEOMETRIES = [
    ((9,), (3,), (1,), "SAME", (1,)),
    ((10,), (5,), (2,), 1, (1,)),
    ((11,), (3,), (3,), "VALID", (2,)),
    ((8,), (3,), (2,), "SAME", (2,)),
    ((6, 7), (3, 3), (1, 1), "SAME", (1, 1)),
    ((8, 6), (3, 2), (2, 1), "SAME", (1, 1)),
    ((7, 8), (3, 3), (2, 2), 1, (1, 1)),
    ((9, 8), (2, 3), (1, 2), ((0, 2), 1), (2, 1)),
    ((9, 9), (3, 3), (2, 3), "VALID", (2, 2)),
    ((5, 5), (1, 1), (2, 2), "VALID", (1, 1)),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_all_methods_and_their_gradients(geometry):
    space, window, strides, padding, dilation = geometry
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, *space, 3)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((*window, 3, 4)), jnp.float32)
    pairs = padding_pairs(padding, space, window, strides, dilation)
    expected = naive(x, kernel, strides, pairs, dilation)
    weights = jnp.asarray(rng.standard_normal(expected.shape), jnp.float32)
    results = {}
    for method in METHODS:

        @jax.jit
        def both(x, kernel, method=method):
            y, pull = jax.vjp(
                lambda x, k: convolve(
                    x, k, strides=strides, padding=padding, dilation=dilation, method=method
                ),
                x,
                kernel,
            )
            return y, pull(weights)

        y, _ = results[method] = both(x, kernel)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    for method in METHODS:
        for a, b in zip(results["lax"][1], results[method][1], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-5)
    # The kernel's gradient again, from the loops: the patches weighted with the cotangent.
    seen = windows(x, window, strides, pairs, dilation)
    rank = len(space)
    axes = tuple(range(rank + 1))
    kernel_gradient = np.tensordot(seen, np.asarray(weights, np.float64), (axes, axes))
    np.testing.assert_allclose(results["patches"][1][1], kernel_gradient, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("padding", ["SAME", "VALID", 1])
def test_layout_is_linens(strides, padding):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 7, 6, 3)), jnp.float32)
    theirs = nn.Conv(4, (3, 3), strides, padding)
    variables = theirs.init(jax.random.key(0), x)
    ours = Conv(4, 3, strides, padding, method="patches")
    np.testing.assert_allclose(
        ours.apply(variables, x), theirs.apply(variables, x), rtol=1e-5, atol=1e-5
    )
    own = ours.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, own, variables)


POOLS = [((2, 2), None, "VALID"), ((3, 2), None, "VALID"), ((3, 3), (2, 2), 1), ((2, 2), 1, "SAME")]


@pytest.mark.parametrize("pooling", POOLS, ids=str)
def test_pooling(pooling):
    window, strides, padding = pooling
    x = np.random.default_rng(0).standard_normal((2, 7, 8, 3)).astype(np.float32)
    step = window if strides is None else (strides,) * 2 if isinstance(strides, int) else strides
    pairs = padding_pairs(padding, (7, 8), window, step, (1, 1))
    largest = windows(x, window, step, pairs, (1, 1), -np.inf).max((3, 4))
    mean = windows(x, window, step, pairs, (1, 1)).mean((3, 4))
    np.testing.assert_array_equal(max_pool(jnp.asarray(x), window, strides, padding), largest)
    np.testing.assert_allclose(
        avg_pool(jnp.asarray(x), window, strides, padding), mean, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("pool", [max_pool, avg_pool])
@pytest.mark.parametrize(
    "pooling",
    [((3, 2), None, "VALID"), ((2, 8), None, "VALID"), ((3, 2), 1, "VALID"), ((2, 8), 1, 0),
     ((5, 2), None, 1), ((2, 10), 1, 1)],
    ids=str,
)  # fmt: skip
def test_a_window_that_does_not_fit(pool, pooling):
    window, strides, padding = pooling
    with pytest.raises(ValueError, match=r"x: a window of .* does not fit"):
        pool(jnp.zeros((1, 2, 7, 1)), window, strides, padding)


@pytest.mark.parametrize("strides", [None, 1])
@pytest.mark.parametrize(("dtype", "value"), [(jnp.bfloat16, 0.5), (jnp.float16, 3000.0)])
def test_means_of_narrow_numbers_are_added_up_in_wide_ones(dtype, value, strides):
    for window in (4, 32):  # of slices and of XLA's windows, where they overlap
        mean = avg_pool(jnp.full((1, 32, 32, 1), value, dtype), window, strides)
        assert mean.dtype == dtype
        np.testing.assert_array_equal(mean, np.full(mean.shape, value))


def test_a_window_in_the_padding_has_no_maximum():
    with pytest.raises(ValueError, match=r"padding: expected less than the window \(2,\)"):
        max_pool(jnp.ones((1, 2, 1)), 2, 2, 2)
    np.testing.assert_array_equal(max_pool(jnp.ones((1, 4, 1)), 2, 2, 1), 1)


@pytest.mark.parametrize("method", ["lax", "patches", "mec", "banded", "winograd"])
def test_the_precision_is_that_of_where_it_was_traced(method):
    def within(x, kernel):
        with jax.default_matmul_precision("highest"):
            return convolve(x, kernel, method=method).sum()

    x, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
    inside = jax.jit(jax.value_and_grad(within, (0, 1))).lower(x, kernel).as_text()
    assert "HIGHEST" in inside and "DEFAULT" not in inside
    outside = jax.jit(lambda x, kernel: convolve(x, kernel, method=method)).trace(x, kernel)
    with jax.default_matmul_precision("highest"):
        assert "HIGHEST" not in outside.lower().as_text()


@pytest.mark.parametrize("method", ["auto", "patches", "mec", "banded", "winograd"])
def test_an_empty_batch(method):
    kernel = jnp.ones((3, 3, 3, 4))

    def total(kernel, x):
        return convolve(x, kernel, method=method).sum()

    empty = jnp.zeros((0, 8, 8, 3))
    assert convolve(empty, kernel, method=method).shape == (0, 8, 8, 4)
    np.testing.assert_array_equal(jax.grad(total)(kernel, empty), 0)
    net = ConvNet([4], 2, method=method)
    variables = net.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    assert net.apply(variables, jnp.zeros((0, 8, 8, 1))).shape == (0, 2)


@pytest.mark.parametrize("method", ["auto", "patches"])
def test_a_batch_whose_size_is_not_known_is_exported(method):
    net, x = ConvNet([4], 2, method=method), jnp.ones((3, 8, 8, 1))
    variables = net.init(jax.random.key(0), x)
    (batch,) = jax.export.symbolic_shape("batch")
    shape = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    exported = jax.export.export(jax.jit(lambda x: net.apply(variables, x)))(shape)
    np.testing.assert_allclose(exported.call(x), net.apply(variables, x), rtol=1e-5, atol=1e-6)


def test_pooling_without_space():
    with pytest.raises(ValueError, match=r"x: expected \(batch, \*space, channels\), got"):
        max_pool(jnp.zeros((2, 3)))


def test_max_pools_gradient_is_linens():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 8, 3)), jnp.float32)
    ours = jax.grad(lambda x: (max_pool(x) ** 2).sum())(x)
    theirs = jax.grad(lambda x: (nn.max_pool(x, (2, 2), (2, 2)) ** 2).sum())(x)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("window", "size"), [(2, 6), (3, 7)])
def test_of_equal_numbers_one_takes_all_of_the_gradient(window, size):
    x = jnp.ones((2, size, size, 3))
    gradient = np.asarray(jax.grad(lambda x: max_pool(x, window).sum())(x))
    count = size // window
    kept = gradient[:, : count * window, : count * window]
    inside = kept.reshape(2, count, window, count, window, 3)
    np.testing.assert_array_equal(inside.sum((2, 4)), 1)
    assert set(gradient.ravel()) == {0.0, 1.0}


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_window_with_a_nan_is_nan(place):
    x = jnp.arange(16.0).reshape(1, 4, 4, 1).at[(0, *place, 0)].set(jnp.nan)
    np.testing.assert_array_equal(np.isnan(max_pool(x)).ravel(), [True, False, False, False])


def test_max_pooling_integers_beside_what_is_differentiated():
    x = jnp.arange(16).reshape(1, 4, 4, 1)
    assert jax.grad(lambda w: (w * max_pool(x)).sum())(2.0) == 5 + 7 + 13 + 15


def test_max_pooling_can_be_differentiated_forward_and_twice():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 4, 4, 1)), jnp.float32)

    def cubes(x):
        return (max_pool(x) ** 3).sum()

    check_grads(cubes, (x,), order=2, eps=1e-2, rtol=2e-2)
    hessian = jax.hessian(cubes)(x).reshape(16, 16)
    won = np.asarray(jax.grad(lambda x: max_pool(x).sum())(x)).ravel()
    np.testing.assert_allclose(hessian, np.diag(6 * np.asarray(x).ravel() * won), rtol=1e-6)


def test_signals_without_channels():
    net = ConvNet([4], 2)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((3, 10)), jnp.float32)
    params = net.init(jax.random.key(0), x)
    np.testing.assert_array_equal(net.apply(params, x), net.apply(params, x[..., None]))


def test_what_bad_input_gets():
    with pytest.raises(ValueError, match="strides: expected one entry for all or one for each"):
        ConvNet([4, 4], 2, strides=[1, 2, 1])
    with pytest.raises(ValueError, match="method: unknown name 'fft'"):
        Conv(4, method="fft")
    with pytest.raises(ValueError, match="padding: unknown name 'same_'"):
        Conv(4, padding="same_")
    with pytest.raises(ValueError, match=r"kernel_size\[0\]: expected an integer of at least 1"):
        Conv(4, (0, 3))
    with pytest.raises(ValueError, match="does not fit into the padded spatial shape"):
        ConvNet([4], 2, kernel_size=9, padding="VALID").init(jax.random.key(0), jnp.ones((1, 5)))
    with pytest.raises(ValueError, match=r"x: expected \(batch, length\)"):
        ConvNet([4], 2).init(jax.random.key(0), jnp.ones(5))
