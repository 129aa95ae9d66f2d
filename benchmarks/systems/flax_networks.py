"""What somebody writes in Flax who wants one network."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from benchmarks.problems import OUTPUTS, Problem

HE = nn.initializers.he_normal()


class MLP(nn.Module):
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.widths:
            x = nn.relu(nn.Dense(width, kernel_init=HE)(x))
        return nn.Dense(OUTPUTS, kernel_init=HE)(x)


class LeNet(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(6, (5, 5), padding=2, kernel_init=HE)(x))
        x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.relu(nn.Conv(16, (5, 5), padding="VALID", kernel_init=HE)(x))
        x = nn.max_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)
        for width in (120, 84):
            x = nn.relu(nn.Dense(width, kernel_init=HE)(x))
        return nn.Dense(OUTPUTS, kernel_init=HE)(x)


class Signals(nn.Module):
    """The convolutional network of the MNIST-1D paper."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x[..., None]
        for kernel in (5, 3, 3):
            x = nn.relu(nn.Conv(25, (kernel,), (2,), padding=1, kernel_init=HE)(x))
        return nn.Dense(OUTPUTS, kernel_init=HE)(x.reshape(len(x), -1))


class Block(nn.Module):
    features: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        h = x
        for stride in (self.stride, 1):
            h = nn.relu(h) if stride == 1 and h is not x else h
            h = nn.Conv(
                self.features, (3, 3), (stride,) * 2, padding=1, use_bias=False, kernel_init=HE
            )(h)
            h = nn.BatchNorm(use_running_average=False)(h)
        x = x[:, :: self.stride, :: self.stride]
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.features - x.shape[-1])))
        return nn.relu(x + h)


class ResNet20(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Conv(16, (3, 3), padding=1, use_bias=False, kernel_init=HE)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=False)(x))
        for stage, features in enumerate((16, 32, 64)):
            for block in range(3):
                x = Block(features, 2 if stage > 0 and block == 0 else 1)(x)
        return nn.Dense(OUTPUTS, kernel_init=HE)(x.mean((1, 2)))


def network(problem: Problem) -> nn.Module:
    """The problem's."""
    if problem.network == "mlp":
        return MLP(problem.widths)
    return {"lenet": LeNet, "cnn1d": Signals, "resnet20": ResNet20}[problem.network]()


def optimizer(problem: Problem) -> optax.GradientTransformation:
    """The problem's."""
    if problem.optimizer == "adam":
        return optax.adam(problem.learning_rate)
    return optax.sgd(problem.learning_rate, momentum=0.9)


def begin(problem: Problem, key: jax.Array, x: jax.Array) -> Any:
    """Parameters, statistics and optimizer's state."""
    variables = dict(network(problem).init(key, x))
    params = variables.pop("params")
    return params, variables, optimizer(problem).init(params), jnp.zeros((), jnp.int32)


def update(problem: Problem, state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, jax.Array]:
    """One step; the loss before it."""
    params, statistics, opt_state, count = state

    def loss(params: Any) -> tuple[jax.Array, Any]:
        logits, changed = network(problem).apply(
            {"params": params, **statistics}, x, mutable=list(statistics)
        )
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), changed

    (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    updates, opt_state = optimizer(problem).update(gradient, opt_state, params)
    return (optax.apply_updates(params, updates), statistics, opt_state, count + 1), value


def parameters(state: Any) -> int:
    """How many one network has."""
    return sum(leaf.size for leaf in jax.tree.leaves(state[0]))
