"""Whether those layers of a network hear that they are being trained that behave differently then.

A module is told by an argument such as ``train``. One without such an argument (``nn.Sequential``,
or one of the user's own) cannot pass it on, and one with it may forget to. A layer that takes
silence for evaluation never drops, nor learns its statistics.
"""

import inspect
import warnings
from collections.abc import Iterable
from typing import Any

import jax
from flax import linen as nn

from jaxnets import rng
from jaxnets.network import TRAINING, Collections, Network, Params, told_by


def check_heard(network: Network, params: Params, collections: Collections, x: Any) -> None:
    """Trace a training step, and where a layer is not told, one in which it is.

    Args:
        network: the pure pair.
        params: shapes of its parameters.
        collections: of its other collections.
        x: shape of a batch.

    Raises:
        TypeError: they differ; the message names a layer.

    Warns:
        RuntimeWarning: layers are told that they are not being trained by a network that may have
            wanted to hear it under a name that is not known here.
    """
    if network.module is None:
        return
    silent: dict[type[nn.Module], None] = {}
    evaluating: dict[type[nn.Module], None] = {}
    as_it_is = _traced(network, params, collections, x, silent, None, evaluating)
    for layer in list(silent):
        if _told(network, params, collections, x, layer) != str(as_it_is):
            raise TypeError(
                f"network: {type(network.module).__name__} does not tell its layers that they are "
                f"being trained, and {layer.__name__} would do in training what it does in "
                "evaluation; write a module whose __call__ has an argument `train`, and passes "
                "it on, or False to a layer that is to stay as it is."
            )
    unknown = _optional(network.module)
    if evaluating and unknown and not told_by(network.module):
        warnings.warn(
            f"network: {', '.join(sorted(layer.__name__ for layer in evaluating))} in "
            f"{type(network.module).__name__} will do in training what it does in evaluation. "
            f"Whether it is being trained, a module hears by an argument {_or(TRAINING)} of its "
            f"__call__; nothing is known of {_or(unknown)}.",
            RuntimeWarning,
            stacklevel=2,
        )


def _told(
    network: Network, params: Params, collections: Collections, x: Any, layer: type[nn.Module]
) -> str | None:
    try:
        return str(_traced(network, params, collections, x, {}, layer, {}))
    except Exception:  # of a layer that needs more in training than the network gives it
        return None


def _traced(
    network: Network,
    params: Params,
    collections: Collections,
    x: Any,
    silent: dict[type[nn.Module], None],
    tell: type[nn.Module] | None,
    evaluating: dict[type[nn.Module], None],
) -> Any:
    """The step, as text without addresses. ``silent`` takes the classes of layers that are not told
    by those who call them, ``evaluating`` of those that are told that this is not training; those
    of the class ``tell`` are told here.
    """

    def call(next_call: Any, arguments: Any, named: Any, context: Any) -> Any:
        module = context.module
        if context.method_name == "__call__":
            given = inspect.signature(type(module).__call__).bind_partial(
                module, *arguments, **named
            )
            for name, value in told_by(module).items():
                if name not in given.arguments:
                    silent[type(module)] = None
                    if type(module) is tell:
                        named = {**named, name: value}
            for name, value in TRAINING.items():
                if given.arguments.get(name, getattr(module, name, None)) is (not value):
                    evaluating[type(module)] = None
        return next_call(*arguments, **named)

    def step(params: Params, collections: Collections, x: Any, key: jax.Array) -> Any:
        return network.apply(params, collections, x, key=key, train=True)

    with nn.intercept_methods(call):
        return jax.make_jaxpr(step)(params, collections, x, rng.abstract_key())


def _optional(module: nn.Module) -> list[str]:
    """The arguments of a module's call that it can do without, and that are not known here."""
    known = inspect.signature(type(module).__call__).parameters.values()
    return [one.name for one in known if one.default is not one.empty and one.name not in TRAINING]


def _or(names: Iterable[str]) -> str:
    *first, last = (f"`{name}`" for name in names)
    return f"{', '.join(first)} or {last}" if first else last
