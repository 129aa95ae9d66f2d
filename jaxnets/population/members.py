"""What one member is, and how to write down many."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxnets import rng
from jaxnets.errors import lookup
from jaxnets.hyper import check_number
from jaxnets.network import Network, as_network

CHOICES = ("optimizer", "loss", "batch_size")
"""What a member may choose for itself besides its network; each choice is another program."""

LABELS = frozenset({
    "member", "epoch", "network", "depth", "width", *CHOICES, "loss_function",
    "epochs", "best_epoch", "diverged", "fault", "fault_step",
})  # fmt: skip
RECORDS = ("train_", "valid_")
"""What results are labelled with besides hyperparameters and seeds: whole names, and beginnings."""


@dataclass(frozen=True)
class Member:
    """One network to be trained.

    Attributes:
        network: the pure pair.
        seeds: ``"seed"`` and, where they differ from it, ``"init_seed"``, ``"order_seed"``, ...
            Together with the root key they decide every draw. Members of equal seed and different
            numbers are paired: they start from the same weights and see the same data order.
        numbers: hyperparameters by name.
        choices: ``optimizer``, ``loss`` or ``batch_size``, where it is not that of the others.

    Raises:
        TypeError: a seed that is no integer, a hyperparameter that is no number.
        ValueError: an unknown name of a seed or choice, a seed out of range, a number that is not
            finite or has the name of something in the results.

    Example:
        >>> import jaxnets as jn
        >>> member(jn.nn.MLP([8], outputs=3), seed=1, learning_rate=0.01).numbers
        {'learning_rate': 0.01}
    """

    network: Network
    seeds: Mapping[str, int] = field(default_factory=lambda: {"seed": 0})
    numbers: Mapping[str, float] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seeds = {name: _check_seed(name, value) for name, value in self.seeds.items()}
        numbers = {name: check_number(name, value) for name, value in self.numbers.items()}
        for name in self.choices:
            lookup("choices", name, dict.fromkeys(CHOICES))
        for name in numbers:
            if _is_label(name):
                raise ValueError(
                    f"{name}: results have a label of this name; rename the hyperparameter."
                )
        choices = {
            name: int(value) if isinstance(value, np.integer) else value
            for name, value in self.choices.items()
        }
        object.__setattr__(self, "network", as_network(self.network))
        object.__setattr__(self, "seeds", {"seed": 0, **seeds})
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "choices", choices)

    @property
    def stream_seeds(self) -> tuple[int, ...]:
        """The seed of every stream, in the order of `jaxnets.rng.Stream`."""
        return tuple(self.seeds.get(s.seed_name, self.seeds["seed"]) for s in rng.Stream)

    @property
    def coordinates(self) -> dict[str, Any]:
        """What tells this member from others, for tables."""
        module = self.network.module
        shape = {
            name: value
            for name in ("depth", "width")
            if isinstance(value := getattr(module, name, None), int)
        }
        choices = {name: label(value) for name, value in self.choices.items()}
        own = dict(getattr(self.choices.get("optimizer"), "defaults", ()))
        numbers = {k: v for k, v in own.items() if not _is_label(k)} | dict(self.numbers)
        return {"network": self.network.name, **shape, **choices, **numbers, **self.seeds}


def member(network: object, **settings: Any) -> Member:
    """One member.

    Args:
        network: a Linen module, a `jaxnets.Network` or a pair ``(init, apply)``.
        **settings: seeds (``seed``, ``init_seed``, ...), choices (``optimizer``, ``loss``,
            ``batch_size``), everything else a hyperparameter.

    Returns:
        The member.

    Raises:
        TypeError: a seed that is no integer, a hyperparameter that is no number.
        ValueError: a seed out of range, a number that is not finite.

    Example:
        >>> import jaxnets as jn
        >>> member(jn.nn.MLP([8], outputs=3), seed=3, order_seed=0).seeds
        {'seed': 3, 'order_seed': 0}
    """
    choices = {name: value for name, value in settings.items() if name in CHOICES}
    seeds = {name: value for name, value in settings.items() if name.endswith("seed")}
    numbers = {k: v for k, v in settings.items() if k not in choices and k not in seeds}
    return Member(as_network(network), seeds, numbers, choices)


def grid(**axes: Any) -> list[Member]:
    """Every combination; the last axis varies fastest.

    Args:
        **axes: ``network`` and whatever `member` takes; a list, tuple, range or array is an axis,
            anything else is the same for all. Join grids with ``+``.

    Returns:
        The members.

    Raises:
        ValueError: no network, an empty axis.
        TypeError: see `member`.

    Example:
        >>> import jaxnets as jn
        >>> network = jn.nn.MLP([8], outputs=3)
        >>> members = grid(network=network, learning_rate=[0.1, 0.2], seed=range(4))
        >>> len(members), members[4].coordinates["learning_rate"]
        (8, 0.2)
    """
    if "network" not in axes:
        raise ValueError(f"grid: network is missing, got {', '.join(axes) or 'nothing'}.")
    values = {name: _axis(name, value) for name, value in axes.items()}
    values["network"] = [as_network(network) for network in values["network"]]
    return [
        member(**dict(zip(values, combination, strict=True)))
        for combination in itertools.product(*values.values())
    ]


def as_members(members: object) -> list[Member]:
    """A list of members from a list, one member, or one network.

    Raises:
        TypeError: something in the list is not a member.
        ValueError: nothing in the list.
    """
    if isinstance(members, Member):
        return [members]
    if isinstance(members, Iterable) and not _is_pair(members):
        found = list(members)
        for index, one in enumerate(found):
            if not isinstance(one, Member):
                raise TypeError(
                    f"members[{index}]: expected a Member (see jaxnets.grid, jaxnets.member), "
                    f"got {type(one).__name__}."
                )
        if not found:
            raise ValueError("members: expected at least one, got an empty list.")
        return found
    return [member(members)]


def _axis(name: str, value: Any) -> list[Any]:
    if isinstance(value, np.ndarray | jax.Array):
        array = np.asarray(value)
        small = array.ndim == 1 and array.dtype.kind == "f" and array.itemsize < 8
        # Python's numbers, and one where there is no axis; `check_number` rounds small floats.
        value = list(array) if small else array.tolist()
    is_axis = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if (name == "network" and _is_pair(value)) or hasattr(value, "_fields"):
        is_axis = False  # one thing with named parts, as a transformation of Optax's is
    entries = list(value) if is_axis else [value]
    if not entries:
        raise ValueError(
            f"{name}: expected at least one value, got an empty {type(value).__name__}."
        )
    return entries


def _is_pair(value: object) -> bool:
    """Whether this is one network given as (init, apply), not two networks."""
    from flax import linen

    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(callable(v) and not isinstance(v, linen.Module) for v in value)
    )


def _check_seed(name: str, value: object) -> int:
    lookup("member", name, dict.fromkeys(rng.SEED_NAMES))
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__} {value!r}.")
    if not 0 <= value < 2**32:
        raise ValueError(f"{name}: expected 0 <= {name} < 2**32, got {value}.")
    return int(value)


def _is_label(name: str) -> bool:
    return name in LABELS or name.startswith(RECORDS)


def label(value: Any) -> Any:
    """What results call a choice.

    Example:
        >>> import jaxnets as jn
        >>> label("sgd"), label(jn.optim.adam(schedule=jn.schedules.cosine(9))), label(32)
        ('sgd', 'adam, cosine', 32)
    """
    if isinstance(value, int | str):
        return value
    names = (getattr(value, name, None) for name in ("label", "name", "__name__"))
    return next(filter(None, names), type(value).__name__)
