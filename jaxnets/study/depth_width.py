"""Depth against width at equal size: from the question to a folder with the answer."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnets import nn, optim
from jaxnets.data import Dataset
from jaxnets.errors import lookup
from jaxnets.population.members import grid
from jaxnets.population.plan import Plan, make_plan
from jaxnets.population.progress import make_progress
from jaxnets.population.results import GroupResult, Runs
from jaxnets.population.run import execute
from jaxnets.population.spec import make_spec
from jaxnets.study import environment, figures, folder, parts
from jaxnets.study.measure import Measure, load_ready, measure_of, outputs_of
from jaxnets.study.question import DepthWidth
from jaxnets.study.report import PAIRED, SUMMARY, Report
from jaxnets.study.shapes import equal_parameters
from jaxnets.study.summarize import Outcome, summarize

HISTORY, FIGURE = "history.nc", "depth_width"
RESULTS = (SUMMARY, PAIRED, HISTORY, f"{FIGURE}.png", f"{FIGURE}.svg")

Tell = Callable[[Any], None]


@dataclass(frozen=True)
class Study:
    """A question with the data and the devices on which it is to be answered; see `prepare`.

    Attributes:
        question: what is asked.
        data: ready for training.
        devices: where the members run.
        measure: what decides.
        shapes: depth and width of every architecture.
    """

    question: DepthWidth
    data: Dataset
    devices: tuple[jax.Device, ...]
    measure: Measure
    shapes: tuple[tuple[int, int], ...]

    @cached_property
    def plan(self) -> Plan:
        """How it will run: one program per depth, in their order; nothing is compiled."""
        question = self.question
        networks = [
            nn.MLP(
                [width] * depth,
                outputs=outputs_of(self.data),
                activation=question.activation,
                kernel_init=question.kernel_init,
            )
            for depth, width in self.shapes
        ]
        optimizer = lookup("optimizer", question.optimizer, optim.OPTIMIZERS)
        members = grid(
            network=networks,
            learning_rate=list(question.learning_rates),
            seed=range(question.seeds),
        )
        spec = make_spec(
            jax.random.key(question.key),
            self.data,
            members,
            epochs=question.epochs,
            loss=self.measure.loss,
            optimizer=optimizer(clip_norm=question.clip_norm),
            batch_size=question.batch_size,
            monitor=f"valid_{self.measure.name}",
            keep="best",
        )
        return make_plan(spec, devices=self.devices)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the numbers; a folder belongs to one identity."""
        key = jax.random.key(self.question.key)
        return {
            "study": "depth-width",
            "question": self.question.to_json(),
            "data": {
                "name": self.data.name,
                "fingerprint": self.data.fingerprint(),
                "rows": {name: len(part) for name, part in self.data.parts().items()},
            },
            "key": {"data": jax.random.key_data(key).tolist(), "impl": str(jax.random.key_impl(key))},
            **environment.identity(self.devices),
        }

    def run(
        self, out: str | Path, *, progress: bool | None = None, tell: Tell = lambda _: None
    ) -> Report:
        """Train what the folder does not hold yet, and write the answer into it.

        Args:
            out: the folder; made if need be. One that holds the finished study is only read, one
                that holds some of its depths is continued, with the same bits as in one go.
            progress: whether to show a progress bar; ``None``: if standard error is a terminal.
            tell: called with texts and `rich` tables that say what is going on.

        Returns:
            The report.

        Raises:
            ValueError: the folder holds something else.
            OSError: the folder cannot be written to, or the disk is too full; found before
                training.
        """
        place = Path(out)
        manifest = folder.read_manifest(place)
        if manifest is not None:
            folder.check_same(place, manifest["identity"], self.identity)
            if manifest.get("finished") and all((place / name).is_file() for name in RESULTS):
                tell(f"{place} holds this study, finished {manifest['finished']}.")
                return Report.read(self.question, self.measure, place)
        started = time.perf_counter()
        plan = self.plan
        folder.check_writable(place, self._bytes())
        (place / "parts").mkdir(exist_ok=True)
        manifest = manifest or self._manifest()
        _write_manifest(place, manifest)
        results, trained = self._results(place, progress, tell)
        outcome = summarize(Runs(plan, results), self.question, self.measure, self.shapes)
        report = Report(
            self.question, self.measure, outcome.summary, outcome.paired, place, trained
        )
        self._write(place, outcome, report)
        manifest["finished"] = _now()
        manifest["sessions"] = [
            *manifest["sessions"],
            {
                "finished": manifest["finished"],
                "depths": [depth for depth, _ in self.shapes[len(self.shapes) - trained :]],
                "seconds": round(time.perf_counter() - started, 3),
            },
        ]
        _write_manifest(place, manifest)
        return report

    def done(self, out: str | Path) -> int:
        """How many depths the folder holds already."""
        return sum(self._part(Path(out), depth).is_file() for depth, _ in self.shapes)

    def _part(self, place: Path, depth: int) -> Path:
        return place / "parts" / f"depth-{depth}.nc"

    def _results(
        self, place: Path, progress: bool | None, tell: Tell
    ) -> tuple[tuple[GroupResult, ...], int]:
        """Every program's result, from the folder or from training, and how many were trained."""
        plan = self.plan
        example = np.zeros((1, *self.data.input_shape), np.float32)
        found: dict[int, GroupResult] = {}
        missing = []
        for (depth, _), program in zip(self.shapes, plan.programs, strict=True):
            path = self._part(place, depth)
            if path.is_file():
                found[depth] = parts.load(path, program, example)
            else:
                missing.append((depth, program))
        if found:
            tell(f"{place} holds depth {', '.join(map(str, found))} already.")
        if missing:
            rows = sorted(row for _, program in missing for row in program.group.rows)
            members = tuple(plan.spec.members[row] for row in rows)
            rest = replace(
                plan,
                spec=replace(plan.spec, members=members),
                programs=tuple(program for _, program in missing),
            )
            tell(rest.table())
            with make_progress(rest, progress) as bar:
                for (depth, _), result in zip(missing, execute(rest, bar), strict=True):
                    parts.save(self._part(place, depth), result)
                    found[depth] = result
        return tuple(found[depth] for depth, _ in self.shapes), len(missing)

    def _write(self, place: Path, outcome: Outcome, report: Report) -> None:
        history = outcome.history.assign_attrs(
            study="depth-width", question=json.dumps(self.question.to_json())
        )
        parts.save_dataset(place / HISTORY, history)
        figure = figures.draw(outcome, self.question, self.measure, self.data.name)
        figures.save(figure, place, FIGURE)
        report.save()

    def _bytes(self) -> int:
        """What the results take: weights and histories, the histories twice."""
        spec = self.plan.spec
        records = -(-spec.epochs // spec.history_every)
        names = len(self.plan.programs[0].group.recipe.record_names)
        return self.plan.result_bytes + 2 * 4 * len(spec.members) * records * 2 * names

    def _manifest(self) -> dict[str, Any]:
        plan = self.plan
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
            for (depth, width), program in zip(self.shapes, plan.programs, strict=True)
        ]
        return {
            "format": 1,
            "identity": self.identity,
            "programs": programs,
            "precision": plan.spec.precision,
            "surroundings": environment.surroundings(),
            "files": ["parts/", *RESULTS],
            "started": _now(),
            "finished": None,
            "sessions": [],
        }


