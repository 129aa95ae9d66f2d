"""Two CPU devices, strict ranks, quick compilation: what every test and doctest runs under."""

from collections.abc import Iterator

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Most of the time goes into compiling programs that run for a millisecond. What depends on the
# real compiler asks for it: the fixture `optimized`.
jax.config.update("jax_disable_most_optimizations", True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--every-network``: the laws over all rows of the table, which takes long."""
    parser.addoption("--every-network", action="store_true", help="all laws over all networks")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with the argument ``law_case`` runs over the table of networks."""
    if "law_case" in metafunc.fixturenames:
        from tests.cases import CASES, SMALL_CASES

        cases = CASES if metafunc.config.getoption("--every-network") else SMALL_CASES
        metafunc.parametrize("law_case", cases, ids=lambda case: case.name)


@pytest.fixture
def optimized() -> Iterator[None]:
    """Compile as users do."""
    from jaxnets.population.program import executables

    executables.cache_clear()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
    executables.cache_clear()
