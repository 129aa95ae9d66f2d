"""Activations by name.

=============  ==========================================  =======================================
name           f(x)                                        source
=============  ==========================================  =======================================
identity       x
sigmoid        1 / (1 + exp(-x))
tanh           tanh(x)
softmax        exp(x_i) / sum_j exp(x_j), last axis        Bridle 1990
relu           max(x, 0); derivative 0 at 0                Nair and Hinton 2010
leaky_relu     x if x >= 0 else 0.01 x                     Maas et al. 2013
prelu          x if x >= 0 else a x, a learned             He et al. 2015 (arXiv:1502.01852)
elu            x if x > 0 else exp(x) - 1                  Clevert et al. 2015 (arXiv:1511.07289)
gelu           x Phi(x), with the exact error function     Hendrycks and Gimpel 2016
gelu_tanh      0.5 x (1 + tanh(sqrt(2/pi)                  the same, section 2 (arXiv:1606.08415)
               (x + 0.044715 x^3)))
selu           1.0507 (x if x > 0 else                     Klambauer et al. 2017
               1.6733 (exp(x) - 1))                        (arXiv:1706.02515)
silu           x sigmoid(x)                                Elfwing et al. 2017 (arXiv:1702.03118)
softplus       log(1 + exp(x))                             Dugas et al. 2000
=============  ==========================================  =======================================
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.errors import lookup

Activation = str | Callable[[jax.Array], jax.Array]
"""A name in ``ACTIVATIONS``, or any function of one array."""


def identity(x: jax.Array) -> jax.Array:
    """``x`` itself: a layer with this activation is linear.

    Args:
        x: any array.

    Returns:
        The same array.

    Example:
        >>> identity(jnp.array([-1.0, 2.0])).tolist()
        [-1.0, 2.0]
    """
    return x


def prelu(x: jax.Array) -> jax.Array:
    """ReLU with a learned slope for negative inputs, one slope per layer.

    The slope is the parameter ``negative_slope`` of a submodule of the module that calls this,
    so it is for the inside of a compact method. It starts from 0.25, as in the paper and in
    torch; Flax's own ``nn.PReLU`` starts from 0.01.

    Args:
        x: any floating array.

    Returns:
        An array of the shape and dtype of ``x``.

    Raises:
        flax.errors.CallCompactUnboundModuleError: called outside a module.

    Example:
        >>> class Layer(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         return prelu(x)
        >>> out, variables = Layer().init_with_output(jax.random.key(0), jnp.array([-2.0, 2.0]))
        >>> out.tolist()
        [-0.5, 2.0]
        >>> variables["params"]
        {'PReLU_0': {'negative_slope': Array(0.25, dtype=float32)}}

    Source: He et al. 2015, Delving Deep into Rectifiers, section 2.1 (arXiv:1502.01852).
    """
    return nn.PReLU(negative_slope_init=0.25)(x)


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "identity": identity,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "softmax": jax.nn.softmax,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "prelu": prelu,
    "elu": jax.nn.elu,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
    "selu": jax.nn.selu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
}
"""The activations of the table above, by name."""

MONOTONE = frozenset(
    {"identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softplus"}
)
"""Those that never decrease: the largest of ``f(x)`` is ``f`` of the largest ``x``."""


def activation_function(
    activation: Activation, argument: str = "activation"
) -> Callable[[jax.Array], jax.Array]:
    """The function that ``activation`` stands for.

    Args:
        activation: a name in ``ACTIVATIONS``, or a function, which is returned as it is.
        argument: the name of the field, for the error.

    Returns:
        A function of one array.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> activation_function("relu")(jnp.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
        >>> activation_function("swich")
        Traceback (most recent call last):
        ...
        ValueError: activation: unknown name 'swich'. Known: elu, gelu, gelu_tanh, identity,
        leaky_relu, prelu, relu, selu, sigmoid, silu, softmax, softplus, tanh.
    """
    return activation if callable(activation) else lookup(argument, activation, ACTIVATIONS)
