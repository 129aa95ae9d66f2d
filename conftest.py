"""Two CPU devices, strict ranks, quick compilation: what every test and doctest runs under."""

import signal
from collections.abc import Iterator

import jax
import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that runs the tests behind its back
    signal.signal(signal.SIGINT, signal.default_int_handler)
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_compilation_cache", False)  # what is counted here is compiled here
# Most of the time goes into compiling programs that run for a millisecond. What depends on the
# real compiler asks for it: the fixture `optimized`.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(autouse=True)
def _nothing_measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test measures is not known to the next; documentation leaves nothing on the disk."""
    monkeypatch.setattr("jaxnets.nn.conv_measured._known", {})
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setenv("JAXNETS_CACHE", "")


@pytest.fixture
def optimized() -> Iterator[None]:
    """Compile as users do."""
    from jaxnets.population.program import executables

    executables.cache_clear()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
    executables.cache_clear()
