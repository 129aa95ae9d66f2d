"""One sitting at a study: what its folder holds, what is trained now, what is written."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from jaxnets import environment
from jaxnets.files import check_writable, now, replacing, write_manifest
from jaxnets.population.fitting import runs_of
from jaxnets.population.folder import check_owner, check_save_every, opened, state_bytes
from jaxnets.population.group import Keep, Known, look
from jaxnets.population.plan import Plan, Program
from jaxnets.population.progress import make_progress
from jaxnets.population.run import execute
from jaxnets.population.saver import SAVE_EVERY
from jaxnets.study import figures
from jaxnets.study.report import PAIRED, SUMMARY, Report
from jaxnets.study.summarize import Outcome, summarize
from jaxnets.study.tables import plan_table

if TYPE_CHECKING:
    from jaxnets.study.depth_width import Study

HISTORY, FIGURE = "history.nc", "depth_width"
RESULTS = (SUMMARY, PAIRED, HISTORY, f"{FIGURE}.png", f"{FIGURE}.svg")

WRITTEN = "written"

Tell = Callable[[Any], None]


@dataclass
class Session:
    """A study and its folder.

    Attributes:
        study: what is asked.
        place: the folder.
        save_every: seconds between two saves.
    """

    study: "Study"
    place: Path
    save_every: float = SAVE_EVERY

    def run(self, *, progress: bool | None = None, tell: Tell = lambda _: None) -> Report:
        """Train what the folder does not hold, saving as it goes, and write the answer.

        What is found has the bits that it would have had in one go: members do not depend on each
        other, and nothing but their states carries them from epoch to epoch.

        Args:
            progress: whether to show a progress bar; ``None``: if standard error is a terminal.
            tell: called with texts and `rich` tables that say what is going on.

        Returns:
            The report. That of a finished study is read: the test part is not looked at again.

        Raises:
            Stopped: by Ctrl-C or SIGTERM; everything is saved.
            OSError: something could not be written, or another process is at work in the folder.
        """
        study = self.study
        manifest = check_owner(self.place, study.identity)
        if manifest is not None and self._is_answered(manifest):
            tell(f"{self.place} holds this study, finished {manifest['finished']}.")
            return Report.read(study.question, study.measure, self.place)
        with opened(
            self.place,
            study.identity,
            lambda: _new_manifest(study),
            needed=_bytes(study.plan),
            tell=tell,
            save_every=self.save_every,
        ) as (keep, manifest):
            return self._answer(keep, manifest, progress, tell)

    def _answer(
        self, keep: Keep, manifest: dict[str, Any], progress: bool | None, tell: Tell
    ) -> Report:
        study, started, processes = self.study, time.perf_counter(), keep.processes
        leads = processes is None or processes.leads
        known = [look(study.plan, program, keep) for program in study.plan.programs]
        missing = sum(len(group.missing) for group in known)
        manifest |= {
            "question": study.question.to_json(),
            "programs": _programs(study, study.plan),
            "finished": None,
        }
        if leads:
            write_manifest(self.place, manifest)
        _tell_what_is_there(self.place, known, tell)
        if missing:
            tell(plan_table(*_rest(study, known)))
        with make_progress(study.plan, progress if missing else False) as bar:
            groups = tuple(execute(study.plan, bar, keep, compile_first=True))
        if processes is not None and not leads:
            processes.hear(WRITTEN, 0)
            return Report.read(study.question, study.measure, self.place)
        runs = runs_of(study.plan, groups)
        manifest["programs"] = _programs(study, runs.plan)
        outcome = summarize(runs, study.question, study.measure, study.shapes)
        keep.stop.raise_if_made(self.place)
        report = Report(
            study.question, study.measure, outcome.summary, outcome.paired, self.place, missing
        )
        self._write_results(outcome, report)
        keep.store.tidy()
        manifest["finished"] = now()
        manifest["sessions"] += [
            {
                "finished": manifest["finished"],
                "members": missing,
                "seconds": round(time.perf_counter() - started, 3),
                **({"halved": keep.halved} if keep.halved else {}),
            }
        ]
        write_manifest(self.place, manifest)
        if processes is not None:
            processes.say(WRITTEN)
        return report

    def _is_answered(self, manifest: dict[str, Any]) -> bool:
        """Whether this very question is; a result that somebody has deleted is written again."""
        return (
            bool(manifest["finished"])
            and manifest["question"] == self.study.question.to_json()
            and all((self.place / name).is_file() for name in RESULTS)
        )

    def _write_results(self, outcome: Outcome, report: Report) -> None:
        study = self.study
        history = outcome.history.assign_attrs(
            study="depth-width", question=json.dumps(study.question.to_json())
        )
        save_dataset(self.place / HISTORY, history)
        figure = figures.draw(outcome, study.question, study.measure, study.data.name)
        figures.save(figure, self.place, FIGURE)
        report.save()


def open_session(study: "Study", place: Path, save_every: float = SAVE_EVERY) -> Session:
    """See `jaxnets.study.depth_width.Study.open`."""
    save_every = check_save_every(save_every)
    manifest = check_owner(place, study.identity)
    session = Session(study, place, save_every)
    if manifest is None or not session._is_answered(manifest):
        check_writable(place, _bytes(study.plan))
    return session


def save_dataset(path: Path, dataset: xr.Dataset) -> None:
    """Write a netCDF file, all of it or nothing."""
    with replacing(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


def _tell_what_is_there(place: Path, known: list[Known], tell: Tell) -> None:
    done, begun = sum(len(group.done) for group in known), sum(group.begun for group in known)
    if done or begun:
        total = sum(len(group.found) for group in known)
        way = f", and {begun} on {'their' if begun > 1 else 'its'} way" if begun else ""
        tell(f"{place} holds {done} of {total} members already{way}.")


def _rest(study: "Study", known: list[Known]) -> tuple[Plan, list[tuple[int, int]], list[int]]:
    """The plan of what is missing, for the table, its shapes, and the epochs that are done."""
    programs: list[Program] = []
    behind: list[int] = []
    shapes: list[tuple[int, int]] = []
    rows: list[int] = []
    for group, shape in zip(known, study.shapes, strict=True):
        if len(group.missing):
            own = group.program.group
            left = tuple(own.rows[place] for place in sorted(group.missing.tolist()))
            programs.append(replace(group.program, group=replace(own, rows=left)))
            shapes.append(shape)
            behind.append(group.under_way)
            rows += left
    members = tuple(study.plan.spec.members[row] for row in sorted(rows))
    spec = replace(study.plan.spec, members=members)
    return replace(study.plan, spec=spec, programs=tuple(programs)), shapes, behind


def _bytes(plan: Plan) -> int:
    """What state and results take: the history is there twice."""
    records = len(plan.spec.records)
    names = len(plan.programs[0].group.recipe.record_names)
    return state_bytes(plan) + 8 * len(plan.spec.members) * records * names


def _programs(study: "Study", plan: Plan) -> list[dict[str, Any]]:
    return [
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


def _new_manifest(study: "Study") -> dict[str, Any]:
    return {
        "question": study.question.to_json(),
        "programs": _programs(study, study.plan),
        "precision": study.plan.spec.precision,
        "surroundings": environment.surroundings(),
        "files": ["state/", *RESULTS],
        "started": now(),
        "finished": None,
        "sessions": [],
    }
