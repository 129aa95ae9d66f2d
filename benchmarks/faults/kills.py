"""SIGKILL at random moments of a study; then the same command again, to the end."""

import json
import random
import re
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.faults.study import MEMBERS, TIMEOUT, differences, finish, remove, start
from jaxnets.files import MANIFEST, TEMPORARY
from jaxnets.population import segments
from jaxnets.population.folder import STATE
from jaxnets.population.segments import DamagedError

AIMS = ("compiling", "chunk", "saving", "figure", "chunk", "saving", "chunk", "results")
"""In what the studies are killed, in turn. A kill counts if the folder that it leaves behind says
that it was there (see `see`); otherwise the study is begun again, with other draws."""

ATTEMPTS = 20
AGAIN = 5
"""Every so many-th study is killed once more while it goes on."""

GENERATIONS = 10
"""The least number of states that the study must save for a kill to have something to hit."""


class Seen(NamedTuple):
    """What a folder says of the study in it.

    Attributes:
        phase: ``starting`` (nothing is there), ``compiling`` (nothing is saved), ``chunk``,
            ``saving`` (something is half written among the states), ``results`` (all is trained),
            ``figure`` (one is half written), ``over``.
        generation: of the last state.
        live: states of members on their way.
        begun: members on their way.
    """

    phase: str
    generation: int
    live: int
    begun: int


@dataclass(frozen=True)
class Usual:
    """An undisturbed study, from outside.

    Attributes:
        seconds: from its beginning to its end.
        first: from its beginning to the first state.
        spans: seconds that a phase takes whenever it comes, by phase.
        generations: how many states it saved.
    """

    seconds: float
    first: float
    spans: dict[str, float]
    generations: int


def see(folder: Path) -> Seen:
    """What is going on in a folder, or went on when its process was killed."""
    state = folder / STATE
    if not state.is_dir():
        return Seen("starting", 0, 0, 0)
    names = [path.name for path in state.iterdir()]
    found = []
    for name in names:
        if segments.generation_of(Path(name)) is not None:
            try:
                found.append(segments.look(state / name))
            except DamagedError:  # taken away in this moment
                continue
    final = {member for segment in found if segment.final for member in segment.members}
    live = [s for s in found if not s.final and not final.issuperset(s.members)]
    begun = {member for segment in live for member in segment.members} - final
    generation = max((segment.generation for segment in found), default=0)
    saving = any(name.startswith(TEMPORARY) for name in names)
    if len(final) == MEMBERS:
        phase = _ending(folder)
    else:
        phase = "saving" if saving else "chunk" if found else "compiling"
    return Seen(phase, generation, len(live), len(begun))


def _ending(folder: Path) -> str:
    if json.loads((folder / MANIFEST).read_text())["finished"]:
        return "over"
    drawn = {path.suffix for path in folder.glob(f"{TEMPORARY}*")} & {".png", ".svg"}
    return "figure" if drawn else "results"


def watch(folder: Path) -> Usual:
    """Run the study undisturbed, and look on."""
    process, began = start(folder), time.monotonic()
    marks: list[tuple[float, Seen]] = []
    while process.poll() is None:
        seen = see(folder)
        if not marks or seen != marks[-1][1]:
            marks.append((time.monotonic() - began, seen))
        time.sleep(0.001)
    seconds = time.monotonic() - began
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"status {process.returncode}: {errors.strip()[-800:]}")
    spans: dict[str, list[float]] = {}
    before, since = "", 0.0
    for moment, seen in [*marks, (seconds, Seen("", 0, 0, 0))]:
        if seen.phase != before:
            spans.setdefault(before, []).append(moment - since)
            before, since = seen.phase, moment
    compiled = [segments.look(path).about["compile_seconds"] for path in (folder / STATE).iterdir()]
    return Usual(
        seconds=seconds,
        first=next(moment for moment, seen in marks if seen.generation),
        # The first chunk comes before the first state, too.
        spans={name: statistics.median(each) for name, each in spans.items()}
        | {"compiling": max(compiled)},
        generations=marks[-1][1].generation,
    )


