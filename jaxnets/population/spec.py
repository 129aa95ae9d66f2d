"""A whole population written down: members, data, what they have in common; all checked."""

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import environment, rng
from jaxnets.data import Batch, Dataset
from jaxnets.devices import traced_for
from jaxnets.errors import lookup
from jaxnets.nn import conv_measured
from jaxnets.population.members import Member, as_members
from jaxnets.population.widths import share
from jaxnets.train import Recipe, TrainState, init_state, make_recipe, step
from jaxnets.train.checks import check_data, check_numbers
from jaxnets.train.recipe import Hyper, positive_integer
from jaxnets.train.state import known_hyperparameters


@dataclass(frozen=True)
class Group:
    """Members that share one program: the same recipe and the same set of numbers.

    Attributes:
        recipe: the static half.
        names: the hyperparameters that are part of the program, sorted.
        rows: the members' places in the list.
        numbers: float32 values by name, each of shape ``(len(rows),)``.
        seeds: uint32 of shape ``(len(rows), streams)``.
        unpadded: why these members have a program of their own although widths were to be padded;
            empty where they have not, or were not.
    """

    recipe: Recipe
    names: tuple[str, ...]
    rows: tuple[int, ...]
    numbers: Mapping[str, np.ndarray]
    seeds: np.ndarray
    unpadded: str = ""


@dataclass(frozen=True)
class Spec:
    """Everything that decides the result of a population.

    Attributes:
        key: the root key.
        data: the data set.
        members: the members, in the user's order.
        groups: the members by program.
        epochs: passes over the training part.
        history_every: epochs between two records.
        precision: of matrix products, see ``jax.default_matmul_precision``.
        widths: ``"exact"``, or ``"padded"``: networks that differ in width share programs.
    """

    key: jax.Array
    data: Dataset
    members: tuple[Member, ...]
    groups: tuple[Group, ...]
    epochs: int
    history_every: int
    precision: str
    widths: str = "exact"

    @property
    def records(self) -> tuple[int, ...]:
        """The epochs after which there is a record: every so many, and the last."""
        every, last = self.history_every, self.epochs
        return (*range(every, last, every), last)


def make_spec(
    key: jax.Array,
    data: Dataset,
    members: object,
    *,
    epochs: int,
    history_every: int = 1,
    precision: str = "highest",
    widths: Literal["exact", "padded"] = "exact",
    **recipe: Any,
) -> Spec:
    """Check everything, group the members; nothing is compiled.

    Args:
        key: the root key, typed threefry.
        data: the data set.
        members: a list of `Member`, one `Member`, or one network.
        epochs: passes over the training part.
        history_every: epochs between two records.
        precision: of matrix products.
        widths: ``"exact"``: every architecture is a program of its own. ``"padded"``: networks of
            one depth whose widths are close share one, padded to common widths, see
            `jaxnets.nn.padded`. Another program means other last bits.
        **recipe: what `jaxnets.train.make_recipe` takes, for the members that do not choose.

    Returns:
        The specification.

    Raises:
        ValueError, TypeError: naming the member and the argument, what was expected, what came.
    """
    rng.check_key(key)
    for name in recipe:
        lookup("argument", name, _OPTIONS)
    if not isinstance(data, Dataset):
        raise TypeError(
            f"data: expected a jaxnets.data.Dataset, got {type(data).__name__}; arrays become one "
            "through jaxnets.data.from_arrays(x, y, key=key)."
        )
    epochs = positive_integer("epochs", epochs)
    history_every = positive_integer("history_every", history_every)
    if precision not in ("default", "high", "highest"):
        raise ValueError(f"precision: expected 'default', 'high' or 'highest', got {precision!r}.")
    lookup("widths", widths, {"exact": None, "padded": None})
    if data.valid is not None:
        recipe.setdefault("keep", "best")
    everyone = tuple(as_members(members))
    groups = _group(data, everyone, recipe, precision, widths)
    return Spec(key, data, everyone, groups, epochs, history_every, precision, widths)


_OPTIONS = dict.fromkeys(set(inspect.signature(make_recipe).parameters) - {"network"})


