"""A progress bar that nobody sees, and that remembers where it stood."""

import io
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console

import jaxnets as jn
from jaxnets.population.folder import keeping
from jaxnets.population.group import Keep
from jaxnets.population.progress import Progress


class Bar(Progress):
    """See `jaxnets.population.progress.Progress`."""

    def __init__(self, plan: jn.Plan) -> None:
        super().__init__(plan, Console(file=io.StringIO()))

    @property
    def stands(self) -> tuple[int, int, float]:
        """Members that are done, the epochs of all members, steps that are left."""
        (task,) = self._bar.tasks
        assert task.total is not None
        return task.fields["done"], task.fields["epoch"], task.total - task.completed


def full(plan: jn.Plan) -> tuple[int, int, float]:
    """Where a bar stands in the end."""
    members = len(plan.spec.members)
    return members, members * plan.spec.epochs, 0


def kept_in(out: Path, plan: jn.Plan) -> AbstractContextManager[Keep]:
    """A folder for a plan, in which everything is saved as soon as it can be."""
    return keeping(out, plan, {}, save_every=0.0)
