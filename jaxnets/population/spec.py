"""A whole population written down: members, data, what they have in common; all checked."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np

from jaxnets import rng
from jaxnets.data import Dataset
from jaxnets.errors import lookup
from jaxnets.optimizer import BOUNDS
from jaxnets.population.members import Member, as_members
from jaxnets.population.traced_step import StepShape, example_batch, program_key, step_cost
from jaxnets.population.widths import share
from jaxnets.train import Recipe, make_recipe
from jaxnets.train.checks import check_data, check_numbers, check_weights
from jaxnets.train.recipe import GENERAL, positive_integer
from jaxnets.train.state import Known, known_hyperparameters


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
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

    Example:
        >>> import jaxnets as jn
        >>> network, how = jn.nn.MLP([4], outputs=2), {"loss": "softmax_cross_entropy"}
        >>> spec = make_spec(jax.random.key(0), jn.data.moons(60), network, epochs=2, **how)
        >>> len(spec.groups), spec.records
        (1, (1, 2))
    """
    if jax.config.values["jax_disable_jit"]:
        raise ValueError(
            "jax.disable_jit: expected it to be off, since a population is trained by compiled "
            "programs. To go through one member's training operation by operation, call what "
            "jaxnets.make_train gives back."
        )
    if isinstance(key, jax.core.Tracer):
        raise TypeError(
            "key: expected one that is not traced: a population is trained by programs of its own; "
            "within jit or vmap, call what jaxnets.make_train gives back."
        )
    rng.check_key(key)
    check_arguments(recipe, _OPTIONS)
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
    _check_metric_names(everyone, groups)
    return Spec(key, data, everyone, groups, epochs, history_every, precision, widths)


def _check_metric_names(members: Sequence[Member], groups: Sequence[Group]) -> None:
    """Results label members, and their metrics stand beside the labels."""
    labels = {"member", *(name for member in members for name in member.coordinates)}
    for name in {name for group in groups for name, _ in group.recipe.metrics}:
        if name in labels:
            raise ValueError(
                f"metrics: {name!r} is what results call a property of the members; give the "
                "metric another name."
            )


def arguments_of(*functions: Callable[..., Any]) -> frozenset[str]:
    """What these functions take by keyword alone.

    Example:
        >>> sorted(arguments_of(make_spec))
        ['epochs', 'history_every', 'precision', 'widths']
    """
    every = [one for f in functions for one in inspect.signature(f).parameters.values()]
    return frozenset(one.name for one in every if one.kind is one.KEYWORD_ONLY)


_OPTIONS = arguments_of(make_recipe)


def check_arguments(given: Iterable[str], known: Iterable[str]) -> None:
    """Whether these are arguments, and not what members differ in.

    Raises:
        ValueError: one is not.

    Example:
        >>> check_arguments(["seed"], ["loss"])
        Traceback (most recent call last):
        ...
        ValueError: seed: a member's own, expected in jaxnets.grid(...) or jaxnets.member(...).
    """
    for name in given:
        if name in _OF_MEMBERS and name not in known:
            raise ValueError(
                f"{name}: a member's own, expected in jaxnets.grid(...) or jaxnets.member(...)."
            )
        lookup("argument", name, dict.fromkeys(known))


_OF_MEMBERS = frozenset({*rng.SEED_NAMES, *GENERAL, *BOUNDS})


def _group(
    data: Dataset,
    members: tuple[Member, ...],
    common: Mapping[str, Any],
    precision: str,
    widths: str,
) -> tuple[Group, ...]:
    recipes: dict[Any, tuple[Recipe, str]] = {}
    known: dict[Any, Known] = {}
    found: dict[Any, list[tuple[int, dict[str, float]]]] = {}
    for row, member in enumerate(members):
        with _naming(row, member):
            own = make_recipe(member.network, **{**common, **member.choices})
            _check_hashable(own)
            program = program_key(own)
            if program not in known:
                check_data(own, data.parts(), "data.")
                known[program] = known_hyperparameters(own, example_batch(data, 1).x)
            numbers, unpadded = {**own.defaults, **member.numbers}, ""
            check_numbers(own, numbers, known[program])
            check_weights(own, member.numbers, example_batch(data, 1).x)
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
            step_cost(StepShape.of(group.recipe, names, data, precision, jax.default_backend()))
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


def _check_hashable(recipe: Recipe) -> None:
    """Parts that are equal share a program: they are looked up."""
    parts = {
        "loss": recipe.loss,
        "augment": recipe.augment,
        "optimizer": recipe.optimizer.structure,
    }
    parts |= {f"metrics: {name}": metric for name, metric in recipe.metrics}
    for name, part in parts.items():
        try:
            hash(part)
        except TypeError as error:
            raise TypeError(
                f"{name}: expected what can be hashed, so that equal ones are recognised as one "
                f"program, got {type(part).__name__} ({error})."
            ) from None


@contextmanager
def _naming(row: int, member: Member) -> Iterator[None]:
    """Errors from in here begin with the member's place and network; those that a network or an
    optimizer of the user's raises end with it.
    """
    where = f"members[{row}] ({member.network.name})"
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{where}: {error}") from error
    except Exception as error:
        error.add_note(f"This was {where}, before anything was compiled.")
        raise
