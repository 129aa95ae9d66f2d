"""The pure pair that everything else is built on: ``init`` and ``apply``."""

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import flax.linen as linen
import jax
import jax.numpy as jnp

from jaxnets.kinds import kinds_of

Params = Any
"""A pytree of float arrays: what the optimizer moves."""

Collections = dict[str, Any]
"""Everything else a network carries from step to step, by name: ``{"batch_stats": ...}``."""

HYPER = "hyper"
"""The collection of a network's own numeric hyperparameters (a dropout rate, say): never mutated
by `Network.apply`, overwritten by the trainer with each member's numbers."""


class Initialized(NamedTuple):
    """What `Network.init` returns."""

    params: Params
    state: Collections


@dataclass(frozen=True)
class Network:
    """A network as two pure functions.

    Attributes:
        init: ``init(key, x) -> (params, state)``. ``x`` has the shape and dtype of a batch.
        apply: ``apply(params, state, x, *, key, train) -> (outputs, state)``. ``key`` feeds every
            random draw of this call; ``train`` tells training from evaluation; ``state`` holds
            the collections that are not parameters (BatchNorm statistics, say), ``{}`` if none.
        name: what tables and errors call it.
        identity: networks with equal identity are one architecture: they are compiled once. The
            two functions themselves unless something better is known.
        numbers_at_init: hyperparameters of the network's own that ``init`` takes as a third
            argument, a mapping from names to numbers, because initial parameters depend on them.
        kinds: the types of what ``identity`` is made of, which equality does not tell apart, see
            `jaxnets.kinds`.

    Example:
        A straight line, without any module system:

        >>> import jax, jax.numpy as jnp
        >>> line = Network(
        ...     init=lambda key, x: ({"w": jnp.zeros(x.shape[-1])}, {}),
        ...     apply=lambda params, state, x, *, key, train: (x @ params["w"], state),
        ...     name="line",
        ... )
        >>> params, state = line.init(jax.random.key(0), jnp.ones((1, 3)))
        >>> line.apply(params, state, jnp.ones((2, 3)), key=jax.random.key(1), train=False)[0].shape
        (2,)
    """

    init: Callable[..., tuple[Params, Collections]] = field(compare=False)
    apply: Callable[..., tuple[Any, Collections]] = field(compare=False)
    name: str = field(default="network", compare=False)
    identity: Hashable = None
    numbers_at_init: tuple[str, ...] = field(default=(), compare=False)
    kinds: Hashable = ()

    def __post_init__(self) -> None:
        """Fall back on the functions as the identity."""
        if self.identity is None:
            object.__setattr__(self, "identity", (self.init, self.apply))

    @property
    def module(self) -> linen.Module | None:
        """The Linen module this network was made from, if it was."""
        return self.identity if isinstance(self.identity, linen.Module) else None


def from_linen(module: linen.Module) -> Network:
    """Wrap any Linen module.

    Whether this is training is passed on to each argument of ``__call__`` that is called ``train``,
    ``training``, ``is_training`` or ``is_train``, the opposite to ``deterministic`` and
    ``use_running_average``; not where a field of the same name has settled it. Every random stream
    the module asks for (``make_rng("dropout")``, ...) is fed from the one key of the call. Every
    collection except ``params`` is state; all of them but ``"hyper"`` may change while training and
    none in evaluation. A module whose initial parameters depend on numbers of its own in
    ``"hyper"``, at its top, names them in an attribute ``numbers_at_init``.

    Args:
        module: a module; a frozen dataclass, so equal modules give equal networks.

    Returns:
        The pure pair.

    Raises:
        TypeError: not a Linen module, or one with an unhashable field (a list, say): equal modules
            could not be recognised as one architecture.

    Example:
        >>> import flax.linen as linen, jax, jax.numpy as jnp
        >>> network = from_linen(linen.Dense(3))
        >>> params, state = network.init(jax.random.key(0), jnp.ones((1, 2)))
        >>> jax.tree.map(jnp.shape, params), state
        ({'bias': (3,), 'kernel': (2, 3)}, {})
        >>> network == from_linen(linen.Dense(3))
        True
    """
    if not isinstance(module, linen.Module):
        raise TypeError(f"network: expected a flax.linen.Module, got {type(module).__name__}.")
    try:
        hash(module)
    except TypeError as error:
        raise TypeError(
            f"network: {type(module).__name__} has a field that cannot be hashed ({error}); "
            "declare it as a tuple so that equal modules are recognised as one architecture."
        ) from None
    return _from_linen(module, kinds_of(module))


