"""What somebody would write with Flax and Optax alone: one network, a loop over steps."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import rng
from jaxnets.population import Member
from jaxnets.verify import problem
from jaxnets.verify.comparison import Outcome, named


class State(NamedTuple):
    """What the loop carries: parameters, the other collections, the optimizer's state."""

    params: Any
    rest: Any
    opt_state: Any


class Step(NamedTuple):
    """One step: the state before it, its loss, its examples."""

    state: State
    loss: float
    size: int


def train(one: Member) -> Outcome:
    """Train one member of `jaxnets.verify.problem`: no population, no scan, no guard.

    Args:
        one: the member; only its seed, its numbers and its network count.

    Returns:
        Weights and collections after all epochs, and the mean loss of every epoch.
    """
    per_epoch = -(-problem.ROWS // problem.BATCH)
    taken = list(itertools.islice(steps(one), problem.EPOCHS * per_epoch + 1))
    sums = np.reshape([step.loss * step.size for step in taken[:-1]], (-1, per_epoch))
    curve = np.asarray(sums.sum(axis=1) / problem.ROWS, np.float32)
    return {**weights(taken[-1].state), "history/train_loss": curve}


def steps(one: Member) -> Iterator[Step]:
    """The steps of a member, without end.

    Example:
        >>> one = problem.members(["residual"], [0])[0]
        >>> [step.size for step in itertools.islice(steps(one), 3)]
        [8, 8, 6]
    """
    name, data = problem.candidate_of(one), problem.dataset().train
    key = jax.random.fold_in(problem.root(), one.seeds["seed"])
    init_key, order_key, dropout_key = (jax.random.fold_in(key, stream) for stream in range(3))
    numbers = {name: jnp.float32(value) for name, value in one.numbers.items()}
    begin, update = functions(name)
    state, count = begin(init_key, data.x[:1], numbers), itertools.count()
    for epoch in itertools.count():
        order = np.asarray(rng.epoch_order(order_key, epoch, len(data)))
        for first in range(0, len(data), problem.BATCH):
            rows = order[first : first + problem.BATCH]
            at = jax.random.fold_in(dropout_key, next(count))
            after, loss = update(state, numbers, data.x[rows], data.y[rows], at)
            yield Step(state, float(loss), len(rows))
            state = after


def weights(state: State) -> Outcome:
    """Weights and collections by name, as `jaxnets.verify.comparison.outcomes` has them."""
    return {**named("params", state.params), **named("collections", state.rest)}


@functools.cache
def functions(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The beginning and the step of a network, compiled once per process."""
    candidate = problem.CANDIDATES[name]

    @jax.jit
    def begin(key: Any, x: Any, numbers: Any) -> State:
        variables = dict(candidate.module.init(key, x))
        if "hyper" in variables:
            variables["hyper"] = {name: numbers[name] for name in variables["hyper"]}
        params = variables.pop("params")
        optimizer = candidate.plain(numbers["learning_rate"])
        return State(params, variables, optimizer.init(params))

    @jax.jit
    def update(state: State, numbers: Any, x: Any, y: Any, key: Any) -> tuple[State, Any]:
        mutable = [name for name in state.rest if name != "hyper"]

        def loss(params: Any) -> tuple[Any, Any]:
            outputs, changed = candidate.module.apply(
                {"params": params, **state.rest}, x, train=True, rngs={"params": key},
                mutable=mutable,
            )  # fmt: skip
            each = optax.softmax_cross_entropy_with_integer_labels(outputs, y)
            return jnp.mean(each), changed

        with jax.default_matmul_precision("highest"):
            (value, changed), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
        optimizer = candidate.plain(numbers["learning_rate"])
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(params, {**state.rest, **changed}, opt_state), value

    return begin, update
