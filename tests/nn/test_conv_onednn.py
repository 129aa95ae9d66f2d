"""oneDNN's convolution where jaxlib carries it, and why it is left alone where it does not."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxnets.nn import conv_cost, conv_onednn, convolve
from jaxnets.nn.conv_cost import Method
from jaxnets.nn.geometry import Geometry
from tests.nn.test_conv_methods import GEOMETRIES, arrays, check, geometries

ONEDNN = Method("onednn")
SAME = Geometry(*GEOMETRIES["same"])
there = pytest.mark.skipif(bool(conv_onednn.missing()), reason=conv_onednn.missing())


@there
@pytest.mark.parametrize(
    "name", [n for n, g in GEOMETRIES.items() if conv_onednn.fits(Geometry(*g), 32)]
)
def test_all_three(name):
    g = Geometry(*GEOMETRIES[name])
    check(g, ONEDNN, arrays(g))


@there
@settings(max_examples=12, deadline=None, derandomize=True)
@given(geometries())
def test_odd_shapes(g):
    if conv_onednn.fits(g, 32):
        check(g, ONEDNN, arrays(g, batch=9, channels=2, features=3))


@there
def test_many_examples_in_chunks():
    g = Geometry((12, 12), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    data = arrays(g, batch=24, channels=80, features=20)
    chunk = conv_onednn.chunk_size(data["input"].shape, data["output"].shape)
    assert 8 <= chunk < 24
    check(g, ONEDNN, data)


def test_it_is_for_32_bits_and_windows_that_see_something(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conv_onednn, "missing", lambda: "")
    border = Geometry(*GEOMETRIES["only padding seen"])
    assert ONEDNN in conv_cost.candidates(SAME)
    assert ONEDNN not in conv_cost.candidates(border)
    assert ONEDNN not in conv_cost.candidates(SAME, bits=16)
    assert conv_cost.candidates(SAME, "onednn") == [ONEDNN]
    assert conv_cost.candidates(border, "onednn") == conv_cost.candidates(border)
    monkeypatch.setattr(conv_onednn, "missing", lambda: "not here")
    assert ONEDNN not in conv_cost.candidates(SAME)


@there
def test_a_loop_calls_it_and_xla_convolves_nothing():
    def step(carry):
        x, kernel = carry

        def loss(x, kernel):
            return (convolve(x, kernel, padding=1, method="onednn") ** 2).sum()

        gx, gk = jax.grad(loss, (0, 1))(x, kernel)
        return x - gx, kernel - gk

    carry = jnp.ones((8, 8, 8, 20)), jnp.ones((3, 3, 20, 24))
    run = jax.jit(lambda carry: jax.lax.fori_loop(0, 3, lambda _, c: step(c), carry))
    text = run.lower(carry).compile().as_text()
    assert text.count(f'custom_call_target="{conv_onednn.TARGET}"') == 3
    assert " convolution(" not in text


@pytest.mark.parametrize(
    ("jaxlib", "system", "machine", "reason"),
    [
        ("0.0.1", "Linux", "x86_64", "jaxlib 0.0.1 has not been tried"),
        ("0.10.2", "Darwin", "x86_64", "jaxlib for Darwin on x86_64 is not known to have it"),
        ("0.10.2", "Linux", "aarch64", "jaxlib for Linux on aarch64 is not known to have it"),
    ],
)
def test_where_it_has_not_been_tried_it_is_not_called(jaxlib, system, machine, reason):
    assert conv_onednn._missing(jaxlib, system, machine) == reason


def test_a_jaxlib_without_it_is_found_out(monkeypatch: pytest.MonkeyPatch):
    output = conv_onednn.output
    monkeypatch.setattr(conv_onednn, "TARGET", "__nobody$convolution")
    monkeypatch.setattr(conv_onednn, "output", lambda x, k, g: output(x, k, g))  # traced anew
    found = conv_onednn._missing.__wrapped__("0.10.2", "Linux", "x86_64")
    assert found.startswith("XLA does not know it: ")


def test_a_library_that_computes_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch):
    """As oneDNN does where it is told to round to 16 bits (``ONEDNN_DEFAULT_FPMATH_MODE``)."""
    theirs = conv_onednn.conv_lax.output
    monkeypatch.setattr(conv_onednn, "output", lambda x, k, g: theirs(x, k, g) * (1 + 2**-9))
    found = conv_onednn._missing.__wrapped__("0.10.2", "Linux", "x86_64")
    assert found == "it computes something else"


PROGRAM = """
import sys
import jax, jax.numpy as jnp, jaxnets as jn
jn.use_compilation_cache(sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
def called(x): return jn.nn.convolve(x, jnp.ones((3, 3, 3, 4)), method="onednn")
def plain(x): return jn.nn.convolve(x, jnp.ones((3, 3, 3, 4)), method="lax")
x = jnp.ones((2, 5, 5, 3))
print(float(abs(jax.jit(called)(x) - jax.jit(plain)(x)).max()))
"""


@there
def test_no_cache_keeps_it_and_nobody_is_warned(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path)],
        capture_output=True, text=True, env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert float(done.stdout) < 1e-5
    kept = {path.name.split("-")[0] for path in tmp_path.rglob("*-cache")}
    assert "jit_plain" in kept and "jit_called" not in kept


@there
def test_results_do_not_depend_on_what_else_is_computed():
    """The same bits alone, in a loop and beside another thread that keeps the cores busy."""
    x = np.random.default_rng(0).standard_normal((16, 12, 12, 8)).astype(np.float32)
    kernel = np.random.default_rng(1).standard_normal((3, 3, 8, 16)).astype(np.float32)

    def both(x, kernel):
        y, back = jax.vjp(lambda x, k: convolve(x, k, method="onednn"), x, kernel)
        return y, back(y)

    once = jax.jit(both)
    again = jax.jit(lambda x, kernel: jax.lax.map(lambda _: both(x, kernel), jnp.arange(4)))
    first, many = once(x, kernel), again(x, kernel)
    busy = [once(x, kernel) for _ in range(20)]  # dispatched without waiting for one another
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(many), strict=True):
        np.testing.assert_array_equal(np.broadcast_to(a, b.shape), b)
    for found in busy:
        jax.tree.map(np.testing.assert_array_equal, first, found)
