"""A stage of a convolutional network: convolution, normalisation, activation, pooling."""

import functools

import jax

from jaxnets.nn.activations import MONOTONE, Activation, activation_function, identity
from jaxnets.nn.conv import Conv
from jaxnets.nn.norm import normalize
from jaxnets.nn.pool import POOLS
from jaxnets.nn.windows import PerAxis


def conv_stage(
    conv: Conv,
    x: jax.Array,
    *,
    train: bool,
    norm: str | None,
    activation: Activation,
    pool: str | None = None,
    pool_size: PerAxis = 2,
) -> jax.Array:
    """``pool(activation(normalize(conv(x))))``, in an order that costs less where it is the same.

    The largest of several numbers stays the largest when a bias is added to all of them and when a
    function that never decreases is applied. Without normalisation, bias and activation therefore
    wait until max pooling has left a fraction of the places, and there is less to do.

    To be called inside a compact method, whose submodules the layers become.

    Args:
        conv: the convolution.
        x: array of shape ``(batch, *space, channels)``.
        train: whether batch normalisation uses the batch's statistics.
        norm: see `normalize`.
        activation: a name or a function.
        pool: ``None``, or a name in ``POOLS``.
        pool_size: its window, which does not overlap.

    Returns:
        Array of shape ``(batch, *out, conv.features)``.

    Example:
        >>> from flax import linen as nn
        >>> class Net(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         return conv_stage(
        ...             Conv(4), x, train=False, norm=None, activation="relu", pool="max"
        ...         )
        >>> out, variables = Net().init_with_output(jax.random.key(0), jax.numpy.ones((1, 8, 8, 1)))
        >>> out.shape, sorted(variables["params"])
        ((1, 4, 4, 4), ['Conv_0'])
    """
    function = activation_function(activation)
    pooling = identity if pool is None else functools.partial(POOLS[pool], window=pool_size)
    monotone = isinstance(activation, str) and activation in MONOTONE
    if pool == "max" and norm is None and monotone:
        return function(conv(x, train, before_bias=pooling))
    return pooling(function(normalize(conv(x, train), norm, train=train, dtype=conv.dtype)))
