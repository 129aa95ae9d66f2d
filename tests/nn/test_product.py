"""The product of a dense layer: what it is, its derivatives of any order, and their form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.devices import traced_for
from jaxnets.nn.product import SMALL, product


def arrays(*shapes, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def plain(x, kernel):
    return x @ kernel


@pytest.mark.parametrize("inputs", [7, 300])
def test_value_and_gradients(inputs):
    """Below and above the size from which on it is written otherwise."""
    x, kernel, gy = arrays((64, inputs), (inputs, 70), (64, 70))
    assert (x.size * 70 > SMALL) is (inputs == 300)
    y, back = jax.jit(lambda x, k: jax.vjp(product, x, k))(x, kernel)
    got = (y, *back(gy))
    wide = [np.asarray(a, np.float64) for a in (x, kernel, gy)]
    expected = wide[0] @ wide[1], wide[2] @ wide[1].T, wide[0].T @ wide[2]
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.abs(b).max())


def gradient_of_one(f, x, kernel):
    return jax.grad(lambda k: (f(x, k) ** 3).sum())(kernel)


def forward_over_reverse(f, x, kernel):
    gradient = jax.grad(lambda x, k: (f(x, k) ** 3).sum(), (0, 1))
    return jax.jvp(gradient, (x, kernel), (kernel.mean() * x, kernel**2))


def reverse_over_reverse(f, x, kernel):
    def size(x, k):
        return (jax.grad(lambda k: (f(x, k) ** 3).sum())(k) ** 2).sum()

    return jax.grad(size, (0, 1))(x, kernel)


def forward_twice(f, x, kernel):
    return jax.jacfwd(jax.jacfwd(lambda s: (f(s * x, kernel + s**2) ** 3).sum()))(0.7)


@pytest.mark.parametrize(
    "transform", [gradient_of_one, forward_over_reverse, reverse_over_reverse, forward_twice]
)
def test_derivatives_of_any_order(transform):
    x, kernel = arrays((5, 3), (3, 4))
    got, expected = (jax.jit(transform, static_argnums=0)(f, x, kernel) for f in (product, plain))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)], ids=str)
def test_over_members(mapped):
    x, kernel = arrays(*([2, *shape] if dim == 0 else shape
                         for shape, dim in zip([(5, 3), (3, 4)], mapped, strict=True)))  # fmt: skip

    def both(f):
        return jax.vmap(jax.grad(lambda x, k: (f(x, k) ** 2).sum(), (0, 1)), in_axes=mapped)

    for a, b in zip(both(product)(x, kernel), both(plain)(x, kernel), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-6), ("bfloat16", 2**-7)])
def test_more_axes_and_other_types(dtype, near):
    x, kernel = arrays((2, 5, 3), (3, 4), dtype=dtype)
    found = jax.grad(lambda x, k: (product(x, k) ** 2).sum() / 2, (0, 1))(x, kernel)
    wide, weights = (np.asarray(a, np.float64) for a in (x, kernel))
    expected = wide @ weights @ weights.T, np.einsum("bti,btj->ij", wide, wide @ weights)
    for got, wanted in zip(found, expected, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(
            np.asarray(got, np.float64), wanted, rtol=0, atol=near * np.abs(wanted).max()
        )


@pytest.mark.parametrize(
    ("where", "rows", "apart"), [("cpu", 8, 1), ("cpu", SMALL, 0), ("gpu", 8, 0)]
)
def test_the_transposition_is_by_itself_for_small_ones_on_a_cpu(where, rows, apart):
    x, kernel = jax.ShapeDtypeStruct((rows, 3), "float32"), jnp.ones((3, 4))
    with traced_for(where):
        text = str(jax.make_jaxpr(jax.grad(lambda k, x: product(x, k).sum()))(kernel, x))
    assert text.count("optimization_barrier") == apart