TRAINING = {
    "train": True,
    "training": True,
    "is_training": True,
    "is_train": True,
    "deterministic": False,
    "use_running_average": False,
}
"""Arguments by which modules are told that they are being trained, and what they are told then."""


_OTHERS = 0x6F746865
"""What is folded into the key of all streams but that of dropout."""


def told_by(module: linen.Module) -> dict[str, bool]:
    """By which arguments a module is told that it is being trained, and what it is told then.

    Example:
        >>> told_by(linen.BatchNorm()), told_by(linen.BatchNorm(use_running_average=True))
        ({'use_running_average': False}, {})
    """
    known = inspect.signature(type(module).__call__).parameters
    return {
        name: value
        for name, value in TRAINING.items()
        if name in known and getattr(module, name, None) is None  # else it has been told already
    }


@functools.lru_cache(maxsize=1024)
def _from_linen(module: linen.Module, kinds: Hashable) -> Network:
    told = told_by(module)

    def keywords(train: bool) -> dict[str, Any]:
        return {name: value if train else not value for name, value in told.items()}

    def init(key: jax.Array, x: Any, numbers: Mapping[str, Any] | None = None) -> Initialized:
        variables = dict(_init(module, key, x, numbers or {}, keywords(False)))
        return Initialized(variables.pop("params", {}), variables)

    def apply(
        params: Params, state: Collections, x: Any, *, key: jax.Array | None, train: bool
    ) -> tuple[Any, Collections]:
        # Linen feeds a stream that has no key of its own from "params", with one counter, so that
        # two streams of one module never see the same key. Dropout has its own: lifted transforms
        # (a scan over time, say) are told by name which streams differ from step to step.
        variables = {"params": params, **state}
        rngs = {} if key is None else {"params": jax.random.fold_in(key, _OTHERS), "dropout": key}
        mutable = [name for name in state if name != HYPER] if train else []
        if not mutable:
            return module.apply(variables, x, rngs=rngs, **keywords(train)), state
        outputs, changed = module.apply(variables, x, rngs=rngs, mutable=mutable, **keywords(train))
        return outputs, {**state, **changed}

    at_init = getattr(module, "numbers_at_init", ())
    return Network(
        init, apply, name=_name(module), identity=module, numbers_at_init=at_init, kinds=kinds
    )


def _init(
    module: linen.Module, key: jax.Array, x: Any, numbers: Mapping[str, Any], keywords: Any
) -> Mapping[str, Any]:
    if not numbers:
        return module.init(key, x, **keywords)
    given = {HYPER: {name: jnp.asarray(value, jnp.float32) for name, value in numbers.items()}}
    return module.apply(given, x, rngs={"params": key}, mutable=True, **keywords)[1]


def as_network(value: object) -> Network:
    """The network a user meant: a `Network`, a Linen module, or a pair of functions.

    Raises:
        TypeError: none of them.

    Example:
        >>> import flax.linen as linen
        >>> as_network(linen.Dense(3)).name
        'Dense(features=3)'
    """
    if isinstance(value, Network):
        return value
    if isinstance(value, linen.Module):
        return from_linen(value)
    if isinstance(value, tuple) and len(value) == 2 and all(callable(v) for v in value):
        return Network(*value)
    raise TypeError(
        "network: expected a Network, a flax.linen.Module or a pair (init, apply), "
        f"got {type(value).__name__}."
    )


def _name(module: linen.Module) -> str:
    """The class and the fields that differ from their defaults, on one line."""
    parts = []
    for name, spec in module.__dataclass_fields__.items():
        value = getattr(module, name)
        if name in ("parent", "name") or (value == spec.default):
            continue
        parts.append(f"{name}={getattr(value, '__name__', value)!s}")
    return f"{type(module).__name__}({', '.join(parts)})"
