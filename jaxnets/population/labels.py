"""The labels of results: coordinates of members, the epochs of records, the names of faults."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from jaxnets import losses
from jaxnets.optim import as_optimizer
from jaxnets.population.group_result import GroupResult
from jaxnets.population.members import CHOICES, Member
from jaxnets.population.spec import Spec
from jaxnets.train import Fault


def labelled(spec: Spec, groups: Sequence[GroupResult]) -> xr.Dataset:
    """Everything that was recorded of all members, see `Runs.history`."""
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
        | {name: ("member", values) for name, values in _coordinates(spec.members).items()},
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


def _tell_apart(name: str, members: Sequence[Member], found: list[dict[str, Any]]) -> None:
    """Number the labels of different things that have the same: two lambdas, one optimizer with a
    schedule and one without. Optimizers that differ in their numbers alone are not different.
    """
    known: dict[Any, dict[Any, int]] = {}
    numbers = []
    for member, labels in zip(members, found, strict=True):
        thing = member.network if name == "network" else member.choices.get(name)
        if name in MEANT and thing is not None:
            thing = MEANT[name](thing)
        same = known.setdefault(labels.get(name), {})
        numbers.append(same.setdefault(thing, len(same) + 1))
    for labels, number in zip(found, numbers, strict=True):
        if len(known[labels.get(name)]) > 1:
            labels[name] = f"{labels[name]} #{number}"


def _coordinates(members: Sequence[Member]) -> dict[str, Any]:
    """One array per coordinate; a member that lacks it has NaN, or an empty string."""
    found = [member.coordinates for member in members]
    for name in ("network", *CHOICES):
        _tell_apart(name, members, found)
    names = list(dict.fromkeys(name for one in found for name in one))
    columns = {}
    for name in names:
        values = [one.get(name) for one in found]
        if any(isinstance(value, str) for value in values):
            columns[name] = np.array(["" if v is None else str(v) for v in values])
        elif any(v is None for v in values) and name.endswith("seed"):
            columns[name] = np.array([
                member.seeds["seed"] if v is None else v
                for member, v in zip(members, values, strict=True)
            ])  # fmt: skip
        else:
            columns[name] = np.array([np.nan if v is None else v for v in values])
    return columns
