"""What comes out: labelled histories, trained networks, and the way back to any single member."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxnets.data import Batch, Split
from jaxnets.errors import lookup
from jaxnets.network import Collections, Network, Params
from jaxnets.population.members import Member
from jaxnets.population.piece import Piece
from jaxnets.population.plan import Plan, Program, make_plan
from jaxnets.population.spec import Group, make_group
from jaxnets.population.widths import trimmed
from jaxnets.train import Fault, Recipe, evaluate
from jaxnets.train.evaluate import predict


@dataclass(frozen=True)
class GroupResult:
    """The members of one program, in the order of ``program.group.rows``.

    Attributes:
        program: which program.
        kept: parameters and other collections of every member, stacked along a leading axis.
        epochs: int32 ``(members,)``, epochs completed.
        best_epoch: int32 ``(members,)``, the epochs after which the kept weights were taken.
        steps: int32 ``(members,)``, steps taken; of a diverged member, the one that failed.
        fault: int32 ``(members,)``, a `jaxnets.train.Fault`.
        history: float32 ``(members, records)`` by name; NaN where a member no longer trained.
        compile_seconds, run_seconds: wall time of compiling and of running the program, also in
            former sittings.
        older: lanes, by place, of members that were saved before a device had no memory for so
            many, and the program was made smaller.
    """

    program: Program
    kept: tuple[Params, Collections]
    epochs: np.ndarray
    best_epoch: np.ndarray
    steps: np.ndarray
    fault: np.ndarray
    history: Mapping[str, np.ndarray]
    compile_seconds: float
    run_seconds: float
    older: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def from_pieces(
        cls, program: Program, pieces: Sequence[Piece], *, compile_seconds: float
    ) -> "GroupResult":
        """Join what the dispatches returned, in the order of the group."""
        order = np.argsort(np.concatenate([piece.places for piece in pieces]))

        def joined(*arrays: np.ndarray) -> np.ndarray:
            return np.concatenate(arrays)[order]

        return cls(
            program=program,
            kept=jax.tree.map(joined, *[piece.kept for piece in pieces]),
            epochs=joined(*[piece.epochs for piece in pieces]),
            best_epoch=joined(*[piece.best_epoch for piece in pieces]),
            steps=joined(*[piece.steps for piece in pieces]),
            fault=joined(*[piece.fault for piece in pieces]),
            history=jax.tree.map(joined, *[piece.history for piece in pieces]),
            compile_seconds=compile_seconds,
            run_seconds=sum(piece.seconds for piece in pieces),
        )


@dataclass(frozen=True)
class Trained:
    """One trained network.

    Attributes:
        member: what it was asked to be.
        params: its parameters.
        collections: its other collections.
        precision: of matrix products, as it was trained.
    """

    member: Member
    params: Params
    collections: Collections
    precision: str = "highest"

    @property
    def network(self) -> Network:
        """The pure pair."""
        return self.member.network

    def predict(self, x: Any) -> jax.Array:
        """The outputs for ``x`` of shape ``(n, ...)``, in evaluation mode."""
        array = jnp.asarray(x, jnp.float32)
        with jax.default_matmul_precision(self.precision):
            return _predict(self.network, self.params, self.collections, array)


@dataclass(frozen=True)
class Runs:
    """A trained population.

    Attributes:
        plan: how it was run.
        groups: what every program returned.
    """

    plan: Plan
    groups: tuple[GroupResult, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        diverged = int(self.history["diverged"].sum())
        return (
            f"Runs({len(self)} members, {len(self.groups)} programs, "
            f"{self.plan.spec.epochs} epochs, {diverged} diverged)"
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """The members, in the order in which they were given."""
        return self.plan.spec.members

    @cached_property
    def history(self) -> xr.Dataset:
        """Everything that was recorded, labelled.

        Dimensions ``member`` and ``epoch`` (epochs completed at the record). Variables
        ``train_*`` (means over the last epoch, from the outputs of the steps themselves) and
        ``valid_*`` over both, NaN where a member no longer trained; per member ``epochs``
        (completed), ``best_epoch`` (of the kept weights), ``diverged``, ``fault`` and
        ``fault_step``. Coordinates of ``member``: the network, depth, width, every
        hyperparameter and every seed.
        """
        return _history(self)

    @property
    def diverged(self) -> list[tuple[int, int, str]]:
        """``(member, step, quantity)`` of every member that was frozen: the first step that would
        not have been finite, and what was not: ``"loss"``, ``"gradient"`` or ``"update"``.
        """
        found = []
        for group in self.groups:
            for place in np.flatnonzero(group.fault):
                row = group.program.group.rows[place]
                found.append((row, int(group.steps[place]), _fault_name(group.fault[place])))
        return sorted(found)

    def __getitem__(self, member: int) -> Trained:
        """One member with the weights that were kept."""
        group, place = self._find(member)
        kept = jax.tree.map(lambda a: a[place], group.kept)
        own = self.members[_index(member, len(self))]
        trained, shape = group.program.group.recipe.network, self.plan.spec.data.input_shape
        params, collections = trimmed(own.network, trained, shape, kept)
        return Trained(own, params, collections, self.plan.spec.precision)

    def predict(self, x: Any) -> np.ndarray:
        """The outputs of all members.

        Args:
            x: ``(n, ...)``, inputs like those of the data.

        Returns:
            ``(members, n, ...)``; all networks must have outputs of one shape.

        Raises:
            ValueError: ``x`` has no rows, or rows of another shape than the data.
        """
        array = self._checked("x", jnp.asarray(x, jnp.float32))
        return np.stack([np.asarray(self[row].predict(array)) for row in range(len(self))])

    def evaluate(
        self, part: str | Split = "test", members: Sequence[int] | None = None
    ) -> xr.Dataset:
        """Loss and metrics of the kept weights on one part of the data.

        Args:
            part: ``"train"``, ``"valid"``, ``"test"``, or rows of your own.
            members: which; ``None``: all.

        Returns:
            A data set over ``member`` with the coordinates of `history`.

        Raises:
            TypeError: ``part`` is neither a name nor has ``x`` and ``y``.
            ValueError: a part that the data do not have; no rows, or rows of another shape.
            IndexError: a member that there is not.
        """
        parts = self.plan.spec.data.parts()
        split = lookup("part", part, parts) if isinstance(part, str) else part
        if not hasattr(split, "x") or not hasattr(split, "y"):
            raise TypeError(f"part: expected a name or a Split, got {type(part).__name__}.")
        batch = Batch(self._checked("part.x", jnp.asarray(split.x)), jnp.asarray(split.y))
        rows = range(len(self)) if members is None else [_index(m, len(self)) for m in members]
        measured = [self._evaluate(row, batch) for row in rows]
        names = list(dict.fromkeys(name for one in measured for name in one))
        values = {
            name: ("member", np.array([one.get(name, np.nan) for one in measured], np.float32))
            for name in names
        }
        labels = self.history.isel(member=list(rows)).drop_dims("epoch").coords
        return xr.Dataset(values, coords=labels)

    def replay(self, member: int) -> "Runs":
        """Train one member again, alone, bit for bit: same lanes, same programs, one member."""
        from jaxnets.population.run import execute

        row = _index(member, len(self))
        group, place = self._find(member)
        source = group.program.group
        spec = self.plan.spec
        alone = replace(spec, members=(self.members[row],), groups=(make_group(source, [place]),))
        lanes = group.older.get(place, group.program.lanes)
        plan = make_plan(alone, lanes=lanes, devices=self.plan.devices)
        return Runs(plan, tuple(execute(plan)))

    def _find(self, member: int) -> tuple[GroupResult, int]:
        row = _index(member, len(self))
        for group in self.groups:
            if row in group.program.group.rows:
                return group, group.program.group.rows.index(row)
        raise AssertionError(f"member {row} is in no group")

    def _checked(self, argument: str, x: jax.Array) -> jax.Array:
        shape = self.plan.spec.data.input_shape
        if x.shape[1:] != shape or not len(x):
            wanted = ", ".join(["n > 0", *map(str, shape)])
            raise ValueError(f"{argument}: expected shape ({wanted}), got {x.shape}.")
        return x

    def _evaluate(self, row: int, batch: Batch) -> dict[str, float]:
        group, place = self._find(row)
        source: Group = group.program.group
        kept = jax.tree.map(lambda a: a[place], group.kept)
        numbers = {name: values[place] for name, values in source.numbers.items()}
        with jax.default_matmul_precision(self.plan.spec.precision):
            measured = _evaluate(source.recipe, *kept, numbers, batch)
        return {name: float(value) for name, value in measured.items()}


@jax.jit(static_argnums=0)
def _predict(network: Network, params: Params, collections: Collections, x: jax.Array) -> Any:
    return predict(network, params, collections, x)


@jax.jit(static_argnums=0)
def _evaluate(
    recipe: Recipe, params: Params, collections: Collections, numbers: Any, batch: Batch
) -> dict[str, jax.Array]:
    return evaluate(recipe, params, collections, numbers, batch)


def _index(member: int, count: int) -> int:
    if isinstance(member, bool) or not isinstance(member, int | np.integer):
        raise TypeError(f"member: expected an integer, got {type(member).__name__} {member!r}.")
    if not -count <= member < count:
        raise IndexError(f"member: expected 0 <= member < {count}, got {member}.")
    return int(member) % count


def _fault_name(code: int) -> str:
    return "" if code == Fault.NONE else Fault(int(code)).name.lower()


def _history(runs: Runs) -> xr.Dataset:
    spec, count = runs.plan.spec, len(runs)
    every, total = spec.history_every, spec.epochs
    epochs = [*range(every, total, every), total]
    names = list(dict.fromkeys(name for group in runs.groups for name in group.history))
    curves = {name: np.full((count, len(epochs)), np.nan, np.float32) for name in names}
    per_member: dict[str, np.ndarray] = {
        "epochs": np.zeros(count, np.int32),
        "best_epoch": np.zeros(count, np.int32),
        "diverged": np.zeros(count, bool),
        "fault": np.full(count, "", dtype="<U8"),
        "fault_step": np.full(count, -1, np.int32),
    }
    for group in runs.groups:
        rows = np.array(group.program.group.rows)
        for name, values in group.history.items():
            curves[name][rows[:, None], np.arange(values.shape[1])[None, :]] = values
        failed = group.fault != Fault.NONE
        per_member["epochs"][rows] = group.epochs
        per_member["best_epoch"][rows] = group.best_epoch
        per_member["diverged"][rows] = failed
        per_member["fault"][rows] = [_fault_name(code) for code in group.fault]
        per_member["fault_step"][rows] = np.where(failed, group.steps, -1)
    return xr.Dataset(
        {name: (("member", "epoch"), values) for name, values in curves.items()}
        | {name: ("member", values) for name, values in per_member.items()},
        coords={"member": np.arange(count), "epoch": epochs}
        | {name: ("member", values) for name, values in _coordinates(runs.members).items()},
    )


def _coordinates(members: Sequence[Member]) -> dict[str, Any]:
    """One array per coordinate; a member that lacks it has NaN, or an empty string."""
    found = [member.coordinates for member in members]
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
