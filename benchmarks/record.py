"""Where a result was made: hardware, versions, flags; kept with every result.

``python -m benchmarks.record`` prints it, from a process that has looked at the devices and ends.
"""

import datetime
import json
import os
import re
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


def machine(environment: dict[str, Any]) -> str:
    """The name of the folder with the results of one machine: its accelerators, or its processor
    with so many cores.

    Example:
        >>> known = {"processor": "AMD EPYC (25, 17)", "devices": {"platform": "cpu"}}
        >>> machine({"cores": 2, "machine": known})
        'cpu-2-amd-epyc-25-17'
    """
    known = environment["machine"]
    devices = known["devices"]
    words = (
        ("cpu", environment["cores"], known["processor"])
        if devices["platform"] == "cpu"
        else (devices["platform"], devices["count"], devices["kind"])
    )
    text = re.sub(r"\((R|TM)\)", "", " ".join(map(str, words)))
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def write(name: str, result: dict[str, Any]) -> Path:
    """Store a result in the folder of its machine under ``benchmarks/results/``, with its
    environment unless it brings one.
    """
    known = {} if "environment" in result else {"environment": environment()}
    result = {**known, **result}
    path = RESULTS / machine(result["environment"]) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path


def read() -> dict[str, dict[str, dict[str, Any]]]:
    """All stored results, by machine and name."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for path in sorted(RESULTS.glob("*/*.json")):
        found.setdefault(path.parent.name, {})[path.stem] = json.loads(path.read_text())
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
