"""A setting of JAX that a ``with`` block makes holds in other threads, too."""

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest

from jaxnets.settings import SCOPES, carried, with_nans

OTHER = {
    "jax_default_matmul_precision": "highest",
    "jax_default_prng_impl": "rbg",
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "warn",
}


def setting(name: str) -> object:
    """What it is in this thread."""
    return jax.config.values[name]


def other(name: str) -> object:
    """A value that the process does not have."""
    if name == "jax_default_device":
        return jax.local_devices()[1]
    return OTHER[name] if name in OTHER else not setting(name)


@pytest.mark.parametrize("name", SCOPES)
def test_a_setting_of_a_block_is_found_in_other_threads(name: str):
    before, value = setting(name), other(name)
    assert value != before
    with ThreadPoolExecutor(1) as pool:
        with SCOPES[name](value):
            assert setting(name) == value
            assert pool.submit(setting, name).result() == before
            there = carried(setting)
        assert setting(name) == before
        assert pool.submit(there, name).result() == value  # of when it was made
        assert pool.submit(setting, name).result() == before  # and the thread is as it was


def test_context_variables_are_found_in_several_threads_at_once():
    variable = contextvars.ContextVar[str]("variable", default="nobody's")
    barrier = threading.Barrier(2)

    def look(_: int) -> str:
        barrier.wait(60)
        found = variable.get()
        variable.set("another thread's")
        return found

    token = variable.set("mine")
    there = carried(look)
    variable.reset(token)
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(there, range(2)))
    assert together == ["mine", "mine"] and variable.get() == "nobody's"


def test_numbers_that_are_not_finite_are_no_error_where_they_are_expected():
    with jax.debug_nans(True), jax.debug_infs(True):
        with pytest.raises(FloatingPointError):
            jax.numpy.zeros(()) / 0
        with with_nans():
            assert jax.numpy.isnan(jax.numpy.zeros(()) / 0)
            assert jax.numpy.isinf(jax.numpy.ones(()) / 0)
        with pytest.raises(FloatingPointError):
            jax.numpy.ones(()) / 0
