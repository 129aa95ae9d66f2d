"""The labels of results: coordinates of members, the epochs of records, the names of faults."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnets import losses
from jaxnets.kinds import kinds_of
from jaxnets.optim import as_optimizer
from jaxnets.population.group_result import GroupResult
from jaxnets.population.members import CHOICES, label
from jaxnets.population.spec import Spec
from jaxnets.train import Fault

if TYPE_CHECKING:
    import xarray as xr


def labelled(spec: Spec, groups: Sequence[GroupResult]) -> "xr.Dataset":
    """Everything that was recorded of all members, see `Runs.history`."""
    import xarray as xr  # with pandas, slow to import: a first metric does without

    count, epochs = len(spec.members), list(spec.records)
    names = list(dict.fromkeys(name for group in groups for name in group.history))
    curves = {name: np.full((count, len(epochs)), np.nan, np.float32) for name in names}
    per_member: dict[str, np.ndarray] = {
        "epochs": np.zeros(count, np.int32),
        "best_epoch": np.zeros(count, np.int32),
        "diverged": np.zeros(count, bool),
        "fault": np.full(count, "", dtype="<U8"),
        "fault_step": np.full(count, -1, np.int32),
    }
    for group in groups:
        rows = np.array(group.program.group.rows)
        for name, values in group.history.items():
            curves[name][rows[:, None], np.arange(values.shape[1])[None, :]] = values
        failed = group.fault != Fault.NONE
        per_member["epochs"][rows] = group.epochs
        per_member["best_epoch"][rows] = group.best_epoch
        per_member["diverged"][rows] = failed
        per_member["fault"][rows] = [fault_name(code) for code in group.fault]
        per_member["fault_step"][rows] = np.where(failed, group.steps, -1)
    return xr.Dataset(
        {name: (("member", "epoch"), values) for name, values in curves.items()}
        | {name: ("member", values) for name, values in per_member.items()},
        coords={"member": np.arange(count), "epoch": epochs}
        | {name: ("member", values) for name, values in _coordinates(spec).items()},
    )


def fault_name(code: int) -> str:
    """What was not finite; empty if everything was.

    Example:
        >>> fault_name(Fault.NONE), fault_name(Fault.LOSS)
        ('', 'loss')
    """
    return "" if code == Fault.NONE else Fault(int(code)).name.lower()


MEANT: dict[str, Callable[[Any], Any]] = {
    "optimizer": lambda given: as_optimizer(given).structure,
    "loss": losses.get,
}
"""What a member's choice is, however it was written down."""


def _tell_apart(name: str, things: Sequence[Any], found: list[dict[str, Any]]) -> None:
    """Number the labels of different things that have the same: two lambdas, one optimizer with a
    schedule and one without. Optimizers that differ in their numbers alone are not different.
    """
    known: dict[Any, dict[Any, int]] = {}
    numbers = []
    for thing, labels in zip(things, found, strict=True):
        if name in MEANT:
            thing = MEANT[name](thing)
        same = known.setdefault(labels.get(name), {})
        numbers.append(same.setdefault((thing, kinds_of(thing)), len(same) + 1))
    for labels, number in zip(found, numbers, strict=True):
        if len(known[labels.get(name)]) > 1:
            labels[name] = f"{labels[name]} #{number}"


def _coordinates(spec: Spec) -> dict[str, Any]:
    """One array per coordinate: what some member was given, of all members. Whoever was not given
    it has what all have in common; whose program has no such number has NaN.
    """
    found = [member.coordinates for member in spec.members]
    names = list(dict.fromkeys(name for one in found for name in one))
    recipes = {row: group.recipe for group in spec.groups for row in group.rows}
    _tell_apart("network", [member.network for member in spec.members], found)
    for name in CHOICES:
        if name in names:
            things = [
                member.choices.get(name, getattr(recipes[row], name))
                for row, member in enumerate(spec.members)
            ]
            for labels, thing in zip(found, things, strict=True):
                labels.setdefault(name, label(thing))
            _tell_apart(name, things, found)
    for group in spec.groups:
        for name in set(group.names) & set(names):
            for row, value in zip(group.rows, group.numbers[name], strict=True):
                found[row].setdefault(name, float(str(value)))  # 0.1, whose float32 is a bit more
    for member, labels in zip(spec.members, found, strict=True):
        for name in names:
            if name.endswith("seed"):
                labels.setdefault(name, member.seeds["seed"])
    return {name: np.array([labels.get(name, np.nan) for labels in found]) for name in names}
