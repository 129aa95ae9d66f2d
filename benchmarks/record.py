"""Where a result was made: hardware, versions, flags; kept with every result.

``python -m benchmarks.record`` prints it, from a process that has looked at the devices and ends.
"""

import datetime
import json
import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import elsewhere

RESULTS = Path(__file__).parent / "results"
PEERS = ("torch", "keras", "scikit-learn", "mnist1d")


def environment() -> dict[str, Any]:
    """Hardware, versions and flags as JSON knows them."""
    import jax

    from jaxnets.environment import identity, surroundings

    return {
        "date": datetime.date.today().isoformat(),
        **commit(Path(__file__).parent),
        **identity(jax.local_devices()),
        **surroundings(),
        **{name: version for name in PEERS if (version := _version(name))},
    }


def commit(place: Path) -> dict[str, Any]:
    """Of which commit the files at ``place`` are, and whether all but results are as it has them;
    nothing where git does not know.
    """
    sources = [":(top)", ":(top,exclude)benchmarks/results"]
    asked = (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--", *sources])
    try:
        name, changed = (
            subprocess.run(
                ["git", "-C", str(place), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": name, "tree": "changed" if changed else "clean"}


def environment_elsewhere() -> dict[str, Any]:
    """`environment` with one device per core, without touching a device from this process: an
    accelerator belongs to the processes that measure.
    """
    found: dict[str, Any] = elsewhere.ask("benchmarks.record")
    return found


def load() -> float | None:
    """Processes that wanted a core during the last minute, where the system tells."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def write(name: str, result: dict[str, Any]) -> Path:
    """Store a result under ``benchmarks/results/``, with its environment unless it brings one."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    known = {} if "environment" in result else {"environment": environment()}
    path.write_text(json.dumps({**known, **result}, indent=1) + "\n")
    return path


def read(name: str) -> dict[str, Any] | None:
    """A stored result, or None."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    import jaxnets

    jaxnets.use_all_cores()
    print(json.dumps(environment()))
