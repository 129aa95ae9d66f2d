"""Every way of computing a convolution, and each of its gradients, against float64 in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnets.devices import traced_for
from jaxnets.nn import conv_cost, conv_lax, conv_onednn, conv_winograd, convolve
from jaxnets.nn.conv_cost import Method, Sizes, choose, estimate
from jaxnets.nn.conv_winograd import fits
from jaxnets.nn.geometry import Geometry
from jaxnets.nn.trilinear import ROLES, others, trilinear


@pytest.fixture
def compiled_by_us():
    """As in a population."""
    with traced_for("cpu"):
        yield


METHODS = [
    Method("lax"),
    Method("patches"),
    Method("mec"),
    *(Method("banded", b) for b in (1, 2, 16)),
]

WINOGRAD = Method("winograd")

# Size, window, strides, padding, dilation: shapes that take another path somewhere.
GEOMETRIES = {
    "same": ((6, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "valid": ((8, 6), (5, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "full": ((4, 4), (3, 3), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    "three by three": ((5, 8), (3, 3), (1, 1), ((0, 1), (3, 0)), (1, 1)),
    "one tile": ((3, 3), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "strided": ((8, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "strides differ": ((9, 8), (2, 3), (1, 2), ((0, 2), (1, 1)), (1, 1)),
    "stride of the height": ((9, 5), (3, 2), (3, 1), ((1, 0), (0, 1)), (1, 1)),
    "stride above the window": ((9, 9), (1, 1), (2, 3), ((0, 0), (0, 0)), (1, 1)),
    "border never seen": ((8, 8), (3, 3), (3, 3), ((0, 0), (0, 0)), (1, 1)),
    "dilated": ((9, 9), (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2)),
    "dilated and strided": ((9, 11), (2, 3), (2, 3), ((0, 1), (2, 1)), (3, 2)),
    "only padding seen": ((3, 3), (2, 2), (1, 1), ((3, 0), (0, 3)), (1, 1)),
    "signal": ((1, 10), (1, 5), (1, 2), ((0, 0), (1, 1)), (1, 1)),
    "one output": ((4, 5), (4, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),
}


def places(g: Geometry):
    """Which input place a weight connects to which output place, along each axis: one-hot."""
    for axis in (0, 1):
        made, weight, seen = np.ogrid[: g.out[axis], : g.window[axis], : g.size[axis]]
        at = made * g.strides[axis] + weight * g.dilation[axis] - g.pads[axis][0]
        yield (seen == at).astype(np.float64)


def reference(wanted, g, a, b):
    """The definition in float64: a sum over all places that a weight connects."""
    a, b = (np.asarray(v, np.float64) for v in (a, b))
    tall, wide = places(g)
    if wanted == "input":
        parts = np.tensordot(b, a, (3, 3))  # batch, row, column, kernel's row and column, channels
        parts = np.tensordot(tall, parts, ((0, 1), (1, 3)))  # y, batch, column, kernel's, channels
        return np.tensordot(wide, parts, ((0, 1), (2, 3))).transpose(2, 1, 0, 3)
    seen = np.tensordot(wide, np.tensordot(tall, a, (2, 1)), (2, 3))
    if wanted == "output":  # column, kernel's column, row, kernel's row, batch, channels
        return np.tensordot(seen, b, ((3, 1, 5), (0, 1, 2))).transpose(2, 1, 0, 3)
    return np.tensordot(seen, b, ((4, 2, 0), (0, 1, 2))).transpose(1, 0, 2, 3)


def arrays(g, batch=2, channels=3, features=4, dtype=jnp.float32, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {
        "input": (batch, *g.size, channels),
        "kernel": (*g.window, channels, features),
        "output": (batch, *g.out, features),
    }
    return {k: jnp.asarray(rng.standard_normal(shape), dtype) for k, shape in shapes.items()}


def check(g, method, data, tolerance=1e-5):
    for wanted in ROLES:
        a, b = (data[role] for role in others(wanted))
        got = trilinear(wanted, a, b, geometry=g, methods=(method,) * 3)
        assert got.shape == data[wanted].shape and got.dtype == a.dtype
        expected = reference(wanted, g, a, b)
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(
            np.asarray(got, np.float64), expected, rtol=0, atol=tolerance * scale, err_msg=wanted
        )


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_all_three(name, method):
    g = Geometry(*GEOMETRIES[name])
    check(g, method, arrays(g))


@pytest.mark.parametrize("name", [n for n, g in GEOMETRIES.items() if fits(Geometry(*g))])
def test_winograd(name):
    check(Geometry(*GEOMETRIES[name]), WINOGRAD, arrays(Geometry(*GEOMETRIES[name])), 2e-6)


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("channels", "features"), [(3, 17), (17, 3)])
def test_a_row_too_many_is_thrown_away(channels, features, dilation):
    pads = ((dilation, dilation), (1, 0))
    g = Geometry((7, 6), (3, 2), (1, 1), pads, (dilation, 1))
    assert conv_lax.one_row_more(g, channels, features)
    check(g, Method("lax"), arrays(g, channels=channels, features=features))
    banded = Geometry((14, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))
    check(banded, Method("banded", 1), arrays(banded, channels=channels, features=features))


def test_mec_is_for_windows_with_two_axes():
    for g in (Geometry(*g) for g in GEOMETRIES.values()):
        both = min(g.window) > 1
        assert (Method("mec") in conv_cost.candidates(g)) is both
        assert conv_cost.candidates(g, "mec") == (
            [Method("mec")] if both else conv_cost.candidates(g)
        )


def test_winograd_is_for_three_by_three_and_32_bits():
    for g in (Geometry(*g) for g in GEOMETRIES.values()):
        three = g.window == (3, 3) and g.strides == g.dilation == (1, 1)
        assert (WINOGRAD in conv_cost.candidates(g)) is three
        assert conv_cost.candidates(g, "winograd") == (
            [WINOGRAD] if three else conv_cost.candidates(g)
        )
        assert WINOGRAD not in conv_cost.candidates(g, "winograd", bits=16)


def test_few_numbers_are_multiplied_by_winograd():
    """16 products of one tile each, where the definition has 36."""
    g = Geometry((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    x, kernel = jnp.ones((2, 8, 8, 5)), jnp.ones((3, 3, 5, 7))

    def run(x, kernel):
        return trilinear("output", x, kernel, geometry=g, methods=(WINOGRAD,) * 3)

    jaxpr = jax.make_jaxpr(functools.partial(conv_winograd.output, g=g))(x, kernel)
    products = [e for e in jaxpr.eqns if e.primitive.name == "dot_general"]
    tiles = 2 * 4 * 4
    assert [e.outvars[0].aval.shape for e in products] == 16 * [(tiles, 7)]
    np.testing.assert_array_equal(
        run(x, kernel), jax.jit(conv_winograd.output, static_argnums=2)(x, kernel, g)
    )


CHUNKED = [Method("lax"), Method("patches"), Method("mec"), Method("banded", 2), WINOGRAD]


@pytest.mark.parametrize("method", CHUNKED, ids=str)
def test_many_channels_and_examples_in_chunks(method):
    g = Geometry((12, 12), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    data = arrays(g, batch=24, channels=80, features=20)
    assert data["input"].size > 2**18
    check(g, method, data)


numbers = st.integers


@st.composite
def geometries(draw):
    axes = []
    for _ in range(2):
        window, stride, dilation = (draw(numbers(1, 4)) for _ in range(3))
        low, high = draw(numbers(0, 3)), draw(numbers(0, 3))
        least = max(1, (window - 1) * dilation + 1 - low - high)
        axes.append((draw(numbers(least, least + 6)), window, stride, (low, high), dilation))
    return Geometry(*zip(*axes, strict=True))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(geometries())
def test_winograd_of_odd_shapes(g):
    pads = [(low, max(high, 3 - n - low)) for n, (low, high) in zip(g.size, g.pads, strict=True)]
    g = Geometry(g.size, (3, 3), (1, 1), (pads[0], pads[1]), (1, 1))
    check(g, WINOGRAD, arrays(g, batch=3, channels=2, features=3))


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    geometries(), st.sampled_from([Method("lax"), Method("patches"), Method("mec")]), numbers(1, 6)
)
def test_odd_shapes(g, method, block):
    data = arrays(g, batch=1, channels=2, features=3)
    for each in (method, Method("banded", block)):
        check(g, each, data)


@pytest.mark.parametrize(
    ("name", "strides"),
    [(name, (1, 2)) for name in ("lax", "patches", "mec", "banded", "onednn", "auto")]
    + [("winograd", (1, 1))],
)
def test_derivatives_of_any_order(name, strides, compiled_by_us):
    """Forward over reverse, reverse over forward, and both twice are the ones of XLA's own."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 6, 5, 2)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((3, 4 - strides[1], 2, 3)), jnp.float32)

    def ours(x, kernel):
        return (convolve(x, kernel, strides=strides, padding=1, method=name) ** 3).sum()

    def theirs(x, kernel):
        y = jax.lax.conv_general_dilated(
            x, kernel, strides, ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return (y**3).sum()

    def product(f, x, kernel):
        gradient = jax.grad(f, (0, 1))
        return jax.jvp(gradient, (x, kernel), (kernel.mean() * x + 1, kernel**2))

    def twice(f, x, kernel):
        return jax.grad(lambda x, k: (jax.grad(f, 1)(x, k) ** 2).sum(), (0, 1))(x, kernel)

    for transform in (product, twice):
        got, expected = (
            jax.jit(functools.partial(transform, f))(x, kernel) for f in (ours, theirs)
        )
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * float(jnp.abs(b).max()))


