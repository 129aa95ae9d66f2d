"""From the start of a process to its first number, and what importing costs."""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.table import Table

from benchmarks.cases.settings import Settings
from benchmarks.elsewhere import ROOT, cold
from benchmarks.problems import Problem, stored
from benchmarks.protocol import Job
from benchmarks.systems import SYSTEMS

PROBLEM = Problem("mlp", "mnist1d", 4000, 32, widths=(64, 64))
FIRST = ("jaxnets", "flax-loop", "flax-scan", "torch", "keras", "sklearn")
"""The systems that are timed to their first metric."""

CACHED = ("jaxnets", "flax-loop", "flax-scan", "keras")
"""Those that are timed with JAX's persistent compilation cache, too."""

WITHOUT, WITH = "import jax, flax, optax", "the same and all of jaxnets"
IMPORTS = {
    "python": "pass",
    WITHOUT: "import jax, flax.linen, optax",
    f"{WITHOUT}, jaxnets": "import jax, flax.linen, optax, jaxnets",
    WITH: (
        "import jax, flax.linen, optax, jaxnets as jn; "
        "jn.fit, jn.nn, jn.data, jn.optim, jn.losses; "
        "import jaxnets.cli, jaxnets.study.session, jaxnets.verify.checks"
    ),
    "import torch": "import torch",
    "import keras": "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras",
    "import sklearn": "import sklearn.neural_network",
}


@dataclass(frozen=True)
class ColdStart:
    """See the module."""

    title: str = "Cold start: one epoch of 40-64-64-10 on 4000 rows, and imports"

    def run(self, settings: Settings) -> dict[str, Any]:
        """Every command in every round, each a process of its own."""
        with tempfile.TemporaryDirectory() as folder:
            commands = _commands(Path(folder), settings)
            rounds = 1 if settings.quick else settings.rounds
            seconds: dict[str, list[float]] = {name: [] for name in commands}
            why: dict[str, str] = {}
            for name, (command, cache) in commands.items():
                # Once beforehand: files come into memory, caches are filled.
                settings.tell(name)
                _time(command, cache, why, name)
            for number in range(rounds):
                settings.tell(f"round {number + 1} of {rounds}")
                for name in list(commands)[:: -1 if number % 2 else 1]:
                    if name not in why:
                        seconds[name].append(_time(*commands[name], why, name))
        rows = [
            {
                "name": name,
                "seconds": median(values) if values else None,
                "lowest": min(values, default=None),
                "highest": max(values, default=None),
                "void": why.get(name, ""),
            }
            for name, values in seconds.items()
        ]
        return {"title": self.title, "rounds": rounds, "rows": rows}

    def table(self, result: dict[str, Any]) -> Table:
        """Seconds of everything."""
        shown = Table(title=self.title, title_justify="left")
        for column in COLUMNS:
            shown.add_column(column, justify="left" if column == "process" else "right")
        for cells in table_cells(result):
            shown.add_row(*cells)
        return shown


COLUMNS = ("process", "seconds", "lowest", "highest")


def table_cells(result: dict[str, Any]) -> list[list[str]]:
    """One list of texts per process, in the order of `COLUMNS`."""
    return [
        [
            row["name"],
            *(
                [f"{row[name]:.2f}" for name in ("seconds", "lowest", "highest")]
                if not row["void"]
                else ["void", "", row["void"]]
            ),
        ]
        for row in result["rows"]
    ]


def _commands(folder: Path, settings: Settings) -> dict[str, tuple[list[str], str]]:
    """The processes by name, each with the folder of its compilation cache or none."""
    python = [sys.executable, "-c"]
    found: dict[str, tuple[list[str], str]] = {}
    path = str(stored(PROBLEM, folder))
    for system in FIRST:
        if settings.systems and system not in settings.systems:
            continue
        job = json.dumps(asdict(Job(system, PROBLEM, data=path)))
        command = [sys.executable, "-m", "benchmarks.first", job]
        label = SYSTEMS[system].label
        found[f"{label}: first metric"] = command, ""
        if system in CACHED:
            cache = str(folder / f"cache-{system}")
            found[f"{label}: first metric, compilation cached"] = command, cache
    for name, code in IMPORTS.items():
        found[name] = [*python, code], ""
    found["jaxnets --help"] = [sys.executable, "-m", "jaxnets", "--help"], ""
    return found


def _time(command: list[str], cache: str, why: dict[str, str], name: str) -> float:
    environment = cold()
    if cache:
        environment |= {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
    start = perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    seconds = perf_counter() - start
    if done.returncode:
        why[name] = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1][:200]
    return seconds
