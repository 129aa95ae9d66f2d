"""The second process finds what the first has compiled, and gets the same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
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