@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0), (1, 2)], ids=str)
@pytest.mark.parametrize("name", ["lax", "patches", "mec", "banded", "winograd", "onednn"])
def test_over_members(name, mapped, compiled_by_us):
    rng = np.random.default_rng(0)
    shapes = [[2, 5, 6, 3], [3, 3, 3, 4]]
    for shape, dim in zip(shapes, mapped, strict=True):
        if dim is not None:
            shape.insert(dim, 3)
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes)

    def loss(x, kernel):
        return (convolve(x, kernel, method=name) ** 2).sum()

    def one(x, kernel):
        return convolve(x, kernel, method=name), *jax.grad(loss, (0, 1))(x, kernel)

    got = jax.jit(jax.vmap(one, in_axes=mapped))(x, kernel)
    for member in range(3):
        alone = one(
            *(
                v if dim is None else jnp.take(v, member, dim)
                for v, dim in zip((x, kernel), mapped, strict=True)
            )
        )
        for a, b in zip(got, alone, strict=True):
            np.testing.assert_allclose(a[member], b, rtol=1e-5, atol=1e-5 * float(jnp.abs(b).max()))


def test_within_shard_map_with_its_checks():
    """The kernel is the same for all examples; its gradient is summed over the devices."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    split, whole = jax.sharding.PartitionSpec("data"), jax.sharding.PartitionSpec()
    x, kernel = jnp.ones((4, 5, 6, 2)), jnp.ones((3, 3, 2, 3))

    def gradients(x, kernel):
        return jax.grad(lambda x, k: (convolve(x, k) ** 2).sum(), (0, 1))(x, kernel)

    sharded = jax.shard_map(gradients, mesh=mesh, in_specs=(split, whole), out_specs=(split, whole))
    for a, b in zip(jax.jit(sharded)(x, kernel), gradients(x, kernel), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS[:4], ids=str)
def test_bfloat16(method):
    g = Geometry(*GEOMETRIES["strided"])
    data = arrays(g, dtype=jnp.bfloat16)
    check(g, method, data, tolerance=2**-7)


def test_bfloat16_gradients_of_many_chunks_are_added_in_float32():
    x = jax.random.normal(jax.random.key(0), (512, 32, 32, 3), jnp.bfloat16)
    kernel, gy = jnp.ones((3, 3, 3, 4), jnp.bfloat16), jnp.ones((512, 32, 32, 4), jnp.bfloat16)
    _, back = jax.vjp(lambda k: convolve(x, k, method="lax"), kernel)
    (found,) = back(gy)
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    for row, column in np.ndindex(3, 3):
        expected = padded[:, row : row + 32, column : column + 32].sum((0, 1, 2))
        ours = np.asarray(found[row, column, :, 0], np.float64)
        # Of a sum of half a million, some 700 large: a rounding of each chunk is 2^-9 of it.
        assert np.abs(ours - expected).max() < 2**-8 * np.abs(expected).max() + 0.5
    assert found.dtype == jnp.bfloat16


@pytest.mark.parametrize("method", ["auto", "lax"])
def test_a_loop_leaves_xla_no_slow_convolution(method):
    """In a loop's body XLA's fast code takes this order of the axes, and no dilated input."""

    def step(carry):
        x, kernel = carry

        def loss(x, kernel):
            return (convolve(x, kernel, strides=2, padding=1, method=method) ** 2).sum()

        gx, gk = jax.grad(loss, (0, 1))(x, kernel)
        return x - gx, kernel - gk

    x, kernel = jnp.ones((8, 8, 8, 20)), jnp.ones((3, 3, 20, 24))
    run = jax.jit(lambda x, k, n: jax.lax.fori_loop(0, n, lambda _, c: step(c), (x, k)))
    text = run.lower(x, kernel, 3).compile().as_text()
    lines = [line for line in text.splitlines() if " convolution(" in line]
    assert lines
    if jax.default_backend() == "cpu":  # elsewhere XLA knows best
        assert all("dim_labels=b01f_01io->b01f" in line for line in lines)
        assert not any("lhs_dilate" in line for line in lines)


# Size, window, strides, padding on all sides; then what is taken without oneDNN, and with it.
CHOICES = [
    ("output", (32, 5, 1, 0), (32, 1, 6), "banded", "banded"),
    ("kernel", (32, 5, 1, 0), (32, 1, 6), "banded", "banded"),
    ("input", (14, 5, 1, 0), (32, 6, 16), "banded", "banded"),
    ("output", (16, 3, 1, 1), (128, 32, 32), "lax", "onednn"),
    ("kernel", (8, 3, 1, 1), (128, 64, 64), "lax", "onednn"),
    ("output", (8, 3, 1, 1), (128, 64, 64), "winograd", "onednn"),
    ("output", (32, 3, 1, 1), (128, 16, 16), "lax", "onednn"),
    ("kernel", (32, 3, 1, 1), (128, 16, 16), "mec", "onednn"),
    ("output", (16, 3, 2, 1), (128, 32, 64), "lax", "onednn"),
    ("input", (32, 3, 2, 1), (128, 16, 32), "banded", "onednn"),
]


@pytest.mark.parametrize("missing", ["not here", ""])
@pytest.mark.parametrize("role, square, sizes, without, with_it", CHOICES)
def test_what_is_chosen_has_the_least_estimate(
    role, square, sizes, without, with_it, missing, monkeypatch
):
    monkeypatch.setattr(conv_onednn, "missing", lambda: missing)
    size, window, stride, pad = square
    g = Geometry((size,) * 2, (window,) * 2, (stride,) * 2, ((pad,) * 2,) * 2, (1, 1))
    sizes = Sizes(*sizes)
    assert choose(role, g, sizes).name == without  # as in a program of somebody else's
    with traced_for("cpu"):
        method, ways = choose(role, g, sizes), conv_cost.candidates(g)
        assert choose(role, g, sizes, "patches") == Method("patches")
    assert method.name == (without if missing else with_it)
    least = min(estimate(role, way, g, sizes) for way in ways)
    assert estimate(role, method, g, sizes) == least


def test_blocks_that_divide_the_width_are_cheaper():
    """What is made beyond the width is cut off, and all the rest written once more."""
    g = Geometry((32, 32), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1))
    assert g.out[1] % 4 == 0 and g.out[1] % 8 != 0
    assert choose("output", g, Sizes(32, 1, 6), "banded") == Method("banded", 4)
