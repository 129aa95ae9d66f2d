"""What one network carries from step to step, and how it begins."""

import enum
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets import losses, penalties, rng
from jaxnets.network import HYPER, Collections, Network, Params
from jaxnets.rng import Keys, Stream
from jaxnets.train.recipe import GENERAL, Hyper, Recipe


class Fault(enum.IntEnum):
    """The first quantity that was not finite when a run diverged."""

    NONE = 0
    LOSS = 1
    GRADIENT = 2
    UPDATE = 3  # loss and gradient were finite; what the step left was not: the optimizer's update,
    # or the network's own statistics


class TrainState(NamedTuple):
    """Everything that a run carries along, and so everything that a checkpoint must hold. No keys:
    those are functions of ``step``.

    Attributes:
        params: the parameters.
        collections: the network's other collections (BatchNorm statistics, its own numbers).
        opt_state: Optax's state.
        step: int32 scalar, steps taken; it no longer counts once the run has diverged, so that a
            diverged run's ``step`` is the number of the step that failed.
        fault: int32 scalar, a `Fault`.
    """

    params: Params
    collections: Collections
    opt_state: Any
    step: jax.Array
    fault: jax.Array


def init_state(recipe: Recipe, keys: Keys, hyper: Hyper, x: Any) -> TrainState:
    """The state before the first step.

    Args:
        recipe: the static half of the run.
        keys: the run's key of every stream; only `Stream.INIT` is used.
        hyper: the run's numbers. ``init_gain`` multiplies the initial kernels; names that the
            network declares in its collection ``"hyper"`` replace the numbers it was built with.
        x: inputs of the shape and dtype of a batch; the values are not used.

    Returns:
        The initial state.

    Example:
        >>> import jax, jax.numpy as jnp, jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy")
        >>> keys = jn.rng.member_keys(jax.random.key(0))
        >>> int(init_state(recipe, keys, recipe.defaults, jnp.ones((1, 5))).step)
        0
    """
    network = recipe.network
    at_init = {name: hyper[name] for name in network.numbers_at_init if name in hyper}
    params, collections = network.init(keys[Stream.INIT], x, *([at_init] if at_init else []))
    if "init_gain" in hyper:
        params = jax.tree.map(
            lambda is_kernel, leaf: (
                (leaf * hyper["init_gain"]).astype(leaf.dtype) if is_kernel else leaf
            ),
            penalties.kernel_mask(params),
            params,
        )
    if HYPER in collections:
        collections = {**collections, HYPER: _overwritten(collections[HYPER], hyper)}
    return TrainState(
        params=params,
        collections=collections,
        opt_state=optimizer_of(recipe, hyper).init(params),
        step=jnp.zeros((), jnp.int32),
        fault=jnp.zeros((), jnp.int32),
    )


def optimizer_of(recipe: Recipe, hyper: Hyper) -> Any:
    """The run's own Optax transformation, built from its numbers, inside whatever maps over runs:
    clipping and every norm see one member alone.
    """
    return recipe.optimizer(**{name: hyper[name] for name in dict(recipe.optimizer.defaults)})


Known = Mapping[str, tuple[nn.Module, ...]]
"""Names of numbers; of the network's own, the modules that have a field of this name and check
it."""


def network_hyperparameters(recipe: Recipe, x: Any) -> Known:
    """The names that the network declares in its collection ``"hyper"``; nothing is computed."""
    return _declared(recipe.network, jax.ShapeDtypeStruct(x.shape, x.dtype))


@functools.lru_cache(maxsize=256)
def _declared(network: Network, x: jax.ShapeDtypeStruct) -> Known:
    called: dict[tuple[str, ...], nn.Module] = {}

    def note(call: Any, arguments: Any, named: Any, context: Any) -> Any:
        called.setdefault(context.module.path, context.module)
        return call(*arguments, **named)

    with nn.intercept_methods(note):
        _, collections = jax.eval_shape(network.init, rng.abstract_key(), x)
    leaves = jax.tree_util.tree_leaves_with_path(collections.get(HYPER, {}))
    for path, leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(
                f"network: expected the numbers in its collection {HYPER!r} to be floating-point, "
                f"got {_name(path)!r} of dtype {leaf.dtype}: a member's number would be cut off."
            )
    found: dict[str, list[nn.Module]] = {name: [] for name in sorted({_name(p) for p, _ in leaves})}
    for path, _ in leaves:
        owner = called.get(tuple(str(getattr(entry, "key", entry)) for entry in path[:-1]))
        if owner is not None and _name(path) in owner.__dataclass_fields__:
            found[_name(path)].append(owner.clone(parent=None))
    return {name: tuple(owners) for name, owners in found.items()}


def known_hyperparameters(recipe: Recipe, x: Any) -> Known:
    """Every name that a run of this recipe understands.

    Raises:
        TypeError: the network declares an integer.
        ValueError: two of optimizer, loss, network and general numbers share a name: one number
            would do two things.
    """
    owners: dict[str, str] = {}
    own = network_hyperparameters(recipe, x)
    for owner, names in (
        ("the optimizer", dict(recipe.optimizer.defaults)),
        ("the loss", losses.hyperparameters(recipe.loss)),
        ("every run", GENERAL),
        ("the network", own),
    ):
        for name in names:
            if name in owners:
                raise ValueError(
                    f"hyperparameter {name!r}: both {owners[name]} and {owner} have one of this "
                    "name; rename one."
                )
            owners[name] = owner
    return {name: own.get(name, ()) for name in owners}


def _overwritten(collection: Any, hyper: Hyper) -> Any:
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            jnp.asarray(hyper[_name(path)], leaf.dtype) if _name(path) in hyper else leaf
        ),
        collection,
    )


def _name(path: tuple[Any, ...]) -> str:
    return str(getattr(path[-1], "key", path[-1]))
