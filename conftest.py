"""Two CPU devices, strict ranks, quick compilation: what every test and doctest runs under."""

import gc
import os
import signal
import subprocess
import sys

import jax
import pytest

OPTIMIZED = "JAXNETS_TEST_OPTIMIZED"
"""Set in the environment of a process that compiles as users do."""
QUICK = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
"""XLA's older code generator: with it the tests of the laws take little more than half the
processor time. XLA ends a process that names a flag it does not know, and the first one is gone
from jaxlib 0.11.2.
"""
USERS = os.environ.get("XLA_FLAGS", "").replace(QUICK, "").strip()
"""What was set before, by whoever runs the tests."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that runs the tests behind its back
    signal.signal(signal.SIGINT, signal.default_int_handler)
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_compilation_cache", False)  # what is counted here is compiled here


def compile_quickly() -> None:
    """Most of the time goes into compiling programs that run for a millisecond. What depends on
    the real compiler is marked ``optimized``. Processes that tests start inherit XLA's flags.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    if jax.__version_info__ < (0, 11):
        os.environ["XLA_FLAGS"] = f"{USERS} {QUICK}"


if OPTIMIZED not in os.environ:
    compile_quickly()
gc.freeze()  # a tenth of the time went into looking through the libraries for rubbish
gc.set_threshold(100_000, 20, 100)  # and another one into looking through what is being traced


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line("markers", "optimized: compiled as users do, in a process of its own")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is marked ``optimized`` is run by a process that compiles as users do."""
    if pyfuncitem.get_closest_marker("optimized") is None or OPTIMIZED in os.environ:
        return None
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", pyfuncitem.nodeid],
        cwd=pyfuncitem.config.rootpath, env=os.environ | {OPTIMIZED: "1", "XLA_FLAGS": USERS},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return True


@pytest.fixture(autouse=True)
def _nothing_measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test measures is not known to the next; documentation leaves nothing on the disk."""
    monkeypatch.setattr("jaxnets.nn.conv_measured._known", {})
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setenv("JAXNETS_CACHE", "")