def run(count: int, workers: int) -> dict[str, Any]:
    """Kill ``count`` studies, each in a folder of its own, and compare how they end."""
    with TemporaryDirectory() as place:
        expected = Path(place, "undisturbed")
        usual = watch(expected)
        if usual.generations < GENERATIONS:
            raise RuntimeError(
                f"the study saved {usual.generations} states, expected at least {GENERATIONS}: "
                "there is too little to kill."
            )

        def one(number: int) -> dict[str, Any]:
            return _kill_and_go_on(number, Path(place, f"{number}"), expected, usual)

        with ThreadPoolExecutor(workers) as pool:
            each = list(pool.map(one, range(count)))
    return {
        "kills": count,
        "exact continuations": sum(not found["wrong"] for found in each),
        "killed while": dict(Counter(found["phase"] for found in each)),
        "live states continued": sum(found["continued"] > 0 for found in each),
        "killed twice": sum("again" in found for found in each),
        "attempts": sum(found["attempts"] for found in each),
        "undisturbed": {"seconds": round(usual.seconds, 1), "states": usual.generations,
                        "spans": {k: round(v, 3) for k, v in usual.spans.items() if k}},
        "each": each,
        "wrong": judge(each),
    }  # fmt: skip


def judge(each: list[dict[str, Any]]) -> dict[str, Any]:
    """What did not end exactly, and what the kills did not reach often enough."""
    wrong = {f"{n}: {found['phase']}": found["wrong"] for n, found in enumerate(each)
             if found["wrong"]}  # fmt: skip
    least = len(each) // 10
    times = Counter(found["phase"] for found in each)
    wrong |= {name: f"killed there {times[name]} times, expected at least {least}"
              for name in AIMS if times[name] < least}  # fmt: skip
    continued, least = sum(found["continued"] > 0 for found in each), 2 * len(each) // 5
    if continued < least:
        wrong["live states"] = f"continued {continued} times, expected at least {least}"
    return wrong


def _kill_and_go_on(number: int, folder: Path, expected: Path, usual: Usual) -> dict[str, Any]:
    draw, aim = random.Random(number), AIMS[number % len(AIMS)]
    for attempt in range(1, ATTEMPTS + 1):
        remove(folder)
        found: dict[str, Any] = {"phase": aim, "attempts": attempt}
        if not _kill(folder, _moment(folder, aim, draw, usual)) or see(folder).phase != aim:
            continue
        found["generation"] = see(folder).generation
        if number % AGAIN == 0:
            if not _kill(folder, _later(folder, draw, usual)) or see(folder).phase == "over":
                continue
            found["again"] = see(folder).phase
        break
    else:
        return found | {"live": 0, "continued": 0, "wrong": [f"missed {ATTEMPTS} times"]}
    left = see(folder)
    found["live"] = left.live
    try:
        said = re.search(r"and (\d+) on (?:their|its) way", finish(folder))
        found["continued"] = int(said.group(1)) if said else 0
        wrong = differences(folder, expected)
        if found["continued"] != left.begun:
            wrong.append(f"{left.begun} were on their way, {found['continued']} were continued")
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        found["continued"], wrong = 0, [f"{type(error).__name__}: {error}"]
    remove(folder)
    return found | {"wrong": wrong}


def _kill(folder: Path, moment: Callable[[Callable[[], bool]], None]) -> bool:
    """Begin or go on, and kill; whether it was still alive then."""
    process = start(folder)
    moment(lambda: process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


Moment = Callable[[Callable[[], bool]], None]


def _moment(folder: Path, aim: str, draw: random.Random, usual: Usual) -> Moment:
    """Wait for a drawn place in the progress of the study, and a drawn time from there."""
    least = draw.randrange(usual.generations) if aim in ("chunk", "saving") else 0
    span = draw.uniform(0, usual.spans[aim])

    def there() -> bool:
        seen = see(folder)
        return seen.phase == aim and seen.generation >= least

    def wait(over: Callable[[], bool]) -> None:
        _wait(lambda: there() or over(), TIMEOUT)
        time.sleep(span)

    return wait


def _later(folder: Path, draw: random.Random, usual: Usual) -> Moment:
    """Of a study that goes on: while it starts and compiles, or after it has saved something."""
    last, span = see(folder).generation, draw.uniform(0, usual.spans["chunk"])
    saves, most = draw.random() < 0.5, draw.uniform(0, usual.first)

    def wait(over: Callable[[], bool]) -> None:
        if saves and last < usual.generations:
            _wait(lambda: see(folder).generation > last or over(), TIMEOUT)
            time.sleep(span)
        else:
            _wait(over, most)

    return wait


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not condition():
        time.sleep(0.001)
