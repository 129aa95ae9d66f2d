"""On which devices a check runs, and with which training function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax

from jaxnets.population import Member, Runs, fit
from jaxnets.population.program import executables
from jaxnets.verify import child, problem
from jaxnets.verify.comparison import Outcome, outcomes

Train = Callable[..., Runs]


@dataclass(frozen=True)
class Context:
    """What a check needs to know.

    Attributes:
        devices: where everything is trained.
        folder: scratch space, there already.
        train: `jaxnets.fit`, or what takes and returns the same. A fresh process finds it by
            module and name.
        networks: of `jaxnets.verify.problem.CANDIDATES`.
        processes: whether to use processes of their own, which take seconds to begin.
        timeout: seconds that such a process may take.
    """

    devices: tuple[jax.Device, ...]
    folder: Path
    train: Train = fit
    networks: tuple[str, ...] = tuple(problem.CANDIDATES)
    processes: bool = True
    timeout: float = 300.0
    forget: Callable[[], None] = field(default=executables.cache_clear, repr=False)
    """Lets go of every compiled program, so that the next training compiles again."""

    @property
    def members(self) -> list[Member]:
        """The population: some seeds of every network."""
        return problem.members(self.networks, problem.seeds_for(self.devices))

    @property
    def names(self) -> list[str]:
        """What the members are called."""
        return [problem.describe(one) for one in self.members]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many devices, as a finding says it."""
        return (len(self.devices),)

    @property
    def alone(self) -> str:
        """Why no other process is used beside this one; empty if one is."""
        if self.devices[0].platform == "tpu":
            return "a TPU belongs to one process"
        if jax.process_count() > 1:
            return "the devices belong to several processes already"
        return "" if self.processes else "not asked for"

    def run(self, members: Sequence[Member], **options: Any) -> Runs:
        """Train these members.

        Args:
            members: which.
            **options: of `jaxnets.fit`, in place of what `problem.settings` says.

        Returns:
            What ``train`` returns.
        """
        return self.train(
            problem.root(), problem.dataset(), list(members),
            devices=list(self.devices), **problem.settings(**options),
        )  # fmt: skip

    def outcomes(self, members: Sequence[Member], **options: Any) -> list[Outcome]:
        """Train these members, and take everything that came out."""
        return outcomes(self.run(members, **options))

    @cached_property
    def process(self) -> child.Child:
        """A process of its own for `members`, begun when it is first asked for."""
        train = child.reference(self.train)
        return child.Child(train, self.networks, len(self.devices), self.folder)

    def end_process(self) -> None:
        """Kill it, if there is one; the next is another."""
        if "process" in self.__dict__:
            self.__dict__.pop("process").kill()
