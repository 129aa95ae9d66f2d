"""SIGKILL at random moments of a study; then the same command again, to the end."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.faults.study import differences, finish, start

WHEN = ("anywhere", "anywhere", "anywhere", "saving", "compiling", "drawing")
"""What the kills aim at, in turn. The folder tells when it comes to that; ``anywhere`` is a moment
drawn evenly over the time that the undisturbed study takes."""


def run(count: int, workers: int) -> dict[str, Any]:
    """Kill ``count`` studies, each in a folder of its own, and compare how they end."""
    with TemporaryDirectory() as place:
        expected = Path(place, "undisturbed")
        began = time.perf_counter()
        finish(expected)
        seconds = time.perf_counter() - began

        def one(number: int) -> tuple[str, list[str]]:
            folder = Path(place, f"{number}")
            return _kill_and_go_on(number, folder, expected, seconds * workers)

        with ThreadPoolExecutor(workers) as pool:
            outcomes = list(pool.map(one, range(count)))
    wrong = {f"{n}: {phase}": text for n, (phase, text) in enumerate(outcomes) if text}
    return {
        "kills": count,
        "exact continuations": count - len(wrong),
        "killed while": dict(Counter(phase for phase, _ in outcomes)),
        "wrong": wrong,
    }


def _kill_and_go_on(
    number: int, folder: Path, expected: Path, seconds: float
) -> tuple[str, list[str]]:
    draw, aim = random.Random(number), WHEN[number % len(WHEN)]
    process = start(folder)
    if aim == "anywhere":
        _wait(lambda: process.poll() is not None, draw.uniform(0, seconds))
    else:
        reached = {"saving": _saving, "compiling": _compiling, "drawing": _drawing}[aim]
        _wait(lambda: reached(folder) or process.poll() is not None, 10 * seconds)
        time.sleep(draw.uniform(0, 0.05))
    phase = "finished already" if process.poll() is not None else _phase(folder)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    try:
        finish(folder)
        return phase, differences(folder, expected)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        return phase, [f"{type(error).__name__}: {error}"]


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.001)


def _segments(folder: Path) -> list[Path]:
    return [p for p in folder.glob("state/*") if p.name[0] != "."]


def _saving(folder: Path) -> bool:
    return any(folder.glob("state/.*"))


def _compiling(folder: Path) -> bool:
    return (folder / "state").is_dir()


def _drawing(folder: Path) -> bool:
    return (folder / "history.nc").exists()


def _phase(folder: Path) -> str:
    if not (folder / "manifest.json").exists():
        return "before the manifest"
    if _drawing(folder):
        return "writing tables and figures"
    if _saving(folder):
        return "saving"
    return "training" if _segments(folder) else "compiling, or in the first chunk"
