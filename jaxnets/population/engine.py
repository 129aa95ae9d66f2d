"""What the compiled programs of a group have in common, wherever the training rows come from."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxnets.population.lanes import AXIS, Data, Lanes, mesh_of
from jaxnets.population.plan import Program
from jaxnets.population.spec import Spec
from jaxnets.train import Run


class Engine:
    """A group's compiled programs, with what its members share on their devices.

    Args:
        spec: the population.
        program: the group's place in the plan.
        data: the parts that training may see, on the devices.
        begin: the compiled beginning of a run, ``(lanes, root, x) -> run``.
    """

    def __init__(self, spec: Spec, program: Program, data: Data, begin: Callable[..., Run]) -> None:
        self.program, self.data = program, data
        mesh = mesh_of(program)
        self._members = NamedSharding(mesh, PartitionSpec(AXIS))
        self._shared = NamedSharding(mesh, PartitionSpec())
        self._begin = begin
        self._root, self._x = self.share((spec.key, spec.data.train.first.x))

    def begin(self, lanes: Lanes) -> Run:
        """The runs of these lanes before their first epoch."""
        return self._begin(lanes, self._root, self._x)

    def lanes(self, places: np.ndarray) -> Lanes:
        """The inputs of the members at these places of the group, on their devices."""
        return self.spread(Lanes.of(self.program.group, places))

    def spread(self, tree: Any, **how: Any) -> Any:
        """Arrays whose leading axis counts the lanes, each lane's part on its device."""
        return jax.device_put(tree, self._members, **how)

    def share(self, tree: Any) -> Any:
        """Arrays that every device needs whole."""
        return jax.device_put(tree, self._shared)
