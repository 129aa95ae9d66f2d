"""Memory: what the plan asks before, and how a program becomes smaller when a device refuses."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from jaxnets.devices import traced_for
from jaxnets.population.spec import Spec
from jaxnets.train import Recipe
from jaxnets.train.epoch import ordered_at_once

if TYPE_CHECKING:
    from jaxnets.population.plan import Plan, Program

SPARE = 0.9
"""The share of what the host has available that a plan may take without a word."""

WORKING = 4
"""A lane takes about so many times its state: the state, what it was before, gradients, updates."""

BLOCK_BYTES = 2**24
"""At most about so many bytes of rows on one device in one block of rows that are not in memory,
one step at least."""

BLOCKS = 3
"""So many are there at once: one under way, the next one, and one that is being read."""

_SIGNS = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY")


def room_for_states(device: jax.Device, data_bytes: int) -> float:
    """Bytes that the states of all lanes of a device may take, by what it says of its memory; no
    more than infinity if it says nothing, as CPUs do. A property of the device and the data alone.

    Example:
        >>> room_for_states(jax.devices("cpu")[0], 0)
        inf
    """
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return math.inf if limit is None else max(0.0, (SPARE * limit - data_bytes) / WORKING)


def row_bytes(part: Any) -> int:
    """Bytes of one row on a device."""
    arrays = (part.x,) if part.reconstructs else (part.x, part.y)
    return sum(array.nbytes for array in arrays) // len(part)


def streamed_bytes(spec: Spec, recipe: Recipe) -> int:
    """Bytes of the rows of one member's step that come from the disk; 0 if all are in memory."""
    train = spec.data.train
    return 0 if train.in_memory else min(recipe.batch_size, len(train)) * row_bytes(train)


def data_bytes(spec: Spec, platform: str, programs: Sequence["Program"] = ()) -> int:
    """Bytes of the data on one device of a dispatch.

    Args:
        spec: the population.
        platform: of the device.
        programs: those that run there, one after the other: the one that adds most for its lanes
            counts.
    """
    parts = [part for name, part in spec.data.parts().items() if name != "test"]
    arrays = {id(a): a for part in parts if part.in_memory for a in (part.x, part.y)}
    held = sum(array.nbytes for array in arrays.values())
    train = spec.data.train
    if not train.in_memory:
        steps = [streamed_bytes(spec, p.group.recipe) * p.lanes * p.turns for p in programs]
        workers = max((p.workers for p in programs), default=1)
        return held + workers * BLOCKS * max([BLOCK_BYTES, *steps])
    ordered = train.x.nbytes + train.y.nbytes
    in_batches = any(group.recipe.batch_size < len(train) for group in spec.groups)
    with traced_for(platform):
        copied = in_batches and ordered_at_once(ordered)
    # Every lane has an order of its own; members that take turns come one after the other.
    lanes = max((p.lanes * p.workers for p in programs), default=1)
    return held + (ordered * lanes if copied else 0)


def check_host(plan: "Plan") -> str:
    """Compare what a plan will take on a CPU with what the host has available.

    Args:
        plan: what is going to be run; on anything but a CPU, where the number of lanes has been
            chosen by the device's memory already, only the results count here.

    Returns:
        What is to be said with the plan; empty if all is well.

    Raises:
        ValueError: the data alone, with what the lanes of all devices copy of them, do not fit.

    Warns:
        RuntimeWarning: data, states and results together do not.
    """
    there = host_bytes()
    on_cpu = plan.devices[0].platform == "cpu"  # then all is on one device, for all workers
    data = plan.data_bytes * on_cpu
    if data > there:
        raise ValueError(
            f"data: expected what fits into memory, but on {len(plan.devices)} CPU device(s) they "
            f"take {_mib(data)}, and {_mib(there)} are available; use fewer devices or lanes, or "
            "leave the rows on the disk."
        )
    needed = plan.device_bytes * on_cpu + plan.result_bytes
    if needed > SPARE * there:
        text = (
            f"this plan takes {_mib(needed)} of memory for data, states and results, activations "
            f"not counted, and {_mib(there)} are available: take fewer members at a time."
        )
        warnings.warn(text, RuntimeWarning, stacklevel=3)
        return text
    return ""


def host_bytes() -> float:
    """Bytes of the host's memory that are available to this process; infinity if nobody says.

    Example:
        >>> host_bytes() > 0
        True
    """
    found = [math.inf]
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(1024.0 * int(line.split()[1]))
    limit, used = (_read(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if limit.isdigit() and used.isdigit():
        # Pages of files that nobody has looked at lately are counted as used, and given away first.
        cached = dict(line.split() for line in _read("/sys/fs/cgroup/memory.stat").splitlines())
        taken = float(used) - float(cached.get("inactive_file", 0))
        found.append(max(0.0, float(limit) - max(0.0, taken)))
    return min(found)


def refusal(error: jax.errors.JaxRuntimeError) -> str | None:
    """The first line of what a device says that has no memory left; ``None`` of other errors.

    A ``MemoryError`` is not one: it is the host that has none then.

    Example:
        >>> refusal(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory (8 bytes)."))
        'RESOURCE_EXHAUSTED: Out of memory (8 bytes).'
        >>> refusal(jax.errors.JaxRuntimeError("INVALID_ARGUMENT"))
    """
    text = str(error)
    return text.strip().partition("\n")[0][:200] if any(s in text for s in _SIGNS) else None


def halved(program: "Program") -> "Program | None":
    """The same with half as many members in one dispatch; ``None`` if that is one already.

    Members that take turns are halved first: that does not change the bits of any.
    """
    if program.turns > 1:
        return replace(program, turns=program.turns // 2)
    if program.lanes > 1:
        return replace(program, lanes=program.lanes // 2)
    return None


def said(before: "Program", after: "Program", reason: str) -> str:
    """What everybody is told."""
    what = "other last bits" if after.lanes != before.lanes else "the same bits"
    return (
        f"{before.group.recipe.network.name}: the device has no memory for {before.lanes} members "
        f"side by side and {before.turns} in turn ({reason}); it goes on with {after.lanes} side "
        f"by side and {after.turns} in turn, which means {what}."
    )


def advice(program: "Program", reason: str) -> MemoryError:
    """The end of it: one member alone is too much."""
    return MemoryError(
        f"{program.group.recipe.network.name}: the device has no memory for a single member "
        f"({reason}); a smaller batch_size, a smaller network, fewer or shorter rows in the "
        "training and validation parts, or another device will do."
    )


def no_room(plan: "Plan", reason: str) -> MemoryError:
    """The end before the beginning: the data are too much."""
    return MemoryError(
        f"data: the device has no room for the {_mib(plan.data_bytes)} of its training and "
        f"validation parts ({reason}); leave the rows on the disk, or use fewer or shorter ones."
    )


def _mib(number: float) -> str:
    return f"{number / 2**20:,.0f} MiB"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
