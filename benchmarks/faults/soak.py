"""An hour of small studies in one process: memory, files, threads and programs must not grow."""

import gc
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np
from scipy.stats import theilslopes

import jaxnets as jn

NETWORKS = (
    jn.nn.MLP([8], outputs=2),
    jn.nn.MLP([8, 8], outputs=2, norm="batch", dropout_rate=0.1),
    jn.nn.ResidualMLP(8, 2, 2),
)
EVERY = 12
"""Studies between two samples: a whole round of networks, with and without a folder."""

WARM = 0.2
"""The share of the studies, the first ones, in which a process may still grow into its work."""

MEMORY = 1.0
"""MiB that a thousand studies may add: a kilobyte each. Saved states that leak 10 KiB show."""

COUNTED = ("files", "threads", "programs", "arrays")
"""What may not grow at all."""

Sample = dict[str, float]


def measure() -> Sample:
    """What this process holds."""
    gc.collect()
    statm = Path("/proc/self/statm").read_text().split()
    return {
        "memory_mib": int(statm[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "programs": len(jax.devices()[0].client.live_executables()),
        "arrays": len(jax.live_arrays()),
    }


def study(number: int, place: Path) -> None:
    """One of a few small studies, with another key and other data each time."""
    rng = np.random.default_rng(number)
    x = rng.standard_normal((90, 3)).astype(np.float32)
    data = jn.data.from_arrays(x, (x[:, 0] > 0).astype(np.int32), key=jax.random.key(number))
    members = jn.grid(network=NETWORKS[number % 3], learning_rate=[0.01, 0.1], seed=range(3))
    runs = jn.fit(
        jax.random.key(number), data, members, loss="softmax_cross_entropy", epochs=3,
        out=place if number % 4 == 0 else None,
    )  # fmt: skip
    runs.evaluate("test")
    shutil.rmtree(place, ignore_errors=True)


def run(minutes: float) -> dict[str, Any]:
    """Study after study, until so many minutes have passed both on the wall and on the cores: a
    process that has to wait for others gets no hour for it.
    """
    began, worked = time.monotonic(), time.process_time()
    samples: list[Sample] = []
    number = 0
    wall = cores = 0.0
    with TemporaryDirectory() as place:
        while min(wall, cores) < minutes:
            study(number, Path(place, "out"))
            number += 1
            wall, cores = (time.monotonic() - began) / 60, (time.process_time() - worked) / 60
            if number % EVERY == 0:
                samples.append({"minutes": round(wall, 2), "studies": number, **measure()})
    return {
        "minutes": minutes,
        "wall minutes": round(wall, 2),
        "minutes of processor time": round(cores, 2),
        "processor time per wall time": round(cores / wall, 2),
        "studies": number,
        "samples": samples[:: max(1, len(samples) // 60)],
        **judge(samples),
    }


def judge(samples: Sequence[Sample]) -> dict[str, Any]:
    """How memory grows with the studies, and whether anything that is counted does.

    Of memory it is the median of the slopes between all pairs of samples (Theil and Sen), which a
    single step does not move; of what is counted, the least in the last quarter against the most in
    the first, since a thread that is just ending is no growth.
    """
    kept = [s for s in samples if s["studies"] >= WARM * samples[-1]["studies"]]
    if len(kept) < 4:
        return {"wrong": {"samples": f"{len(kept)} after warming up, expected at least 4"}}
    thin = kept[:: max(1, len(kept) // 500)]
    memory, studies = ([s[name] for s in thin] for name in ("memory_mib", "studies"))
    slope = round(1000 * float(theilslopes(memory, studies)[0]), 2)
    quarter = len(kept) // 4
    grown = {
        name: max(0, min(s[name] for s in kept[-quarter:]) - max(s[name] for s in kept[:quarter]))
        for name in COUNTED
    }
    wrong: dict[str, float] = {name: more for name, more in grown.items() if more > 0}
    if slope > MEMORY:
        wrong["memory_mib"] = slope
    return {
        "MiB per 1,000 studies": slope,
        "limit": MEMORY,
        "grown": grown,
        "wrong": wrong,
    }
