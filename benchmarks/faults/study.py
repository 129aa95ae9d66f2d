"""The study that is killed and repeated, as a command, and what it must leave behind."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from jaxnets.population import segments
from jaxnets.population.folder import STATE
from jaxnets.population.segments import DamagedError

QUESTION = {
    "depths": (1, 2), "params": (2500,), "learning-rates": (0.01, 0.03), "seeds": (5,),
    "epochs": (341,), "devices": (1,),
}  # fmt: skip
"""Eleven chunks of 31 epochs; the ten members of a depth are two dispatches, of eight and two."""

MEMBERS = 20
TIMEOUT = 900.0
"""Seconds after which a study that should have ended is one that hangs."""

TIMES = {
    ".csv": {"microseconds_per_member_step", "compile_seconds"},
    ".json": {"started", "finished", "sessions", "checksum"},
}
"""Columns and entries that are times, or made of times, and so differ from run to run; what a
sitting trained is among them, since it depends on where the one before was killed."""


def command(out: Path) -> list[str]:
    """The study in a process of its own, which saves at every chunk."""
    run = [sys.executable, "-m", "jaxnets", "depth-width", "--out", str(out)]
    options = [word for name, values in QUESTION.items() for word in (f"--{name}", *values)]
    return [*run, *map(str, options), "--save-every", "0"]


def start(out: Path) -> subprocess.Popen[str]:
    """Begin, or go on. Its compiled programs are kept beside the folder: another study compiles its
    own, and one that goes on finds what was kept, or half kept, before it was killed.
    """
    environment = {
        **os.environ,
        "MPLBACKEND": "Agg",
        "JAX_COMPILATION_CACHE_DIR": str(_compiled(out)),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen(
        command(out), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def remove(out: Path) -> None:
    """Take away the folder of a study, and its compiled programs."""
    for path in (out, _compiled(out)):
        shutil.rmtree(path, ignore_errors=True)


def _compiled(out: Path) -> Path:
    return out.with_name(f"{out.name}.compiled")


def finish(out: Path, timeout: float = TIMEOUT) -> str:
    """Go on to the end; what it said.

    Raises:
        RuntimeError: it failed, or did not end within ``timeout`` seconds.
    """
    process = start(out)
    try:
        said, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise RuntimeError(f"it did not end within {timeout:.0f} s") from None
    if process.returncode:
        raise RuntimeError(f"status {process.returncode}: {errors.strip()[-800:]}")
    return said


def differences(found: Path, expected: Path) -> list[str]:
    """What of a folder is not, bit for bit, what another one holds; times do not count.

    Every file is compared by its bytes; of those that have times in them (`TIMES`), the rest. Saved
    states are compared member by member: how they are spread over segments depends on when
    they were saved.
    """
    ours, theirs = contents(found), contents(expected)
    return [
        name if name in ours and name in theirs else f"{name}: only in one of the folders"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def contents(folder: Path) -> dict[str, Any]:
    """All that a folder holds but times: results by path, states by member."""
    files = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    results = {
        name.as_posix(): _timeless(path) for name, path in files.items() if name.parts[0] != STATE
    }
    return results | _states(folder / STATE)


def _timeless(path: Path) -> Any:
    times = TIMES.get(path.suffix, set())
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            return [[(k, v) for k, v in row.items() if k not in times]
                    for row in csv.DictReader(file)]  # fmt: skip
    if path.suffix == ".json":
        entries = json.loads(path.read_text()).items()
        return json.dumps({k: v for k, v in entries if k not in times})
    return path.read_bytes()


def _states(place: Path) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for path in sorted(place.iterdir()):
        try:
            segment = segments.look(path)
            segments.check(segment)
        except DamagedError as error:
            held[f"{STATE}/{path.name}"] = str(error)
            continue
        arrays = segments.read(segment)
        kind = "final" if segment.final else "unfinished"
        for row, member in enumerate(segment.members):
            held[f"{STATE}: {kind} {member}"] = {
                "reached": segment.reached[row],
                "active": segment.active[row],
                **{
                    name: (array.dtype.name, array.shape[1:], array[row].tobytes())
                    for name, array in arrays.items()
                    if name != "seconds"
                },
            }
    return held
