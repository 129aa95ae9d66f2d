"""What a run is refused for, in Python, before anything is compiled."""

import functools
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from jaxnets import hyper as hyper_table
from jaxnets import losses, rng
from jaxnets.errors import unknown_name
from jaxnets.hyper import check_number
from jaxnets.network import Network
from jaxnets.penalties import kernel_mask
from jaxnets.train.heard import check_heard
from jaxnets.train.recipe import GENERAL, GENERAL_BOUNDS, Recipe


def check_data(recipe: Recipe, parts: Mapping[str, Any], prefix: str = "") -> None:
    """Whether recipe and data fit together; the network is traced, not run.

    Args:
        recipe: the static half of a run.
        parts: ``"train"`` and, where they exist, ``"valid"`` and ``"test"``: anything with ``x``
            and ``y``. The values of traced arrays are not looked at.
        prefix: what comes before a part's name in a message, for example ``"data."``.

    Raises:
        ValueError: a batch larger than the training part, a selection without its part, a network
            that cannot take the inputs, outputs or targets that do not fit the loss.
        TypeError: a network that does not return what a `jaxnets.Network` returns.

    Warns:
        RuntimeWarning: batch normalisation of a last batch that is one example.

    Example:
        >>> import jax.numpy as jnp, jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy")
        >>> check_data(recipe, {"train": jn.data.Batch(jnp.ones((9, 5)), jnp.zeros(9, int))})
        Traceback (most recent call last):
        ...
        ValueError: batch_size: expected at most the 9 training examples, got 32.
    """
    train = parts["train"]
    n = len(train.x)
    if recipe.batch_size > n:
        raise ValueError(
            f"batch_size: expected at most the {n} training examples, got {recipe.batch_size}."
        )
    if recipe.selects and recipe.monitor.startswith("valid") and "valid" not in parts:
        raise ValueError(
            f"{prefix}valid: monitor={recipe.monitor!r} needs a validation part, got None."
        )
    outputs = output_shape(recipe, train.x)
    x = train.x
    if n % recipe.batch_size == 1 and _normalizes_one_alone(recipe.network, x.shape[1:], x.dtype):
        warnings.warn(
            f"batch_size: with {recipe.batch_size} of {n} training examples the last batch of an "
            "epoch is one example alone, which is its own mean: batch normalisation makes it zero, "
            "and the statistics with which the epoch is validated take that in.",
            RuntimeWarning,
            stacklevel=2,
        )
    if outputs is None and recipe.loss in losses.LOSSES.values():
        raise ValueError(
            f"network: expected one array of outputs, which {hyper_table.label(recipe.loss)} "
            "compares with the targets, got a tree of arrays."
        )
    if outputs is not None:
        for name, part in parts.items():
            # Rows that are not in memory are checked when they are read; now only the first.
            y = part.y if getattr(part, "in_memory", True) else part.first.y
            if not isinstance(y, jax.core.Tracer):
                check_targets(recipe, np.asarray(y), outputs, f"{prefix}{name}.y: ")


def check_targets(recipe: Recipe, y: np.ndarray, outputs: tuple[int, ...], where: str) -> None:
    """Whether the loss takes these targets beside outputs of this shape.

    Raises:
        ValueError: it does not; the message begins with ``where``.
    """
    losses.check_targets(recipe.loss, y, outputs, where)


def output_shape(recipe: Recipe, x: Any) -> tuple[int, ...] | None:
    """The shape of what the network makes of a batch.

    Args:
        recipe: the static half of a run.
        x: inputs, of which only the shape and the dtype are used.

    Returns:
        The shape; ``None`` if the network returns more than one array.

    Raises:
        ValueError: the network cannot take the inputs.
        TypeError: it does not return what a `jaxnets.Network` returns.

    Example:
        >>> import jax.numpy as jnp, jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy")
        >>> output_shape(recipe, jnp.ones((9, 5)))
        (32, 3)
    """
    outputs, _ = _traced(recipe.network, _batch(recipe, x))
    return outputs.shape if isinstance(outputs, jax.ShapeDtypeStruct) else None