def _group(
    data: Dataset,
    members: tuple[Member, ...],
    common: Mapping[str, Any],
    precision: str,
    widths: str,
) -> tuple[Group, ...]:
    recipes: dict[Any, tuple[Recipe, str]] = {}
    known: dict[Any, tuple[str, ...]] = {}
    found: dict[Any, list[tuple[int, dict[str, float]]]] = {}
    for row, member in enumerate(members):
        with _naming(row, member):
            own = make_recipe(member.network, **{**common, **member.choices})
            program = program_key(own)
            if program not in known:
                check_data(own, data.parts(), "data.")
                known[program] = known_hyperparameters(own, _example(data, 1).x)
            numbers, unpadded = {**own.defaults, **member.numbers}, ""
            check_numbers(own, numbers, known[program])
            if widths == "padded":
                own, units, unpadded = share(own, numbers)
                program, numbers = program_key(own), numbers | units
            recipes.setdefault(program, (own, unpadded))
            found.setdefault((program, tuple(sorted(numbers))), []).append((row, numbers))
    groups = []
    for (program, names), entries in found.items():
        rows = tuple(row for row, _ in entries)
        columns = {name: [numbers[name] for _, numbers in entries] for name in names}
        group = Group(
            recipe=recipes[program][0],
            names=names,
            rows=rows,
            numbers={name: np.array(column, np.float32) for name, column in columns.items()},
            seeds=np.array([members[row].stream_seeds for row in rows], np.uint32),
            unpadded=recipes[program][1],
        )
        with _naming(rows[0], members[rows[0]]):
            step_cost(StepShape.of(group, data, precision, jax.default_backend()))
        groups.append(group)
    return tuple(groups)


def make_group(group: Group, places: Sequence[int]) -> Group:
    """A group of the members at these places of another one, as rows 0, 1, ..."""
    chosen = np.asarray(places, np.int64)
    return replace(
        group,
        rows=tuple(range(len(chosen))),
        numbers={name: values[chosen] for name, values in group.numbers.items()},
        seeds=group.seeds[chosen],
    )


def program_key(recipe: Recipe) -> Any:
    """What two recipes must have in common to share a program: all but the optimizer's numbers."""
    return (
        recipe.network, recipe.loss, recipe.optimizer.structure, recipe.batch_size, recipe.metrics,
        recipe.shuffle, recipe.augment, recipe.keep, recipe.monitor, recipe.mode, recipe.patience,
        recipe.unroll,
    )  # fmt: skip


@dataclass(frozen=True)
class StepShape:
    """What the shapes and the cost of one member's step depend on; equal ones are traced once.

    Attributes:
        recipe: the static half; compared by ``structure``.
        structure: see `program_key`.
        names: the numbers that are part of the program.
        batch: shapes and dtypes of inputs and targets.
        precision: of matrix products.
        platform: the kind of device that it is for.
        flags: see `jaxnets.environment.flags`.
        measured: see `jaxnets.nn.conv_measured.count`.
    """

    recipe: Recipe = field(compare=False)
    structure: Any
    names: tuple[str, ...]
    batch: Batch
    precision: str
    platform: str
    flags: tuple[str, ...]
    measured: int

    @classmethod
    def of(cls, group: Group, data: Dataset, precision: str, platform: str) -> "StepShape":
        """The step of one group, under the flags of now."""
        return cls(
            recipe=group.recipe,
            structure=program_key(group.recipe),
            names=group.names,
            batch=_example(data, group.recipe.batch_size),
            precision=precision,
            platform=platform,
            flags=environment.flags(),
            measured=conv_measured.count(),
        )


class StepCost(NamedTuple):
    """What is known about a step before anything is compiled.

    Attributes:
        state: shapes of the training state of one member.
        flops: floating-point operations of one step, as XLA counts them.
    """

    state: TrainState
    flops: float


@functools.lru_cache(maxsize=256)
def step_cost(shape: StepShape) -> StepCost:
    """Trace one step of one member: what does not fit together is found here."""
    recipe = shape.recipe

    def begin(key: jax.Array, numbers: Hyper, x: jax.Array) -> TrainState:
        return init_state(recipe, rng.member_keys(key), numbers, x[:1])

    def one(state: TrainState, key: jax.Array, numbers: Hyper, batch: Batch) -> Any:
        return step(recipe, state, batch, rng.member_keys(key), numbers)

    key = rng.abstract_key()
    numbers = {name: jax.ShapeDtypeStruct((), jnp.float32) for name in shape.names}
    with jax.default_matmul_precision(shape.precision), traced_for(shape.platform):
        state = jax.eval_shape(begin, key, numbers, shape.batch.x)
        lowered = jax.jit(one).lower(state, key, numbers, shape.batch)
    return StepCost(state, float((lowered.cost_analysis() or {}).get("flops", 0.0)))


def _example(data: Dataset, size: int) -> Batch:
    part = data.train
    return Batch(
        jax.ShapeDtypeStruct((size, *part.x.shape[1:]), part.x.dtype),
        jax.ShapeDtypeStruct((size, *part.y.shape[1:]), part.y.dtype),
    )


@contextmanager
def _naming(row: int, member: Member) -> Iterator[None]:
    """Errors from in here begin with the member's place and network."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"members[{row}] ({member.network.name}): {error}") from error
