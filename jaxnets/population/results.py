"""What comes out: labelled histories, trained networks, and the way back to any single member."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.data import Batch, Split
from jaxnets.devices import cores
from jaxnets.errors import lookup
from jaxnets.network import Collections, Network, Params
from jaxnets.population.group_result import GroupResult
from jaxnets.population.labels import fault_name, labelled
from jaxnets.population.members import Member
from jaxnets.population.plan import Plan, make_plan
from jaxnets.population.run import execute
from jaxnets.population.spec import make_group
from jaxnets.population.widths import trimmed
from jaxnets.settings import carried, with_nans
from jaxnets.train import Recipe, evaluate
from jaxnets.train.checks import check_targets, output_shape
from jaxnets.train.evaluate import predict

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Trained:
    """One trained network.

    Attributes:
        member: what it was asked to be.
        params: its parameters.
        collections: its other collections.
        precision: of matrix products, as it was trained.
        input_shape: of one input.
    """

    member: Member
    params: Params = field(repr=False)
    collections: Collections = field(repr=False)
    precision: str = "highest"
    input_shape: tuple[int, ...] | None = None

    @property
    def network(self) -> Network:
        """The pure pair."""
        return self.member.network

    def predict(self, x: Any) -> jax.Array:
        """The outputs in evaluation mode.

        Args:
            x: ``(n, ...)``, what training saw: if the data were standardised,
                ``data.scaling.apply(x)``.

        Returns:
            What the network gives for them, ``(n, outputs)`` say: logits, not probabilities.

        Raises:
            ValueError: ``x`` has no rows, or rows of another shape than the data.
        """
        array = _checked("x", jnp.asarray(x, jnp.float32), self.input_shape)
        with jax.default_matmul_precision(self.precision):
            return _predict(self.network, self.params, self.collections, array)


@dataclass(frozen=True)
class Runs:
    """A trained population, what `jaxnets.fit` returns.

    It holds functions and devices, and is neither pickled nor copied; `history` is, and ``out`` of
    `jaxnets.fit` keeps the rest.

    Attributes:
        plan: how it was run.
        groups: what every program returned.

    Example:
        >>> import jaxnets as jn
        >>> data = jn.data.moons(60)
        >>> members = jn.grid(network=jn.nn.MLP([4], outputs=2), seed=range(3))
        >>> runs = jn.fit(
        ...     jax.random.key(0), data, members, loss="softmax_cross_entropy", epochs=2
        ... )
        >>> runs.history.train_loss.dims, len(runs), runs.diverged
        (('member', 'epoch'), 3, [])
        >>> runs.predict(data.test.x).shape == (3, len(data.test), 2)
        True
        >>> sorted(runs.evaluate("test")), runs[2].params["Dense_0"]["kernel"].shape
        (['accuracy', 'loss'], (2, 4))
        >>> again = runs.replay(1)
        >>> bool((again.history.train_loss[0] == runs.history.train_loss[1]).all())
        True
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
    def history(self) -> "xr.Dataset":
        """Everything that was recorded, labelled.

        Dimensions ``member`` and ``epoch`` (epochs completed at the record). Variables
        ``train_*`` (means over the last epoch, from the outputs of the steps themselves) and
        ``valid_*`` over both, NaN where a member no longer trained; per member ``epochs``
        (completed), ``best_epoch`` (of the kept weights), ``diverged``, ``fault`` and
        ``fault_step``. Coordinates of ``member``: the network, depth, width, every
        hyperparameter and every seed.
        """
        return labelled(self.plan.spec, self.groups)

    @property
    def diverged(self) -> list[tuple[int, int, str]]:
        """``(member, step, quantity)`` of every member that was frozen: the first step that would
        not have been finite, and what was not: ``"loss"``, ``"gradient"`` or ``"update"``.
        """
        found = []
        for group in self.groups:
            for place in np.flatnonzero(group.fault):
                row = group.program.group.rows[place]
                found.append((row, int(group.steps[place]), fault_name(group.fault[place])))
        return sorted(found)

    def __getitem__(self, member: int) -> Trained:
        """One member with the weights that were kept."""
        row = _index(member, len(self))
        group, place = self._places[row]
        kept = jax.tree.map(lambda a: a[place], group.kept)
        own = self.members[row]
        trained, shape = group.program.group.recipe.network, self.plan.spec.data.input_shape
        params, collections = trimmed(own.network, trained, shape, kept)
        return Trained(own, params, collections, self.plan.spec.precision, shape)

    def predict(self, x: Any) -> Any:
        """The outputs of all members.

        Args:
            x: ``(n, ...)``, inputs like those of the data, scaled as they are.

        Returns:
            ``(members, n, ...)``; a tree of such arrays if the networks return one.

        Raises:
            ValueError: ``x`` has no rows, or rows of another shape than the data; the networks
                do not all have outputs of one shape.
        """
        shape = self.plan.spec.data.input_shape
        array = _checked("x", jnp.asarray(x, jnp.float32), shape)
        outputs = [jax.device_get(self[row].predict(array)) for row in range(len(self))]
        kinds = [jax.tree.map(np.shape, output) for output in outputs]
        for row, kind in enumerate(kinds):
            if kind != kinds[0]:
                raise ValueError(
                    f"predict: expected networks with outputs of one shape, but member 0 has "
                    f"{kinds[0]} and member {row} {kind}; ask them one by one, runs[{row}].predict."
                )
        return jax.tree.map(lambda *rows: np.stack(rows), *outputs)

    def evaluate(
        self, part: str | Split = "test", members: Sequence[int] | None = None
    ) -> "xr.Dataset":
        """Loss and metrics of the kept weights on one part of the data.

        Args:
            part: ``"train"``, ``"valid"``, ``"test"``, or rows of your own with ``x`` and ``y``,
                scaled as the data are (``data.scaling.apply``).
            members: which; ``None``: all.

        Returns:
            A data set over ``member`` with the coordinates of `history`: float32 means over the
            rows, ``accuracy`` as a fraction. Which loss a member chose is ``loss_function`` here.

        Raises:
            TypeError: ``part`` is neither a name nor has ``x`` and ``y``.
            ValueError: a part that the data do not have; no rows, or rows of another shape; what
                `jaxnets.data.Split` refuses; targets that do not fit the loss.
            IndexError: a member that there is not.
        """
        parts = self.plan.spec.data.parts()
        split = lookup("part", part, parts) if isinstance(part, str) else part
        if not hasattr(split, "x") or not hasattr(split, "y"):
            raise TypeError(f"part: expected a name or a Split, got {type(part).__name__}.")
        split = split if isinstance(split, Split) else Split(split.x, split.y, name="part")

        shape = self.plan.spec.data.input_shape
        batch = Batch(_checked("part.x", jnp.asarray(split.x), shape), jnp.asarray(split.y))
        if isinstance(members, int | np.integer):
            raise TypeError(f"members: expected a list of members, got {members!r}.")
        rows = range(len(self)) if members is None else [_index(m, len(self)) for m in members]
        if not isinstance(part, str):
            for recipe in {self._places[row][0].program.group.recipe for row in rows}:
                outputs = output_shape(recipe, batch.x)
                if outputs is not None:
                    check_targets(recipe, np.asarray(batch.y), outputs, "part.y: ")
        measured = self._measured(rows, batch)
        names = list(dict.fromkeys(name for one in measured for name in one))
        values = {
            name: ("member", np.array([one.get(name, np.nan) for one in measured], np.float32))
            for name in names
        }
        labels = self.history.isel(member=list(rows)).drop_dims("epoch").coords.to_dataset()
        if "loss" in labels.coords:
            labels = labels.rename(loss="loss_function")
        return labels.assign(values)

    def replay(self, member: int) -> "Runs":
        """Train one member again, alone, bit for bit: same lanes, same programs, one member.

        Raises:
            IndexError, TypeError: there is no such member.
        """
        row = _index(member, len(self))
        group, place = self._places[row]
        source = group.program.group
        spec = self.plan.spec
        alone = replace(spec, members=(self.members[row],), groups=(make_group(source, [place]),))
        lanes = group.older.get(place, group.program.lanes)
        plan = make_plan(alone, lanes=lanes, devices=self.plan.devices)
        return Runs(plan, tuple(execute(plan)))

    @cached_property
    def _places(self) -> dict[int, tuple[GroupResult, int]]:
        """Where each member is: its group, and its place in there."""
        return {
            row: (group, place)
            for group in self.groups
            for place, row in enumerate(group.program.group.rows)
        }

    def _measured(self, rows: Sequence[int], batch: Batch) -> list[dict[str, float]]:
        """Of each row. The first members of all groups come first, side by side: there is one
        program per group to be compiled.
        """
        first = list({id(self._places[row][0]): row for row in reversed(rows)}.values())
        found: dict[int, dict[str, float]] = {}
        if len(first) > 1:
            with ThreadPoolExecutor(cores(), thread_name_prefix="evaluate") as pool:
                alike = pool.map(carried(self._evaluate), first, [batch] * len(first))
                found = dict(zip(first, alike, strict=True))
        return [found[row] if row in found else self._evaluate(row, batch) for row in rows]

    def _evaluate(self, row: int, batch: Batch) -> dict[str, float]:
        group, place = self._places[row]
        source = group.program.group
        kept = jax.tree.map(lambda a: a[place], group.kept)
        numbers = {name: values[place] for name, values in source.numbers.items()}
        with jax.default_matmul_precision(self.plan.spec.precision), with_nans():
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


def _checked(argument: str, x: jax.Array, shape: tuple[int, ...] | None) -> jax.Array:
    """Rows of inputs of this shape, at least one."""
    if shape is not None and (x.shape[1:] != shape or not len(x)):
        wanted = ", ".join(["n > 0", *map(str, shape)])
        raise ValueError(f"{argument}: expected shape ({wanted}), got {x.shape}.")
    return x


def _index(member: int, count: int) -> int:
    if isinstance(member, bool) or not isinstance(member, int | np.integer):
        raise TypeError(f"member: expected an integer, got {type(member).__name__} {member!r}.")
    if not -count <= member < count:
        raise IndexError(f"member: expected 0 <= member < {count}, got {member}.")
    return int(member) % count