def check_numbers(recipe: Recipe, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Whether a run of this recipe can have these numbers.

    Args:
        recipe: the static half of a run.
        given: concrete numbers by name; it need not be complete.
        known: see `jaxnets.train.state.known_hyperparameters`.

    Raises:
        TypeError: something that is not a number.
        ValueError: an unknown name; a number that is out of range, not finite, or too large for
            float32.

    Example:
        >>> import jaxnets as jn
        >>> recipe = jn.train.make_recipe(jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy")
        >>> check_numbers(recipe, {"b1": 1.5}, {"b1": ()})
        Traceback (most recent call last):
        ...
        ValueError: b1: expected a finite number in [0, 1), got 1.5.
    """
    for name, value in given.items():
        if name not in known:
            raise unknown_name("hyperparameter", name, known)
        check_number(name, value)

    for name in set(given) & set(GENERAL):
        check_number(name, given[name], GENERAL_BOUNDS[name])

    def share(names: Any) -> dict[str, Any]:
        return {name: value for name, value in given.items() if name in names}

    recipe.optimizer.check(share(dict(recipe.optimizer.defaults)))
    losses.check_hyperparameters(recipe.loss, share(losses.hyperparameters(recipe.loss)))
    for name, value in given.items():
        for module in known[name]:
            # A number that a module has as a field is checked as the field is: by building it.
            for own in (value, float(np.float32(value))):  # in training it is the second one
                module.clone(**{name: own})


def check_weights(recipe: Recipe, given: Mapping[str, Any], x: Any) -> None:
    """Whether the network has weights, where it was given numbers that act on nothing else.

    Args:
        recipe: the static half of a run.
        given: concrete numbers by name that the user gave.
        x: inputs, of which only the shape and the dtype are used.

    Raises:
        ValueError: it has none, and the number would do nothing.

    Example:
        >>> import jax.numpy as jnp, jaxnets as jn
        >>> pair = (lambda key, x: ({"w": jnp.ones(3)}, {})), lambda p, s, x, *, key, train: (x, s)
        >>> recipe = jn.train.make_recipe(pair, loss="mean_squared_error")
        >>> check_weights(recipe, {"l2": 0.1}, jnp.ones((9, 3)))
        Traceback (most recent call last):
        ...
        ValueError: l2: acts on weights, parameters of rank 2 or more, and this network has none.
    """
    for name, neutral in ON_WEIGHTS.items():
        acts = given.get(name, neutral) != neutral
        if acts and not _has_weights(recipe.network, _batch(recipe, x)):
            raise ValueError(
                f"{name}: acts on weights, parameters of rank 2 or more, and this network has none."
            )


ON_WEIGHTS = {"l1": 0.0, "l2": 0.0, "init_gain": 1.0}
"""The numbers that act on weights alone, and where they do nothing. Not weight decay, which Optax's
own optimizers apply to all parameters."""


@functools.lru_cache(maxsize=256)
def _has_weights(network: Network, x: jax.ShapeDtypeStruct) -> bool:
    params, _ = jax.eval_shape(network.init, rng.abstract_key(), x)
    return any(jax.tree.leaves(kernel_mask(params)))


@functools.lru_cache(maxsize=256)
def _normalizes_one_alone(network: Network, shape: tuple[int, ...], dtype: Any) -> bool:
    """Whether some batch normalisation has one number per feature if a batch is one example; that
    of a convolution has the places of an image, too. It is known by what it keeps, under Flax's
    names, so that anybody's is.
    """
    alone = False

    def forward(key: jax.Array, x: jax.Array) -> Any:
        params, collections = network.init(key, x)
        return network.apply(params, collections, x, key=None, train=False)

    def look(following: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        nonlocal alone
        normalizes = context.module.has_variable("batch_stats", "mean")
        if normalizes and context.method_name == "__call__" and args:
            alone |= args[0].size == args[0].shape[-1]
        return following(*args, **kwargs)

    with nn.intercept_methods(look):
        jax.eval_shape(forward, rng.abstract_key(), jax.ShapeDtypeStruct((1, *shape), dtype))
    return alone


def _batch(recipe: Recipe, x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((recipe.batch_size, *x.shape[1:]), x.dtype)


def _check_apply(network: Network) -> None:
    try:
        known = inspect.signature(network.apply)
    except (TypeError, ValueError):  # Python cannot tell: it shows when it is called
        return
    try:
        known.bind({}, {}, None, key=None, train=False)
    except TypeError as error:
        raise TypeError(
            f"network: expected apply(params, state, x, *, key, train), got apply{known} ({error})."
        ) from None


@functools.lru_cache(maxsize=256)
def _traced(network: Network, x: jax.ShapeDtypeStruct) -> tuple[Any, frozenset[str]]:
    """Shapes and dtypes of what the network makes of a batch, and the names of its collections."""
    try:
        made = jax.eval_shape(network.init, rng.abstract_key(), x)
    except Exception as error:
        raise ValueError(
            f"network: cannot take inputs of shape {x.shape} {x.dtype}: {error}"
        ) from error
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[1], Mapping):
        pair = isinstance(made, tuple) and len(made) == 2
        got = f"(params, {type(made[1]).__name__})" if pair else f"one {type(made).__name__}"
        raise TypeError(
            "network: expected init to return (params, state) with a dict of collections, "
            f"got {got}; a network without any returns {{}}."
        )
    params, collections = made
    _check_apply(network)
    try:
        outputs, _ = jax.eval_shape(
            lambda p, c, x: network.apply(p, c, x, key=None, train=False), params, collections, x
        )
    except Exception as error:
        raise ValueError(
            f"network: cannot take inputs of shape {x.shape} {x.dtype}: {error}"
        ) from error
    check_heard(network, params, dict(collections), x)
    return outputs, frozenset(collections)
