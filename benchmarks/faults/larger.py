"""A file that is larger than the memory of the machine: trained on, killed in mid-epoch, continued.

``python -m benchmarks.faults.larger FOLDER`` is the training itself, which the campaign starts in
processes of their own.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np

import jaxnets as jn
from benchmarks.faults.study import differences
from jaxnets.population.folder import STATE

SIDE, BLOCK = 256, 256
"""Rows are grey pictures of so many pixels on a side, in float32, written so many at a time."""

FACTOR = 1.25
"""The file has so many times the bytes of the machine's memory."""

ANONYMOUS = 6.0
"""GiB of memory of its own that the training may take; pages of the file are the system's."""

BATCH = 64


def run(gib: float | None = None) -> dict[str, Any]:
    """Write the file, train an epoch undisturbed and an epoch that is killed halfway; compare.

    Args:
        gib: the size of the file; by default `FACTOR` times the memory.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    size = FACTOR * memory if gib is None else gib
    with TemporaryDirectory() as place:
        folder = Path(place)
        rows = write(folder, int(size * 2**30) // (4 * SIDE**2))
        whole, killed = folder / "whole", folder / "killed"
        wall, peak = _train(folder, whole)
        _, first = _train(folder, killed, until=0.5 * wall)
        states = [path for path in killed.glob(f"{STATE}/*") if path.name[0] != "."]
        rest, second = _train(folder, killed)
        wrong = dict.fromkeys(differences(killed, whole), "differs")
        if not states:
            wrong["killed"] = "nothing had been saved"
        if max(peak, first, second) > ANONYMOUS:
            wrong["memory"] = f"more than {ANONYMOUS} GiB"
        return {
            "file GiB": round((folder / "x.npy").stat().st_size / 2**30, 2),
            "memory GiB": round(memory, 2),
            "rows": rows,
            "seconds of the whole": round(wall, 1),
            "seconds after the kill": round(rest, 1),
            "peak GiB of its own": round(max(peak, first, second), 2),
            "wrong": wrong,
        }


def write(folder: Path, rows: int) -> int:
    """Noise, brighter on the left for label 0 and on the right for label 1; no two blocks alike."""
    rng = np.random.default_rng(0)
    rows -= rows % BLOCK
    noise = rng.standard_normal((BLOCK, SIDE, SIDE), np.float32)
    labels = rng.integers(0, 2, rows).astype(np.int32)
    np.save(folder / "y.npy", labels)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, SIDE, SIDE))
    for start in range(0, rows, BLOCK):
        block = x[start : start + BLOCK]
        block[:] = noise + np.float32(start / rows)
        for row, label in enumerate(labels[start : start + BLOCK]):
            block[row, :, label * SIDE // 2 : (label + 1) * SIDE // 2] += 1
    x.flush()
    return rows


def train(folder: Path, out: Path) -> None:
    """One member, one epoch."""
    x, y = (np.lib.format.open_memmap(folder / name, "r") for name in ("x.npy", "y.npy"))
    valid = np.array(x[:BLOCK]), np.array(y[:BLOCK])
    data = jn.data.from_memmap(folder / "x.npy", folder / "y.npy", valid=valid, test=None)
    members = jn.grid(network=jn.nn.MLP([8], outputs=2), learning_rate=1e-5)
    jn.fit(
        jax.random.key(0), data, members, loss="softmax_cross_entropy", epochs=1,
        batch_size=BATCH, out=out, save_every=0,
    )  # fmt: skip


def _train(folder: Path, out: Path, until: float = float("inf")) -> tuple[float, float]:
    """Train in a process of its own, killed after so many seconds; how long it took, and the most
    GiB of memory of its own that it had.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks.faults.larger", str(folder), str(out)]
    began, peak = time.monotonic(), 0
    with open(folder / "said", "w+") as said:
        process = subprocess.Popen(command, stderr=said)
        while process.poll() is None:
            peak = max(peak, _anonymous(process.pid))
            if time.monotonic() - began > until:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.05)
        status = process.wait()
        said.seek(0)
        if status not in (0, -signal.SIGKILL):
            raise RuntimeError(f"status {status}: {said.read()[-800:]}")
    return time.monotonic() - began, peak / 2**20


def _anonymous(pid: int) -> int:
    """KiB of memory that are not pages of a file."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


if __name__ == "__main__":
    jn.use_all_cores()
    train(Path(sys.argv[1]), Path(sys.argv[2]))
