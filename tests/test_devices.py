"""One XLA device per core."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import jaxnets as jn
from jaxnets import devices


@pytest.mark.parametrize(
    ("count", "kind", "message"),
    [
        (0, ValueError, "count: expected at least 1, got 0."),
        (-1, ValueError, "count: expected at least 1, got -1."),
        (2.0, TypeError, "count: expected an integer, got float 2.0."),
        (True, TypeError, "count: expected an integer, got bool True."),
        ("2", TypeError, "count: expected an integer, got str '2'."),
    ],
)
def test_bad_counts(count: object, kind: type[Exception], message: str):
    with pytest.raises(kind) as caught:
        jn.use_all_cores(count)
    assert str(caught.value) == message


def test_too_late_says_so():
    count = jax.local_device_count()  # JAX runs from here on
    assert jn.use_all_cores(count) == count
    with pytest.warns(RuntimeWarning, match=f"already running with {count} CPU"):
        assert jn.use_all_cores(count + 1) == count


def test_a_fresh_process_gets_one_device_per_core():
    code = "from jaxnets.devices import use_all_cores; print(use_all_cores())"
    environment = {
        k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=environment | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert int(done.stdout) == devices.cores()


ONE = """
import warnings
import jax, numpy as np
import jaxnets as jn
from jaxnets import devices
devices.cores = lambda: 4
{before}
data = jn.data.Dataset.from_splits((np.eye(4), [0, 1, 0, 1]), valid=None, test=None)
for members in {members}:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        jn.fit(jax.random.key(0), data, jn.grid(network=jn.nn.MLP([2], 2), seed=range(members)),
               loss="softmax_cross_entropy", epochs=1, batch_size=4)
    print([(warning.filename == "<string>", str(warning.message)[:30]) for warning in told])
"""


@pytest.mark.parametrize(
    ("before", "members", "told"),
    [
        ("", [1, 2, 2], ["[]", "[(True, 'One CPU device trains all memb')]", "[]"]),
        ("jn.use_all_cores(1)", [2], ["[]"]),
        ("jn.use_all_cores(2)", [2], ["[]"]),
    ],
)
def test_idle_cores_are_told_once(before: str, members: list[int], told: list[str]):
    environment = {
        k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    }
    done = subprocess.run(
        [sys.executable, "-c", ONE.format(before=before, members=members)],
        capture_output=True, text=True, check=True, env=environment | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.stdout.splitlines() == told


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("150000 100000", 2), ("200000 100000", 2), ("5000 100000", 1),
     ("6400000 100000", 8), ("nonsense", 8), ("", 8)],
)  # fmt: skip
def test_a_container_with_less_time_than_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, expected: int
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(devices, "CPU_QUOTA", tmp_path / "cpu.max")
    assert devices.cores() == 8, "no such file"
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert devices.cores() == expected
