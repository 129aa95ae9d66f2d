"""One sitting at a study: what its folder holds, what is trained now, what is written."""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnets.population.plan import Plan, Program
from jaxnets.population.program import Blueprint, executables
from jaxnets.population.progress import make_progress
from jaxnets.population.results import GroupResult, Runs
from jaxnets.population.run import execute
from jaxnets.population.spec import Spec
from jaxnets.study import environment, figures, folder, parts
from jaxnets.study.report import PAIRED, SUMMARY, Report
from jaxnets.study.summarize import Outcome, summarize
from jaxnets.study.tables import plan_table

if TYPE_CHECKING:
    from jaxnets.study.depth_width import Study

HISTORY, FIGURE = "history.nc", "depth_width"
RESULTS = (SUMMARY, PAIRED, HISTORY, f"{FIGURE}.png", f"{FIGURE}.svg")

Tell = Callable[[Any], None]


@dataclass
class Session:
    """A study and its folder.

    Attributes:
        study: what is asked.
        place: the folder.
        manifest: of the folder; for a new one, what will be written.
        found: results by depth; at first those in the folder.
    """

    study: "Study"
    place: Path
    manifest: dict[str, Any]
    found: dict[int, GroupResult]

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return _is_finished(self.place, self.manifest)

    @property
    def missing(self) -> list[tuple[int, Program]]:
        """Depths and programs that are to be trained."""
        if self.finished:
            return []
        programs = zip(self.study.shapes, self.study.plan.programs, strict=True)
        return [(depth, program) for (depth, _), program in programs if depth not in self.found]

    def run(self, *, progress: bool | None = None, tell: Tell = lambda _: None) -> Report:
        """Train what is missing, each depth saved as soon as it is done, and write the answer.

        A depth that was found has the bits that it would have had in one go: members do not
        depend on each other.

        Args:
            progress: whether to show a progress bar; ``None``: if standard error is a terminal.
            tell: called with texts and `rich` tables that say what is going on.

        Returns:
            The report. That of a finished study is read: the test part is not looked at again.

        Raises:
            OSError: something could not be written after all.
        """
        study = self.study
        if self.finished:
            tell(f"{self.place} holds this study, finished {self.manifest['finished']}.")
            return Report.read(study.question, study.measure, self.place)
        started, missing = time.perf_counter(), self.missing
        (self.place / "parts").mkdir(exist_ok=True)
        self._write_manifest()
        if self.found:
            tell(f"{self.place} holds depth {', '.join(map(str, self.found))} already.")
        if missing:
            self._train(missing, progress, tell)
        results = tuple(self.found[depth] for depth, _ in study.shapes)
        runs = Runs(study.plan, results)
        outcome = summarize(runs, study.question, study.measure, study.shapes)
        report = Report(
            study.question, study.measure, outcome.summary, outcome.paired, self.place, len(missing)
        )
        self._write_results(outcome, report)
        self.manifest["finished"] = _now()
        self.manifest["sessions"] += [
            {
                "finished": self.manifest["finished"],
                "depths": [depth for depth, _ in missing],
                "seconds": round(time.perf_counter() - started, 3),
            }
        ]
        self._write_manifest()
        return report

    def _train(self, missing: list[tuple[int, Program]], progress: bool | None, tell: Tell) -> None:
        plan = self.study.plan
        rows = sorted(row for _, program in missing for row in program.group.rows)
        depths = [depth for depth, _ in missing]
        rest = replace(
            plan,
            spec=replace(plan.spec, members=tuple(plan.spec.members[row] for row in rows)),
            programs=tuple(program for _, program in missing),
        )
        tell(plan_table(rest, [shape for shape in self.study.shapes if shape[0] in depths]))
        with make_progress(rest, progress) as bar:
            # Everything is compiled before anything runs: a program that shared the cores with the
            # compilation of another would look slower than it is.
            compiled = compile_all(rest.spec, rest.programs)
            results = zip(missing, compiled, execute(rest, bar), strict=True)
            for (depth, _), seconds, result in results:
                timed = replace(result, compile_seconds=seconds)
                parts.save(_part(self.place, depth), timed)
                self.found[depth] = timed

    def _write_results(self, outcome: Outcome, report: Report) -> None:
        study = self.study
        history = outcome.history.assign_attrs(
            study="depth-width", question=json.dumps(study.question.to_json())
        )
        parts.save_dataset(self.place / HISTORY, history)
        figure = figures.draw(outcome, study.question, study.measure, study.data.name)
        figures.save(figure, self.place, FIGURE)
        report.save()

    def _write_manifest(self) -> None:
        text = json.dumps(self.manifest, indent=2) + "\n"
        folder.write_text(self.place / folder.MANIFEST, text)


def compile_all(spec: Spec, programs: Sequence[Program]) -> list[float]:
    """Compile side by side; `jaxnets.population.run.execute` then finds everything compiled.

    Args:
        spec: the population.
        programs: of the plan.

    Returns:
        Wall time of each program's compilation, next to that of the others. Beyond the 64 programs
        that `jaxnets.population.program.executables` remembers, the rest compiles as it runs.
    """

    def compile_one(program: Program) -> float:
        start = time.perf_counter()
        executables(Blueprint.of(spec, program))
        return time.perf_counter() - start

    pool = ThreadPoolExecutor(min(len(programs), os.cpu_count() or 1))
    try:
        return list(pool.map(compile_one, programs))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def open_session(study: "Study", place: Path) -> Session:
    """See `jaxnets.study.depth_width.Study.open`."""
    manifest = folder.read_manifest(place)
    if manifest is not None:
        folder.check_same(place, manifest["identity"], study.identity)
        if _is_finished(place, manifest):
            return Session(study, place, manifest, {})
    plan = study.plan
    example = np.zeros((1, *study.data.input_shape), np.float32)
    found = {
        depth: parts.load(_part(place, depth), program, example)
        for (depth, _), program in zip(study.shapes, plan.programs, strict=True)
        if manifest is not None and _part(place, depth).is_file()
    }
    folder.check_writable(place, _bytes(plan))
    return Session(study, place, manifest or _new_manifest(study), found)


def _is_finished(place: Path, manifest: dict[str, Any]) -> bool:
    """A result that somebody has deleted is written again."""
    return bool(manifest["finished"]) and all((place / name).is_file() for name in RESULTS)


def _part(place: Path, depth: int) -> Path:
    return place / "parts" / f"depth-{depth}.nc"


def _bytes(plan: Plan) -> int:
    """What the results take: the kept weights, and the histories twice."""
    spec, names = plan.spec, len(plan.programs[0].group.recipe.record_names)
    records = -(-spec.epochs // spec.history_every)
    return plan.result_bytes + 2 * 4 * len(spec.members) * records * 2 * names


def _new_manifest(study: "Study") -> dict[str, Any]:
    plan = study.plan
    programs = [
        {
            "depth": depth,
            "width": width,
            "network": program.group.recipe.network.name,
            "parameters": program.parameters,
            "members": len(program.group.rows),
            "lanes": program.lanes,
            "devices": len(program.devices),
            "chunk_epochs": program.chunk_epochs,
        }
        for (depth, width), program in zip(study.shapes, plan.programs, strict=True)
    ]
    return {
        "format": 1,
        "identity": study.identity,
        "programs": programs,
        "precision": plan.spec.precision,
        "surroundings": environment.surroundings(),
        "files": ["parts/", *RESULTS],
        "started": _now(),
        "finished": None,
        "sessions": [],
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
