"""One XLA device per core, and which kind of device a program is traced for."""

import contextlib
import contextvars
import functools
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax


def use_all_cores(count: int | None = None) -> int:
    """Make one CPU device per core. Call it before anything else uses JAX.

    XLA sees a CPU as one device however many cores it has, and small networks cannot keep several
    cores busy within one operation. With one device per core the members are spread over them.
    Nothing happens where the default backend is not a CPU.

    Args:
        count: how many devices; ``None``: as many as `cores`.

    Returns:
        The number of devices that the default backend has now.

    Raises:
        TypeError: ``count`` is not an integer.
        ValueError: ``count`` is less than 1.
        OSError: JAX cannot start the backend that ``JAX_PLATFORMS`` names.

    Warns:
        RuntimeWarning: JAX has been used already, so that the number of devices is fixed.

    Example:
        >>> use_all_cores(2)
        2
    """
    if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
        raise TypeError(f"count: expected an integer, got {type(count).__name__} {count!r}.")
    if count is not None and count < 1:
        raise ValueError(f"count: expected at least 1, got {count}.")
    wanted = cores() if count is None else count
    try:
        jax.config.update("jax_num_cpu_devices", wanted)
    except RuntimeError:  # too late: JAX is in use
        if jax.default_backend() == "cpu" and jax.local_device_count() != wanted:
            warnings.warn(
                f"use_all_cores: JAX is already running with {jax.local_device_count()} CPU "
                f"device(s) instead of {wanted}; call it at the start of the program.",
                RuntimeWarning,
                stacklevel=2,
            )
    try:
        return jax.local_device_count()
    except RuntimeError as error:
        raise OSError(f"devices: JAX cannot start what it is told to use: {error}") from error


@functools.cache
def tell_if_cores_idle() -> None:
    """Say, once in a process, that one CPU device does what several could do. Nothing is said to
    somebody who has set their number.

    Warns:
        RuntimeWarning: the default backend is a CPU of several cores and one device.
    """
    forced = FORCED in os.environ.get("XLA_FLAGS", "")
    if forced or jax.config.values["jax_num_cpu_devices"] != -1:
        return
    if jax.default_backend() != "cpu" or jax.local_device_count() > 1 or cores() == 1:
        return
    warnings.warn(
        f"One CPU device trains all members, beside it this process has {cores() - 1} more "
        "core(s). jaxnets.use_all_cores() at the start of the program, before JAX is used, spreads "
        "the members over all of them; use_all_cores(1) leaves it at one and says nothing.",
        RuntimeWarning,
        stacklevel=3,
    )


FORCED = "xla_force_host_platform_device_count"
"""The older way to set the number of CPU devices."""

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much time a container has: microseconds in every so many, or ``max``."""


def cores() -> int:
    """The cores that this process has: those it may run on, or fewer if its container has less of
    their time. More devices than that would only wait for each other.

    Example:
        >>> cores() >= 1
        True
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        return max(1, min(there or 1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # there is no such file, or no limit
        return there or 1


_platform: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


def platform() -> str:
    """The kind of device that a program is traced for, as ``"cpu"``: JAX's own choice, if nobody
    has said another.

    Example:
        >>> with traced_for("gpu"):
        ...     platform()
        'gpu'
    """
    return _platform.get() or jax.default_backend()


def compiled_by_us_for(platform: str) -> bool:
    """Whether what is being traced is compiled by jaxnets itself, for devices of that kind, and not
    part of a program of somebody else's: whether it is within `traced_for`.

    Example:
        >>> with traced_for("cpu"):
        ...     compiled_by_us_for("cpu")
        True
    """
    return _platform.get() == platform


@contextlib.contextmanager
def traced_for(platform: str) -> Iterator[None]:
    """What is traced in this block is going to run on that kind of device, and is compiled by
    `jaxnets.compilation.compile_in_place`, if at all.
    """
    before = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(before)
