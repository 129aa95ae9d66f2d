"""The study that is killed and repeated, as a command, and what it must leave behind."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import xarray as xr

QUESTION = {
    "depths": (1, 2), "params": (3000,), "learning-rates": (0.01, 0.03), "seeds": (4,),
    "epochs": (24,), "devices": (1,),
}  # fmt: skip
TIMES = {"step_us", "seconds", "compile_seconds", "run_seconds"}
"""Columns and entries that are times and so differ from run to run."""


def command(out: Path) -> list[str]:
    """The study in a process of its own, which saves at every chunk."""
    run = [sys.executable, "-m", "jaxnets", "depth-width", "--out", str(out)]
    options = [word for name, values in QUESTION.items() for word in (f"--{name}", *values)]
    return [*run, *map(str, options), "--save-every", "0", "--quiet"]


def start(out: Path) -> subprocess.Popen[str]:
    """Begin, or go on."""
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    return subprocess.Popen(
        command(out), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(out: Path) -> str:
    """Go on to the end; what it said on standard error.

    Raises:
        RuntimeError: it failed.
    """
    process = start(out)
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"status {process.returncode}: {errors.strip()[-800:]}")
    return errors


def differences(found: Path, expected: Path) -> list[str]:
    """Which results of a folder are not, bit for bit, those of another; times do not count."""
    wrong = []
    for path in sorted(expected.glob("*.csv")):
        if _rows(found / path.name) != _rows(path):
            wrong.append(path.name)
    with (
        xr.open_dataset(found / "history.nc", engine="h5netcdf") as ours,
        xr.open_dataset(expected / "history.nc", engine="h5netcdf") as theirs,
    ):
        for name in sorted({*ours.variables, *theirs.variables} - TIMES):
            if name not in ours or name not in theirs or not _same(ours[name], theirs[name]):
                wrong.append(f"history.nc:{name}")
    names = {p.name for p in found.iterdir() if p.name[0] != "."}
    for name in sorted(names ^ {p.name for p in expected.iterdir() if p.name[0] != "."}):
        wrong.append(f"{name}: only in one of the folders")
    manifests = [json.loads((place / "manifest.json").read_text()) for place in (found, expected)]
    for name in ("identity", "question", "programs"):
        if manifests[0].get(name) != manifests[1].get(name):
            wrong.append(f"manifest.json:{name}")
    return wrong


def _same(a: xr.DataArray, b: xr.DataArray) -> bool:
    left, right = a.values, b.values
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype.kind in "OU":
        return left.tolist() == right.tolist()
    return np.ascontiguousarray(left).tobytes() == np.ascontiguousarray(right).tobytes()


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not any(t in k for t in TIMES)} for row in rows]
