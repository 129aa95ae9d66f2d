"""Whether those layers of a network hear that they are being trained that behave differently then.

A module is told by an argument such as ``train``. One without such an argument (``nn.Sequential``,
or one of the user's own) cannot pass it on, and a layer that takes silence for evaluation never
drops, nor learns its statistics.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import jax
from flax import linen as nn

from jaxnets import rng
from jaxnets.network import Collections, Network, Params, told_by


def check_heard(network: Network, params: Params, collections: Collections, x: Any) -> None:
    """Trace a training step of a network that cannot be told, and one in which its layers are.

    Args:
        network: the pure pair.
        params: shapes of its parameters.
        collections: of its other collections.
        x: shape of a batch.

    Raises:
        TypeError: they differ; the message names a layer.
    """
    if network.module is None or told_by(network.module):
        return
    silent: dict[type[nn.Module], None] = {}
    as_it_is = _traced(network, params, collections, x, silent, None)
    for layer in list(silent):
        if _told(network, params, collections, x, layer) != as_it_is:
            raise TypeError(
                f"network: {type(network.module).__name__} does not tell its layers that they are "
                f"being trained, and {layer.__name__} would do in training what it does in "
                "evaluation; write a module whose __call__ has an argument `train`, and passes "
                "it on."
            )


def _told(
    network: Network, params: Params, collections: Collections, x: Any, layer: type[nn.Module]
) -> str | None:
    try:
        return _traced(network, params, collections, x, {}, layer)
    except Exception:  # of a layer that needs more in training than the network gives it
        return None


def _traced(
    network: Network,
    params: Params,
    collections: Collections,
    x: Any,
    silent: dict[type[nn.Module], None],
    tell: type[nn.Module] | None,
) -> str:
    """The step as text, in which JAX writes no addresses. ``silent`` takes the classes of layers
    that are not told by those who call them; those of the class ``tell`` are told here.
    """

    def call(next_call: Any, arguments: Any, named: Any, context: Any) -> Any:
        module = context.module
        if context.method_name == "__call__":
            for name, value in _missing(module, arguments, named):
                silent[type(module)] = None
                if type(module) is tell:
                    named = {**named, name: value}
        return next_call(*arguments, **named)

    def step(params: Params, collections: Collections, x: Any, key: jax.Array) -> Any:
        return network.apply(params, collections, x, key=key, train=True)

    with nn.intercept_methods(call):
        return str(jax.make_jaxpr(step)(params, collections, x, rng.abstract_key()))


def _missing(module: nn.Module, arguments: Any, named: Any) -> Iterator[tuple[str, bool]]:
    """What a module would be told, and is not."""
    told = told_by(module)
    if told:
        given = inspect.signature(type(module).__call__).bind_partial(module, *arguments, **named)
        yield from ((name, value) for name, value in told.items() if name not in given.arguments)
