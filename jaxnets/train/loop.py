"""A whole run as one pure function of a key and of numbers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxnets import losses, rng
from jaxnets.data import Batch, Split
from jaxnets.errors import lookup
from jaxnets.metrics import Metric
from jaxnets.rng import Keys
from jaxnets.train import selection
from jaxnets.train.checks import check_data, check_numbers, check_weights
from jaxnets.train.epoch import epoch, step_sizes, steps_per_epoch
from jaxnets.train.recipe import Augment, Hyper, Recipe, make_recipe, positive_integer
from jaxnets.train.selection import Run
from jaxnets.train.state import Known, init_state, known_hyperparameters

History = dict[str, jax.Array]
Train = Callable[..., tuple[Run, History]]


def make_train(
    network: object,
    train: Any,
    valid: Any = None,
    *,
    loss: str | losses.Loss,
    optimizer: object = "adam",
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int = 32,
    metrics: Iterable[str] | Mapping[str, Metric] | None = None,
    shuffle: bool = True,
    augment: Augment | None = None,
    keep: Literal["last", "best"] = "last",
    monitor: str | None = None,
    mode: Literal["auto", "min", "max"] = "auto",
    patience: int | None = None,
    every: Literal["epoch", "step"] = "epoch",
    unroll: int = 1,
) -> Train:
    """The pure function ``train(key, hyper) -> (run, history)``: jit it, vmap it, differentiate it.

    Args:
        network: a Linen module, a `jaxnets.Network` or a pair ``(init, apply)``.
        train: anything with ``x`` of shape ``(n, ...)`` and ``y`` of shape ``(n, ...)``.
        valid: the same, or ``None``.
        loss: a name or a function ``(outputs, batch, **hyper) -> (batch,)``.
        optimizer: see `jaxnets.optim.as_optimizer`.
        epochs: passes over the data; or
        steps: updates, the last epoch being cut short where they do not fill it.
        batch_size: examples per update.
        metrics: measured beside the loss; ``None``: what goes with the loss.
        shuffle: a new order in every epoch.
        augment: ``(key, x) -> x`` on training inputs.
        keep: the weights of the end, or those that were best on ``monitor``.
        monitor: the record that selects the best weights; ``None``: ``"valid_loss"``.
        mode: whether smaller or larger is better, see `jaxnets.train.Recipe`.
        patience: stop after so many epochs without a better ``monitor``.
        every: history per epoch (means over it, and the validation part), or per step.
        unroll: steps per iteration of the compiled loop.

    Returns:
        ``train(key, hyper={})``: ``key`` is the member's own typed key, ``hyper`` a mapping from
        names to numbers, traced or not; what is left out has the defaults of optimizer and loss.
        It returns a `Run` (``run.train`` is the last state, ``run.kept`` the weights that count)
        and the history, arrays of shape ``(epochs,)`` or ``(steps,)``, NaN where the run no longer
        trained. An epoch that ``steps`` cut short has no record of its own: with fewer steps than
        one epoch has, the history by epoch is empty.

    Raises:
        ValueError: neither or both of ``epochs`` and ``steps``, unknown names, sizes out of range,
            data that do not fit each other, the network or the loss.
        TypeError: an argument of the wrong kind.

    Example:
        The learning rate's own gradient, through the whole of training:

        >>> import jax, jax.numpy as jnp, jaxnets as jn
        >>> x = jnp.linspace(-1, 1, 20)[:, None]
        >>> train = make_train(jn.nn.MLP([8], outputs=1), jn.data.Batch(x, 2 * x + 1),
        ...                    loss="mean_squared_error", optimizer="sgd", epochs=5, batch_size=10)
        >>> def final(rate):
        ...     return train(jax.random.key(0), {"learning_rate": rate})[1]["train_loss"][-1]
        >>> bool(jax.jit(jax.grad(final))(0.01) < 0)
        True
    """
    recipe = make_recipe(
        network, loss=loss, optimizer=optimizer, batch_size=batch_size, metrics=metrics,
        shuffle=shuffle, augment=augment, keep=keep, monitor=monitor, mode=mode,
        patience=patience, unroll=unroll,
    )  # fmt: skip
    lookup("every", every, {"epoch": None, "step": None})
    data = _rows("train", train)
    held_out = None if valid is None else _rows("valid", valid)
    check_data(recipe, {"train": data} | ({} if held_out is None else {"valid": held_out}))
    per_epoch = steps_per_epoch(len(data.x), recipe.batch_size)
    whole, rest = _length(epochs, steps, per_epoch)
    if recipe.keep == "best" and not whole:
        raise ValueError(
            f"steps: expected at least the {per_epoch} of an epoch, got {steps}: with keep='best' "
            "the weights are those of an epoch's end."
        )
    known = known_hyperparameters(recipe, data.x[:1])

    def run(key: jax.Array, hyper: Hyper | None = None) -> tuple[Run, History]:
        keys = rng.member_keys(rng.check_key(key))
        numbers = _complete(recipe, hyper or {}, known, data.x)

        def body(before: Run, _: None) -> tuple[Run, History]:
            run, means, records = one_epoch(recipe, before, keys, numbers, data)
            record = selection.measure(recipe, run.train, numbers, means, held_out)
            # What a run that stopped or diverged would still do on the validation part is no news.
            trained = run.epoch > before.epoch
            record = {name: jnp.where(trained, value, jnp.nan) for name, value in record.items()}
            return selection.decide(recipe, run, record), record if every == "epoch" else records

        state = selection.begin(recipe, init_state(recipe, keys, numbers, data.x[:1]))
        state, history = jax.lax.scan(body, state, length=whole)
        if every == "step":
            history = jax.tree.map(jnp.ravel, history)
        if rest:
            last, _, records = one_epoch(recipe, state, keys, numbers, data, steps=rest)
            state = state._replace(train=last.train)  # an epoch that was cut short does not count
            if every == "step":
                history = jax.tree.map(lambda a, b: jnp.append(a, b), history, records)
        return state, history

    return run


def one_epoch(
    recipe: Recipe,
    run: Run,
    keys: Keys,
    hyper: Hyper,
    data: Batch,
    steps: int | None = None,
) -> tuple[Run, History, History]:
    """One epoch of a run that may have stopped or diverged: then nothing changes.

    Args:
        recipe: the static half of the run.
        run: the run before.
        keys: the run's stream keys.
        hyper: the run's numbers.
        data: the training part.
        steps: only so many steps of it, static; ``None`` for all.

    Returns:
        The run after; the means of the epoch by name, NaN if the run was not active throughout;
        the record of every step, NaN for those that were not taken.
    """
    state, records = epoch(recipe, run.train, keys, hyper, data, run.epoch, steps)
    if recipe.patience is not None:
        state = jax.tree.map(lambda new, old: jnp.where(run.stopped, old, new), state, run.train)
    sizes = step_sizes(data.x.shape[0], recipe.batch_size)[:steps]
    taken = jnp.arange(sizes.size) < state.step - run.train.step
    records = {k: jnp.where(taken, v[: sizes.size], jnp.nan) for k, v in records.items()}
    run, means = selection.completed(run, state, records, sizes)
    return run, means, records


def _length(epochs: int | None, steps: int | None, per_epoch: int) -> tuple[int, int]:
    """Whole epochs, and the steps of a last incomplete one."""
    if (epochs is None) == (steps is None):
        raise ValueError(f"epochs, steps: expected one of them, got {epochs!r} and {steps!r}.")
    name, value = ("epochs", epochs) if steps is None else ("steps", steps)
    count = positive_integer(name, value)
    return (count, 0) if steps is None else divmod(count, per_epoch)


def _rows(name: str, part: Any) -> Batch:
    """One part of the data as arrays, checked as a `Split` is unless it is traced."""
    if not hasattr(part, "x") or not hasattr(part, "y"):
        raise TypeError(
            f"{name}: expected something with x and y, a jaxnets.data.Batch for example, "
            f"got {type(part).__name__}."
        )
    if not any(isinstance(array, jax.core.Tracer) for array in (part.x, part.y)):
        part = part if isinstance(part, Split) else Split(part.x, part.y, name=name)
    return Batch(jnp.asarray(part.x), jnp.asarray(part.y))


def _complete(recipe: Recipe, hyper: Hyper, known: Known, x: jax.Array) -> dict[str, jax.Array]:
    for name, value in hyper.items():
        lookup("hyperparameter", name, known)
        if isinstance(value, jax.Array) and value.shape:
            raise ValueError(
                f"{name}: expected a scalar, got shape {value.shape}; map train over it (jax.vmap)."
            )
    traced = {name for name, value in hyper.items() if isinstance(value, jax.core.Tracer)}
    concrete = {k: v for k, v in hyper.items() if k not in traced}
    check_numbers(recipe, concrete, known)
    check_weights(recipe, concrete, x)
    numbers = {**recipe.defaults, **hyper}
    return {name: jnp.asarray(value, jnp.float32) for name, value in numbers.items()}
