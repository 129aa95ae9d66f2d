"""What the devices can do at best: a large matrix product and a stream through memory.

    python -m benchmarks.ceilings

Everything is measured, nothing is taken from a data sheet; on all local devices at once, each with
operands of its own.
"""

import json
from collections.abc import Callable
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

BYTES = {"cpu": 2**26}
"""Of one array of the stream per device: more than the caches hold. 1 GiB on accelerators."""

PASSES = 8
"""Of the stream in one call: two arrays are read, one is written."""

SIDES = {"cpu": 1024}
"""Of the square matrices; 8192 on accelerators."""


def device_ceilings(dtype: str = "float32", seconds: float = 0.5) -> dict[str, float]:
    """Floating-point operations and bytes per second of all local devices together.

    Args:
        dtype: of the operands; float32 is multiplied at ``highest`` precision.
        seconds: how long each is repeated; the best repetition counts.

    Returns:
        ``flops_per_second`` and ``bytes_per_second``.
    """
    devices = jax.local_devices()
    kind = jnp.dtype(dtype)
    side, size = SIDES.get(devices[0].platform, 8192), BYTES.get(devices[0].platform, 2**30)
    count = size // kind.itemsize

    def product(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.matmul(a, b, precision="highest" if kind == jnp.float32 else "default")

    def stream(a: jax.Array, b: jax.Array) -> jax.Array:
        # In place and many times: the pages of a new array would be counted as its bytes.
        half = jnp.asarray(0.5, kind)
        return jax.lax.fori_loop(0, PASSES, lambda _, a: half * a + b, a)

    moved = 3.0 * count * kind.itemsize * PASSES
    best = {
        "flops_per_second": 2.0 * side**3 / _fastest(product, (side, side), kind, seconds),
        "bytes_per_second": moved / _fastest(stream, (count,), kind, seconds),
    }
    return {name: value * len(devices) for name, value in best.items()}


def _fastest(
    function: Callable[..., jax.Array], shape: tuple[int, ...], dtype: Any, seconds: float
) -> float:
    """The shortest time of one call on all devices at once, each with its own operands."""
    devices = jax.local_devices()
    mesh = Mesh(np.array(devices, dtype=object), ("device",))
    own = PartitionSpec("device")
    whole = (len(devices) * shape[0], *shape[1:])
    place = NamedSharding(mesh, own)
    a, b = (
        jax.jit(lambda key: jax.random.normal(key, whole, dtype), out_shardings=place)(key)
        for key in jax.random.split(jax.random.key(0))
    )
    mapped = jax.shard_map(function, mesh=mesh, in_specs=(own, own), out_specs=own)
    run = jax.jit(mapped)
    jax.block_until_ready(run(a, b))
    times: list[float] = []
    begun = perf_counter()
    while perf_counter() - begun < seconds or len(times) < 3:
        start = perf_counter()
        jax.block_until_ready(run(a, b))
        times.append(perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure and print JSON."""
    import jaxnets as jn

    jn.use_all_cores()
    dtypes = ["float32"] if jax.default_backend() == "cpu" else ["float32", "bfloat16"]
    print(json.dumps({dtype: device_ceilings(dtype) for dtype in dtypes}))


if __name__ == "__main__":
    main()