def prepare(
    question: DepthWidth,
    *,
    data: Dataset | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Study:
    """Load the data and work out the shapes; nothing is compiled, no file is touched.

    Args:
        question: what is asked.
        data: a data set of your own, used as it is, instead of ``question.dataset``; its
            fingerprint is part of the study's identity.
        devices: where to run; ``None``: every local device.

    Returns:
        The study.

    Raises:
        FileNotFoundError, ImportError: no such data set.
        TypeError, ValueError: a name or a number that does not fit.
    """
    ready = load_ready(question.dataset) if data is None else data
    measure = measure_of(ready)
    try:
        shapes = equal_parameters(
            question.params, question.depths, int(np.prod(ready.input_shape)), outputs_of(ready)
        )
    except ValueError as error:
        raise ValueError(str(error).replace("budget", "params", 1)) from None
    places = tuple(jax.local_devices() if devices is None else devices)
    return Study(question, ready, places, measure, tuple(shapes))


def run(
    question: DepthWidth,
    out: str | Path,
    *,
    data: Dataset | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: bool | None = None,
    tell: Tell = lambda _: None,
) -> Report:
    """Answer a question and write the answer into a folder; see `prepare` and `Study.run`.

    Args:
        question: what is asked.
        out: the folder.
        data: a data set of your own instead of ``question.dataset``.
        devices: where to run; ``None``: every local device.
        progress: whether to show a progress bar; ``None``: if standard error is a terminal.
        tell: called with texts and `rich` tables that say what is going on.

    Returns:
        The report: ``summary`` and ``paired`` are data frames.

    Example:
        >>> import tempfile, jaxnets as jn
        >>> question = DepthWidth("moons", depths=(1,), params=60, learning_rates=(0.01,),
        ...                       seeds=2, epochs=1)
        >>> with tempfile.TemporaryDirectory() as out:
        ...     report = run(question, out)
        >>> report.summary[["depth", "width", "parameters"]].values.tolist()
        [[1, 12, 62]]
    """
    return prepare(question, data=data, devices=devices).run(out, progress=progress, tell=tell)


def _write_manifest(place: Path, manifest: dict[str, Any]) -> None:
    folder.write_text(place / folder.MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
