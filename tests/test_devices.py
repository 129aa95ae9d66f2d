"""One XLA device per core."""

import os
import subprocess
import sys

import jax
import pytest

import jaxnets as jn


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
    affinity = getattr(os, "sched_getaffinity", None)
    assert int(done.stdout) == (len(affinity(0)) if affinity else os.cpu_count())
