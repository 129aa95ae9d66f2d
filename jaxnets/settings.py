"""JAX's own settings: how those of a ``with`` block reach another thread, and one of our own."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import jax

P = ParamSpec("P")
T = TypeVar("T")

SCOPES: Mapping[str, Callable[[Any], contextlib.AbstractContextManager[Any]]] = {
    "jax_check_tracer_leaks": jax.check_tracer_leaks,
    "jax_debug_key_reuse": jax.debug_key_reuse,
    "jax_default_device": jax.default_device,
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_default_prng_impl": jax.default_prng_impl,
    "jax_enable_x64": jax.enable_x64,
    "jax_log_compiles": jax.log_compiles,
    "jax_numpy_dtype_promotion": jax.numpy_dtype_promotion,
    "jax_numpy_rank_promotion": jax.numpy_rank_promotion,
    "jax_softmax_custom_jvp": jax.softmax_custom_jvp,
    "jax_threefry_partitionable": jax.threefry_partitionable,
}
"""What can be set for a block of code and changes what is traced there, or what is said of it."""


def carried(function: Callable[P, T]) -> Callable[P, T]:
    """The function, to be called in another thread: it finds there what holds here, of JAX's
    settings and of context variables. By itself a ``with`` block holds for one thread.

    Args:
        function: of anything.

    Returns:
        The same function with the settings of now, for any thread and any number of calls.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with jax.enable_x64(True), ThreadPoolExecutor(1) as pool:
        ...     pool.submit(carried(lambda: jax.config.values["jax_enable_x64"])).result()
        True
    """
    held = {name: jax.config.values[name] for name in SCOPES}
    context = contextvars.copy_context()

    def there(*arguments: P.args, **named: P.kwargs) -> T:
        with contextlib.ExitStack() as stack:
            for name, value in held.items():
                stack.enter_context(SCOPES[name](value))
            # A context is in one thread at a time: every call has its own.
            return context.copy().run(function, *arguments, **named)

    return there


@contextlib.contextmanager
def with_nans() -> Iterator[None]:
    """A ``with`` block in which numbers that are not finite are no error, whatever has been set.

    Members that diverge are frozen and named, and what a history does not reach is NaN: who looks
    for the first NaN of a function of her own does not look for these.

    Example:
        >>> with jax.debug_nans(True), with_nans():
        ...     bool(jax.numpy.isnan(jax.numpy.zeros(()) / 0))
        True
    """
    with jax.debug_nans(False), jax.debug_infs(False):
        yield
