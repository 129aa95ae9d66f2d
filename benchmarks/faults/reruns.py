"""The same study again and again, each time in a new process: the same bits."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.faults.study import differences, finish


def run(count: int, workers: int) -> dict[str, Any]:
    """Run it ``count`` times and compare all with the first."""
    with TemporaryDirectory() as place:
        folders = [Path(place, str(number)) for number in range(count)]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(finish, folders))
        found = {str(n): differences(folder, folders[0]) for n, folder in enumerate(folders)}
    return {"runs": count, "wrong": {name: text for name, text in found.items() if text}}
