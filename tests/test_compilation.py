"""Loops without copies; and the second process finds what the first has compiled. Same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import compilation, use_compilation_cache

PROGRAM = """
import hashlib, json, jax, numpy as np, jaxnets as jn

jn.use_compilation_cache()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
found = []
jax.monitoring.register_event_listener(
    lambda name, **_: found.append(name) if name.endswith("cache_hits") else None
)
data = jn.data.Dataset.from_splits(train=(np.eye(12), np.arange(12) % 3), valid=None, test=None)
runs = jn.fit(
    jax.random.key(0), data, [jn.member(network=jn.nn.MLP([4], outputs=3), seed=0)],
    loss="softmax_cross_entropy", epochs=2, batch_size=5, progress=False,
)
leaves = jax.tree.leaves(runs[0].params)
bits = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest()
print(json.dumps([len(found), bits]))
"""


def test_a_second_process_compiles_less_and_gets_the_same_bits(tmp_path: Path):
    environment = os.environ | {"JAXNETS_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    answers = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            capture_output=True, text=True, env=environment, check=True,
        )  # fmt: skip
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    (none, bits), (some, again) = answers
    assert none == 0 < some and bits == again
    (place,) = (tmp_path / "compiled").iterdir()
    assert place.name == compilation.processor() and any(place.iterdir())


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch):
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield monkeypatch
    for name, value in before.items():
        jax.config.update(name, value)


def test_no_folder_no_cache(untouched: pytest.MonkeyPatch):
    untouched.setenv("JAXNETS_CACHE", "")
    assert use_compilation_cache() is None
    assert jax.config.values["jax_compilation_cache_dir"] is None


def test_the_users_own_cache_is_left_alone(untouched: pytest.MonkeyPatch, tmp_path: Path):
    untouched.setenv("JAXNETS_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "hers"))
    assert use_compilation_cache() == tmp_path / "hers"
    assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "hers")


WIDE = 64


def loop() -> jax.stages.Lowered:
    """Gradient descent of two layers: the second kernel is read by the gradient of the first."""

    def step(_: int, kernels: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x = jnp.ones((8, WIDE))
        slopes = jax.grad(lambda k: (jnp.tanh(x @ k[0]) @ k[1]).sum())(kernels)
        return jax.tree.map(lambda k, slope: k - 0.1 * slope, kernels, slopes)

    kernels = jnp.eye(WIDE), jnp.eye(WIDE)
    return jax.jit(lambda k: jax.lax.fori_loop(0, 100, step, k), donate_argnums=0).lower(kernels)


def copies(program: jax.stages.Compiled) -> int:
    """Of kernels, in the whole program."""
    return program.as_text().count(f"f32[{WIDE},{WIDE}]{{1,0}} copy(")


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the option is of XLA's CPU compiler")
def test_a_loop_updates_its_kernels_in_place(monkeypatch: pytest.MonkeyPatch):
    ours, plain = compilation.compile_in_place(loop(), "cpu"), loop().compile()
    assert copies(ours) == 0 < copies(plain)
    start = np.random.default_rng(0).normal(size=(2, WIDE, WIDE)).astype(np.float32)
    one, two = (
        program((jnp.asarray(start[0]), jnp.asarray(start[1]))) for program in (ours, plain)
    )
    jax.tree.map(np.testing.assert_array_equal, one, two)
    # Whoever has said something about it herself is left alone.
    monkeypatch.setenv("XLA_FLAGS", f"--{compilation.IN_PLACE}=false")
    assert copies(compilation.compile_in_place(loop(), "cpu")) > 0


def test_an_xla_without_the_option_compiles_as_it_can(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compilation, "IN_PLACE", "xla_cpu_not_yet")
    lowered = jax.jit(lambda x: x + 1).lower(1.0)
    assert float(compilation.compile_in_place(lowered, "cpu")(1.0)) == 2.0
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_other"):
        compilation.compile_in_place(lowered, "cpu", {"xla_cpu_other": True})


NOT_KEPT = """
import sys, jax
from jaxnets.compilation import not_kept

jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
def one(x): return x + 1
def two(x): return x + 2
with not_kept():
    jax.jit(one).lower(1.0).compile()
jax.jit(two).lower(1.0).compile()
"""


def test_what_is_not_to_be_kept_is_not(tmp_path: Path):
    subprocess.run([sys.executable, "-c", NOT_KEPT, str(tmp_path)], check=True)
    assert [path.name.split("-")[0] for path in tmp_path.glob("*-cache")] == ["jit_two"]
