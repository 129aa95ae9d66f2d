"""oneDNN's convolution where jaxlib carries it, and why it is left alone where it does not."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

import jaxnets as jn
from jaxnets.devices import traced_for
from jaxnets.nn import conv_cost, conv_onednn, convolve, explain_convolutions
from jaxnets.nn.conv_cost import Method
from jaxnets.nn.geometry import Geometry
from tests.nn.test_conv_methods import GEOMETRIES, arrays, check, geometries

ONEDNN = Method("onednn")
SAME = Geometry(*GEOMETRIES["same"])
there = pytest.mark.skipif(bool(conv_onednn.missing()), reason=conv_onednn.missing())


@pytest.fixture(autouse=True)
def _compiled_by_us():
    """As in a population."""
    with traced_for("cpu"):
        yield


@there
@pytest.mark.parametrize("name", GEOMETRIES)
def test_all_three(name):
    g = Geometry(*GEOMETRIES[name])
    check(g, ONEDNN, arrays(g))
    check(g, ONEDNN, arrays(g, channels=16))  # some of them beside the width, the others examples


@there
@settings(max_examples=8, deadline=None, derandomize=True)
@given(geometries())
def test_odd_shapes(g):
    check(g, ONEDNN, arrays(g, batch=9, channels=2, features=3))


@there
def test_many_examples_in_chunks():
    g = Geometry((12, 12), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    data = arrays(g, batch=24, channels=80, features=20)
    chunk = conv_onednn.chunk_size(data["input"].shape, data["output"].shape)
    assert 8 <= chunk < 24
    check(g, ONEDNN, data)


def test_what_it_is_for(monkeypatch: pytest.MonkeyPatch):
    """Numbers of 32 bits, programs that are compiled here."""
    monkeypatch.setattr(conv_onednn, "missing", lambda: "")
    assert ONEDNN in conv_cost.candidates(SAME)
    assert ONEDNN not in conv_cost.candidates(SAME, bits=16)
    assert conv_cost.candidates(SAME, "onednn") == [ONEDNN]
    with traced_for("gpu"):
        assert ONEDNN not in conv_cost.candidates(SAME)
    monkeypatch.setattr(conv_onednn, "missing", lambda: "not here")
    assert ONEDNN not in conv_cost.candidates(SAME)


def step(carry):
    x, kernel = carry

    def loss(x, kernel):
        return (convolve(x, kernel, padding=1, method="onednn") ** 2).sum()

    gx, gk = jax.grad(loss, (0, 1))(x, kernel)
    return x - gx, kernel - gk


def loop() -> jax.stages.Lowered:
    carry = jnp.ones((8, 8, 8, 20)), jnp.ones((3, 3, 20, 24))
    run = jax.jit(lambda carry: jax.lax.fori_loop(0, 3, lambda _, c: step(c), carry))
    return run.lower(carry)


@there
def test_a_loop_calls_it_and_xla_convolves_nothing():
    assert conv_onednn.called(loop())
    text = loop().compile().as_text()
    assert text.count(f'custom_call_target="{conv_onednn.TARGET}"') == 3
    assert " convolution(" not in text


def test_in_a_program_of_somebody_elses_there_is_none():
    with ThreadPoolExecutor(1) as pool:  # another thread is in no block of this one
        assert not pool.submit(lambda: conv_onednn.called(loop())).result()


@pytest.mark.parametrize(
    ("jaxlib", "system", "machine", "avx2", "reason"),
    [
        ("0.0.1", "Linux", "x86_64", True, "jaxlib 0.0.1 has not been tried"),
        ("0.10.2", "Darwin", "x86_64", True, "jaxlib for Darwin on x86_64 is not known to have it"),
        ("0.10.2", "Linux", "aarch64", True, "jaxlib for Linux on aarch64 is not known to have it"),
        ("0.10.2", "Linux", "x86_64", False, "the processor has no AVX2, or oneDNN is told to do"),
    ],
)
def test_where_it_has_not_been_tried_it_is_not_called(jaxlib, system, machine, avx2, reason):
    assert conv_onednn._missing(jaxlib, system, machine, avx2).startswith(reason)


def test_where_it_is_told_to_do_without_its_instructions(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "SSE41")
    found = conv_onednn._missing("0.10.2", "Linux", "x86_64", True)
    assert found.startswith("the processor has no AVX2, or oneDNN is told to do without")


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch):
    """What is tried is traced anew."""
    output = conv_onednn.output
    monkeypatch.setattr(conv_onednn, "output", lambda x, k, g: output(x, k, g))
    return monkeypatch


def test_a_jaxlib_without_it_is_found_out(anew: pytest.MonkeyPatch):
    anew.setattr(conv_onednn, "TARGET", "__nobody$convolution")
    assert conv_onednn._tried().startswith("it cannot be called: ")


def test_a_library_that_computes_something_else_is_found_out(anew: pytest.MonkeyPatch):
    """As oneDNN does where it is told to round to 16 bits (``ONEDNN_DEFAULT_FPMATH_MODE``)."""
    theirs = conv_onednn.conv_lax.output
    anew.setattr(conv_onednn, "output", lambda x, k, g: theirs(x, k, g) * (1 + 2**-9))
    assert conv_onednn._tried() == "it computes something else"


@there
def test_who_asks_first_does_not_matter():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("a",))
    with jax.disable_jit(), jax.set_mesh(mesh), jax.enable_x64(True):
        found = conv_onednn._missing(version("jaxlib"), "Linux", "x86_64", True)
    assert found == ""


PROGRAM = """
import sys
import jax, numpy as np, jaxnets as jn
jn.use_compilation_cache(sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
data = jn.data.Dataset.from_splits(
    train=(np.ones((8, 6, 6, 2)), np.arange(8) % 2), valid=None, test=None
)
for method in "lax", "onednn":
    network = jn.nn.ConvNet([3], 2, method=method)
    runs = jn.fit(jax.random.key(0), data, network, loss="softmax_cross_entropy", epochs=1,
                  batch_size=4, progress=False)
    assert f"asked for {method}" in str(runs.plan)
    print(len(list(__import__("pathlib").Path(sys.argv[1]).rglob("jit_over*-cache"))))
"""


@there
def test_no_cache_keeps_it_and_nobody_is_warned(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path)],
        capture_output=True, text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    # The beginning of both networks is one program, and the training of the first another.
    assert done.stdout.split() == ["2", "2"]


@there
def test_results_do_not_depend_on_what_else_is_computed():
    """The same bits alone, in a loop, and beside threads that do the same."""
    x = np.random.default_rng(0).standard_normal((16, 12, 12, 8)).astype(np.float32)
    kernel = np.random.default_rng(1).standard_normal((3, 3, 8, 16)).astype(np.float32)

    def both(x, kernel):
        y, back = jax.vjp(lambda x, k: convolve(x, k, method="onednn"), x, kernel)
        return y, back(y)

    once = jax.jit(both).lower(x, kernel)
    many = jax.jit(lambda x, kernel: jax.lax.map(lambda _: both(x, kernel), jnp.arange(4)))
    assert conv_onednn.called(once)
    call, again = once.compile(), many.lower(x, kernel).compile()
    first = call(x, kernel)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again(x, kernel)), strict=True):
        np.testing.assert_array_equal(np.broadcast_to(a, b.shape), b)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: call(x, kernel), range(40)):
            jax.tree.map(np.testing.assert_array_equal, first, found)


@there
def test_what_is_explained_is_what_a_population_does():
    """Also to somebody who asks from outside of one."""
    network = jn.from_linen(jn.nn.ConvNet([3], 2, method="onednn"))
    with ThreadPoolExecutor(1) as pool:
        rows = pool.submit(explain_convolutions, network, (6, 6, 2), 4).result()
    assert [row.method for row in rows] == ["onednn"] * 3


def test_the_processor_is_asked_once(monkeypatch: pytest.MonkeyPatch):
    """Every convolution asks what is missing, and the list of many cores is long."""
    conv_onednn.missing()
    monkeypatch.setattr(conv_onednn.environment, "cpuinfo", lambda: pytest.fail("asked again"))
    conv_onednn.missing()
