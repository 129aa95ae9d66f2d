"""One update of one network, pure and not jitted."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from jaxnets import penalties
from jaxnets.data import Batch
from jaxnets.rng import Keys, Stream
from jaxnets.train.measures import loss_values, metric_values
from jaxnets.train.recipe import Augment, Hyper, Recipe
from jaxnets.train.state import Fault, TrainState, optimizer_of


def step(
    recipe: Recipe, state: TrainState, batch: Batch, keys: Keys, hyper: Hyper
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One step of the optimizer, refused if it would not be finite.

    A step whose loss or new state holds a NaN or an infinity changes nothing but ``state.fault``;
    so does every later step of that run. The last finite state is kept. The gradient is looked at
    only to name what went wrong: clipped by value, an infinite one does no harm.

    Args:
        recipe: the static half of the run.
        state: the state before.
        batch: the examples; exactly these, whatever their number.
        keys: the run's stream keys; those of this step are folded from them by ``state.step``.
        hyper: the run's numbers.

    Returns:
        The state after, and the means over the batch of the loss (without penalties) and of every
        metric, from the outputs that the step itself computed: with dropout, before the update.

    Example:
        >>> import jax, jax.numpy as jnp, jaxnets as jn
        >>> recipe = jn.train.make_recipe(
        ...     jn.nn.MLP([8], outputs=3), loss="softmax_cross_entropy", optimizer="sgd"
        ... )
        >>> keys, hyper = jn.rng.member_keys(jax.random.key(0)), recipe.defaults
        >>> batch = jn.data.Batch(jnp.ones((4, 5)), jnp.array([0, 1, 2, 0]))
        >>> state = jn.train.init_state(recipe, keys, hyper, batch.x)
        >>> state, record = step(recipe, state, batch, keys, hyper)
        >>> int(state.step), sorted(record)
        (1, ['accuracy', 'loss'])
    """
    new, record, found = attempted_step(recipe, state, batch, keys, hyper, check=True)
    return kept_step(state, new, found), record


def kept_step(before: TrainState, after: TrainState, found: jax.Array) -> TrainState:
    """The state after a step, or that of before if something is wrong.

    Args:
        before: the state before.
        after: the state that `attempted_step` made of it.
        found: what was wrong, a `Fault`.

    Returns:
        One of them, with its fault.
    """
    fault = jnp.where(before.fault == Fault.NONE, found, before.fault)
    kept = jax.tree.map(lambda a, b: jnp.where(fault == Fault.NONE, a, b), after, before)
    return kept._replace(fault=fault)


def attempted_step(
    recipe: Recipe,
    state: TrainState,
    batch: Batch,
    keys: Keys,
    hyper: Hyper,
    check: bool | jax.Array,
) -> tuple[TrainState, dict[str, jax.Array], jax.Array]:
    """One step, finite or not, and what was wrong with it.

    Args:
        recipe: the static half of the run.
        state: the state before.
        batch: the examples.
        keys: the run's stream keys.
        hyper: the run's numbers.
        check: look at the whole new state. Without that only the loss is looked at, and the
            network's other collections, in which the next step may write over an infinity: what
            went wrong in the parameters stays there and shows at the end. So it does in the states
            of Optax's own optimizers; one that forgets an infinity without moving a parameter to
            it is not found out.

    Returns:
        The state after, whose ``fault`` is that of before; the record; a `Fault`, int32 scalar.
    """
    at = {stream: jax.random.fold_in(keys[stream], state.step) for stream in _PER_STEP}
    x = batch.x
    if recipe.augment is not None:
        x = _augmented(recipe.augment, at[Stream.AUGMENT], x)
    if "noise_sigma" in hyper:  # the targets stay clean: a denoising autoencoder needs no more
        x = x + hyper["noise_sigma"] * jax.random.normal(at[Stream.NOISE], x.shape, x.dtype)

    def objective(params: Any) -> tuple[jax.Array, Any]:
        outputs, collections = recipe.network.apply(
            params, state.collections, x, key=at[Stream.DROPOUT], train=True
        )
        loss = jnp.mean(loss_values(recipe, hyper, outputs, batch))
        return loss + _penalty(params, hyper), (loss, outputs, collections)

    (total, (loss, outputs, collections)), gradient = jax.value_and_grad(objective, has_aux=True)(
        state.params
    )
    updates, opt_state = optimizer_of(recipe, hyper).update(gradient, state.opt_state, state.params)
    new = TrainState(
        params=optax.apply_updates(state.params, updates),
        collections=collections,
        opt_state=opt_state,
        step=state.step + 1,
        fault=state.fault,
    )
    record = {"loss": loss} | jax.tree.map(jnp.mean, metric_values(recipe, outputs, batch))
    return new, record, _fault(new, total, gradient, check)


def _augmented(augment: Augment, key: jax.Array, before: jax.Array) -> jax.Array:
    try:
        after = augment(key, before)
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"augment: expected a function (key, x) -> x: {error}") from error
    shape, dtype = getattr(after, "shape", None), getattr(after, "dtype", None)
    real = [
        kind is not None and jnp.issubdtype(kind, jnp.inexact) for kind in (before.dtype, dtype)
    ]
    if shape != before.shape or real[0] != real[1]:
        got = type(after).__name__ if shape is None else f"{dtype} of shape {shape}"
        raise ValueError(
            f"augment: expected an array like the one that it was given, {before.dtype} of shape "
            f"{before.shape}, got {got}."
        )
    return after


_PER_STEP = (Stream.DROPOUT, Stream.AUGMENT, Stream.NOISE)


def _penalty(params: Any, hyper: Hyper) -> jax.Array | float:
    numbers = {name: hyper[name] for name in ("l1", "l2") if name in hyper}
    return penalties.penalty(params, **numbers) if numbers else 0.0


def _fault(new: TrainState, loss: jax.Array, gradient: Any, check: bool | jax.Array) -> jax.Array:
    new, loss, gradient = jax.lax.stop_gradient((new, loss, gradient))
    if check is True:
        found = _fault_of(new, gradient)
    else:  # for one run this is a real branch, and costs nothing when not taken
        found = jax.lax.cond(
            check,
            _fault_of,
            lambda state, gradient: _fault_of(state.collections, gradient),
            new,
            gradient,
        )
    return jnp.where(jnp.isfinite(loss), found, jnp.int32(Fault.LOSS))


def _fault_of(state: Any, gradient: Any) -> jax.Array:
    """What is wrong with a new state, if the loss was finite."""
    return jax.lax.cond(finite(state), lambda _: jnp.int32(Fault.NONE), _culprit, gradient)


def _culprit(gradient: Any) -> jax.Array:
    return jnp.where(finite(gradient), jnp.int32(Fault.UPDATE), jnp.int32(Fault.GRADIENT))


def finite(tree: Any) -> jax.Array:
    """Whether every float in the tree is finite: a bool scalar."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    # As one array: XLA compiles a look at each of them as slowly as one at all together.
    numbers = jax.lax.stop_gradient(ravel_pytree(leaves)[0])
    if not numbers.size:
        return jnp.bool_(True)
    if numbers.dtype != jnp.float32:
        return jnp.all(jnp.isfinite(numbers))
    # The largest exponent as an integer: a maximum of integers is vectorised, a conjunction of
    # floating-point tests is not, and this runs over the whole state in every step. Nor is it
    # taken away by a compiler that has been told that everything is finite.
    bits = jax.lax.bitcast_convert_type(numbers, jnp.int32) & 0x7FFFFFFF
    return jnp.max(bits) < 0x7F800000
