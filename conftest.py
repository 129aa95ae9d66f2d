"""Two CPU devices, strict ranks, quick compilation: what every test and doctest runs under."""

from collections.abc import Iterator

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Most of the time goes into compiling programs that run for a millisecond. What depends on the
# real compiler asks for it: the fixture `optimized`.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def optimized() -> Iterator[None]:
    """Compile as users do."""
    from jaxnets.population.program import executables

    executables.cache_clear()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
    executables.cache_clear()
