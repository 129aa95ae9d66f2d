"""An hour of small studies in one process: memory, files, threads and programs must not grow."""

import os
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np

import jaxnets as jn

NETWORKS = (
    jn.nn.MLP([8], outputs=2),
    jn.nn.MLP([8, 8], outputs=2, norm="batch", dropout_rate=0.1),
    jn.nn.ResidualMLP(8, 2, 2),
)


def measure() -> dict[str, float]:
    """What this process holds."""
    statm = Path("/proc/self/statm").read_text().split()
    return {
        "memory_mib": int(statm[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "programs": len(jax.devices()[0].client.live_executables()),
        "arrays": len(jax.live_arrays()),
    }


def study(number: int, place: Path) -> None:
    """One of a few small studies, with another key and other data each time."""
    rng = np.random.default_rng(number)
    x = rng.standard_normal((90, 3)).astype(np.float32)
    data = jn.data.from_arrays(x, (x[:, 0] > 0).astype(np.int32), key=jax.random.key(number))
    members = jn.grid(network=NETWORKS[number % 3], learning_rate=[0.01, 0.1], seed=range(3))
    out = {"out": place / str(number)} if number % 4 == 0 else {}
    runs = jn.fit(
        jax.random.key(number), data, members, loss="softmax_cross_entropy", epochs=3, **out
    )
    runs.evaluate("test")


def run(minutes: float) -> dict[str, Any]:
    """Study after study; samples from the second tenth of the time to its end."""
    jn.use_all_cores()
    began, number = time.monotonic(), 0
    samples: list[dict[str, float]] = []
    with TemporaryDirectory() as place:
        while (passed := time.monotonic() - began) < 60 * minutes:
            study(number, Path(place))
            number += 1
            if passed > 6 * minutes * (1 + 0.45 * len(samples)):
                samples.append({"minutes": passed / 60, "studies": number, **measure()})
    first, last = samples[0], samples[-1]
    grown = {name: last[name] - first[name] for name in first if name not in ("minutes", "studies")}
    limits = {"memory_mib": 50.0, "files": 2, "threads": 2, "programs": 2, "arrays": 20}
    wrong = {name: grown[name] for name, limit in limits.items() if grown[name] > limit}
    return {"minutes": minutes, "studies": number, "samples": samples, "grown": grown,
            "limits": limits, "wrong": wrong}  # fmt: skip
