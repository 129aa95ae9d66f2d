"""Where a result was made: hardware, versions, flags; kept with every result."""

import datetime
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from jaxnets.study.environment import identity, surroundings

RESULTS = Path(__file__).parent / "results"
PEERS = ("torch", "scikit-learn", "mnist1d")


def environment() -> dict[str, Any]:
    """Hardware, versions and flags as JSON knows them."""
    return {
        "date": datetime.date.today().isoformat(),
        **identity(jax.local_devices()),
        **surroundings(),
        **{name: version for name in PEERS if (version := _version(name))},
    }


def write(name: str, result: dict[str, Any]) -> Path:
    """Store a result with its environment under ``benchmarks/results/``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"environment": environment(), **result}, indent=1) + "\n")
    return path


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
