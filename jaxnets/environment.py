"""What a result depends on besides what was asked: versions, devices, flags."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

import jaxnets

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")

FLAGS = (
    "jax_enable_x64", "jax_threefry_partitionable", "jax_disable_most_optimizations",
    "jax_optimization_level",
)  # fmt: skip
"""Settings of JAX that change the bits."""


def identity(devices: Sequence[jax.Device]) -> dict[str, Any]:
    """What must be the same for the bits to be the same.

    Args:
        devices: where the population runs.

    Returns:
        ``versions`` by package and ``machine``: processor, devices, flags of XLA and JAX.

    Example:
        >>> identity(jax.devices())["machine"]["devices"]["platform"]
        'cpu'
    """
    return {
        "versions": {
            "jaxnets": jaxnets.__version__,
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "machine": {
            "processor": _processor(),
            "devices": {
                "platform": devices[0].platform,
                "kind": devices[0].device_kind,
                "count": len(devices),
            },
            "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
            "flags": {name: str(jax.config.values.get(name)) for name in FLAGS},
        },
    }


def flags() -> tuple[str, ...]:
    """The settings of JAX that change the bits, as they are now. Whoever remembers what was traced
    or compiled remembers them with it.

    Example:
        >>> flags()[0]
        'jax_enable_x64=False'
    """
    return tuple(f"{name}={jax.config.values.get(name)}" for name in FLAGS)


def surroundings() -> dict[str, Any]:
    """What is worth recording and does not decide the result."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        **{name: importlib.metadata.version(name) for name in ("scipy", "xarray", "matplotlib")},
    }


def _processor() -> str:
    """The processor by name where Linux tells it, else its family."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
