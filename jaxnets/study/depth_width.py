"""Depth against width at equal size: from the question to everything that decides the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnets import nn, optim
from jaxnets.data import Dataset
from jaxnets.errors import lookup
from jaxnets.population.folder import identity
from jaxnets.population.members import grid
from jaxnets.population.plan import Plan, make_plan
from jaxnets.population.saver import SAVE_EVERY
from jaxnets.population.spec import make_spec
from jaxnets.study.measure import Measure, load_ready, measure_of, outputs_of
from jaxnets.study.question import DepthWidth
from jaxnets.study.report import Report
from jaxnets.study.session import Session, Tell, open_session
from jaxnets.study.shapes import equal_parameters

EXTENT = ("depths", "learning_rates", "seeds", "epochs", "threshold")
"""What of a question only says which members are asked for, how far they go, and what is counted:
the same folder can be asked for more of it, and what it has is not made again."""


@dataclass(frozen=True)
class Study:
    """A question with the data and the devices on which it is to be answered; see `prepare`.

    Attributes:
        question: what is asked.
        data: ready for training.
        devices: where the members run.
        lanes: how many of them side by side on each device, see `jaxnets.make_plan`.
        measure: what decides.
        shapes: depth and width of every architecture.
    """

    question: DepthWidth
    data: Dataset
    devices: tuple[jax.Device, ...]
    lanes: int | None
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
        return make_plan(spec, lanes=self.lanes, devices=self.devices)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that decides the numbers of a member; a folder belongs to one identity."""
        asked = self.question.to_json()
        settings = {name: value for name, value in asked.items() if name not in EXTENT}
        own = {"study": "depth-width", "question": settings, "lanes": self.lanes}
        return identity(self.plan, own)

    def open(self, out: str | Path, *, save_every: float = SAVE_EVERY) -> Session:
        """Look into the folder and find out before training whether it can take the answer.

        Args:
            out: the folder; made if need be.
            save_every: seconds between two saves; more where saving would take over 3 % of the
                time.

        Returns:
            A sitting at this study; its ``run`` trains what the folder does not hold yet.

        Raises:
            TypeError, ValueError: a setting that does not fit; the folder holds something else.
            OSError: the folder cannot be written to, or the disk is too full.
        """
        return open_session(self, Path(out), save_every)


def prepare(
    question: DepthWidth,
    *,
    data: Dataset | None = None,
    devices: Sequence[jax.Device] | None = None,
    lanes: int | None = None,
) -> Study:
    """Load the data and work out the shapes; nothing is compiled, no file is touched.

    Args:
        question: what is asked.
        data: a data set of your own, used as it is, instead of ``question.dataset``; its
            fingerprint is part of the study's identity.
        devices: where to run; ``None``: every local device.
        lanes: members side by side on each device, see `jaxnets.make_plan`.

    Returns:
        The study.

    Raises:
        FileNotFoundError, ImportError: no such data set.
        TypeError, ValueError: a name or a number that does not fit.
    """
    ready = load_ready(question.dataset) if data is None else data
    measure = measure_of(ready)
    if measure.rising and question.threshold > 1:
        raise ValueError(
            f"threshold: expected at most 1, an {measure.label} of all, got {question.threshold:g}."
        )
    try:
        shapes = equal_parameters(
            question.params, question.depths, int(np.prod(ready.input_shape)), outputs_of(ready)
        )
    except ValueError as error:
        raise ValueError(str(error).replace("budget", "params", 1)) from None
    places = tuple(jax.local_devices() if devices is None else devices)
    return Study(question, ready, places, lanes, measure, tuple(shapes))


def run(
    question: DepthWidth,
    out: str | Path,
    *,
    data: Dataset | None = None,
    devices: Sequence[jax.Device] | None = None,
    lanes: int | None = None,
    progress: bool | None = None,
    tell: Tell = lambda _: None,
) -> Report:
    """Answer a question and write the answer into a folder; see `prepare` and `Study.open`.

    Args:
        question: what is asked.
        out: the folder.
        data: a data set of your own instead of ``question.dataset``.
        devices: where to run; ``None``: every local device.
        lanes: members side by side on each device, see `jaxnets.make_plan`.
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
    study = prepare(question, data=data, devices=devices, lanes=lanes)
    return study.open(out).run(progress=progress, tell=tell)
