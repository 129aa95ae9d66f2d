"""What a result depends on besides what was asked: versions, devices, flags."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
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

ONEDNN = ("MAX_CPU_ISA", "CPU_ISA_HINTS", "DEFAULT_FPMATH_MODE")
"""Settings of oneDNN that change the bits: variables of the environment, ``ONEDNN_`` or ``DNNL_``
before them. XLA has it multiply matrices, ``jaxnets.nn.conv_onednn`` compute convolutions."""

MODEL = ("cpu family", "model", "CPU implementer", "CPU part")
"""What Linux calls the model of a processor, on x86 and on ARM."""

ARITHMETIC = ("sse", "avx", "fma", "f16c", "amx", "neon", "asimd", "fphp", "sve", "bf16")
"""How the names of instructions begin that change how sums are taken."""


def identity(devices: Sequence[jax.Device]) -> dict[str, Any]:
    """What must be the same for the bits to be the same.

    Args:
        devices: where the population runs.

    Returns:
        ``versions`` by package and ``machine``: processor, its instructions, devices, flags of XLA
        and JAX.

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
            **processor(cpuinfo()),
            "devices": {
                "platform": devices[0].platform,
                "kind": devices[0].device_kind,
                "count": len(devices),
                **({"threads": threads(devices[0])} if devices[0].platform == "cpu" else {}),
            },
            "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
            "oneDNN": onednn(),
            "flags": {name: str(jax.config.values.get(name)) for name in FLAGS},
        },
    }


def threads(device: jax.Device) -> int:
    """The threads over which XLA splits large convolutions on a CPU, and with them their sums: as
    many as there are cores that this process may run on (``NPROC`` says others), or devices,
    whichever are more.

    Example:
        >>> threads(jax.devices("cpu")[0]) >= len(jax.devices("cpu"))
        True
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = os.environ.get("NPROC", "")
    there = int(told) if told.isdecimal() else there
    return max(there or 1, device.client.device_count())


def flags() -> tuple[str, ...]:
    """The settings of JAX that change the bits, as they are now. Whoever remembers what was traced
    or compiled remembers them with it.

    Example:
        >>> flags()[0]
        'jax_enable_x64=False'
    """
    return tuple(f"{name}={jax.config.values.get(name)}" for name in FLAGS)


def onednn() -> str:
    """What the environment tells oneDNN about its arithmetic.

    Example:
        >>> isinstance(onednn(), str)
        True
    """
    names = [f"{prefix}_{name}" for prefix in ("ONEDNN", "DNNL") for name in ONEDNN]
    return " ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)


def surroundings() -> dict[str, Any]:
    """What is worth recording and does not decide the result."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        **{name: importlib.metadata.version(name) for name in ("scipy", "xarray", "matplotlib")},
    }


def cpuinfo() -> dict[str, str]:
    """What Linux tells of the first processor, by name; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def processor(told: Mapping[str, str]) -> dict[str, str]:
    """The processor by name and model, and the instructions that its arithmetic may use.

    The name alone is not enough: what is rented is often called after a whole family. Programs are
    compiled for one model and all its instructions, and products of matrices are chosen by them.

    Args:
        told: see `cpuinfo`; what is missing is asked of Python.

    Returns:
        ``processor`` and ``instructions``.

    Example:
        >>> processor({"model name": "AMD EPYC", "cpu family": "25", "model": "17",
        ...            "flags": "fpu sse2 ht fma avx avx2 avx512f"})
        {'processor': 'AMD EPYC (25, 17)', 'instructions': 'avx avx2 avx512f fma sse2'}
    """
    name = told.get("model name") or platform.processor() or platform.machine()
    model = [told[field] for field in MODEL if field in told]
    every = (told.get("flags") or told.get("Features") or "").split()
    return {
        "processor": f"{name} ({', '.join(model)})" if model else name,
        "instructions": " ".join(sorted(flag for flag in every if flag.startswith(ARITHMETIC))),
    }
