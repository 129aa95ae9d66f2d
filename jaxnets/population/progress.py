"""How far a population has come, on standard error."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from jaxnets.population.plan import Plan, Program


class _Rate(ProgressColumn):
    """Model-steps per second over the last seconds; at the end, over everything."""

    def render(self, task: Task) -> Text:
        if not task.completed:
            return Text("compiling")
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} model-steps/s" if speed else "training")


class Progress:
    """Counts member-steps; one line of 80 columns: members, their epochs, rate, time left."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._bar = RichProgress(
            TextColumn("{task.fields[done]}/{task.fields[members]} members"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[epoch]:,}/{task.fields[epochs]:,} epochs"),
            _Rate(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            expand=True,
            speed_estimate_period=10,
        )
        self._mutex = threading.Lock()
        self._done = 0
        self._epochs = 0
        self._total = plan.steps
        members = len(plan.spec.members)
        self._task = self._bar.add_task(
            "train", total=plan.steps, done=0, members=members, epoch=0,
            epochs=members * plan.spec.epochs,
        )  # fmt: skip

    def start(self) -> None:
        """Show the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def skip(self, program: Program, members: int, epochs: int) -> None:
        """``members`` members are done and some epochs behind us, without any work now."""
        self._total -= epochs * program.steps_per_epoch
        self._done += members
        self._epochs += epochs
        self._bar.update(self._task, total=self._total, epoch=self._epochs, done=self._done)

    def count(self, program: Program, members: int, epochs: int) -> None:
        """So many members are done, so many epochs have been run, the members' added up; less than
        none, if they are to be run again.
        """
        with self._mutex:  # those who train are several
            self._done += members
            self._epochs += epochs
            self._bar.update(
                self._task,
                advance=epochs * program.steps_per_epoch,
                epoch=self._epochs,
                done=self._done,
            )


class Tally:
    """What one program adds to the progress.

    Args:
        progress: of the population.
        program: which.
    """

    def __init__(self, progress: Progress, program: Program) -> None:
        self._progress, self._program = progress, program
        self._members = self._epochs = 0
        self._mutex = threading.Lock()

    def advance(self, epochs: int) -> None:
        """So many epochs have been run, the members' added up."""
        self.finish(0, epochs)

    def finish(self, members: int, missing: int) -> None:
        """``members`` members are done; ``missing`` epochs of theirs were not needed."""
        with self._mutex:
            self._members += members
            self._epochs += missing
        self._progress.count(self._program, members, missing)

    def undo(self) -> None:
        """All of it is done again."""
        self.finish(-self._members, -self._epochs)


@contextmanager
def make_progress(plan: Plan, show: bool | None) -> Iterator[Progress | None]:
    """A progress bar while the block runs.

    Args:
        plan: what is run.
        show: ``None`` for only if standard error is a terminal.

    Yields:
        The bar, or ``None``.
    """
    if show is False or (show is None and not sys.stderr.isatty()):
        yield None
        return
    progress = Progress(plan, Console(stderr=True))
    progress.start()
    try:
        yield progress
    finally:
        progress.stop()
