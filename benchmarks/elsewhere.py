"""A module of the benchmarks run in a process of its own, whose last line is its answer as JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def ask(module: str, *arguments: str) -> Any:
    """What ``python -m module`` answers in the last line that it prints.

    JAX's persistent compilation cache is off there, whatever this process uses: what is timed cold
    is cold.

    Args:
        module: its name.
        *arguments: of its command line.

    Raises:
        RuntimeError: it ended with another status than 0; with the last lines of what it said.
    """
    process = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True, text=True, cwd=ROOT, env=cold(),
    )  # fmt: skip
    if process.returncode:
        said = "\n".join(process.stderr.strip().splitlines()[-5:])
        raise RuntimeError(f"{module} ended with status {process.returncode}: {said}")
    return json.loads(process.stdout.splitlines()[-1])


def cold() -> dict[str, str]:
    """This environment without JAX's persistent compilation cache."""
    return {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
