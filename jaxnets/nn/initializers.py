"""Initialisers of kernels and biases by name.

A kernel's fan-in is the product of all axes but the last, its fan-out that of the receptive field
and the last axis; both as in ``jax.nn.initializers``. The normal initialisers of Glorot, He and
LeCun draw from a normal distribution truncated at two standard deviations, widened so that the
variance is exactly the one named here; ``normal_fan_in`` and ``small_normal`` are not truncated.

=================  ========================================  =====================================
name               distribution                              source
=================  ========================================  =====================================
zeros, ones        a symmetric start: units stay equal       what fails, and why
small_normal       N(0, 0.01^2)                              Krizhevsky et al. 2012, section 5
normal_fan_in      N(0, 1 / fan_in)                          signal propagation at variance 1/width
lecun_normal       variance 1 / fan_in, truncated            LeCun et al. 1998, section 4.6
lecun_uniform      U(-l, l), l = sqrt(3 / fan_in)            the same
glorot_normal      variance 2 / (fan_in + fan_out)           Glorot and Bengio 2010, equation 12
glorot_uniform     U(-l, l), l = sqrt(6/(fan_in + fan_out))  the same, equation 16
he_normal          variance 2 / fan_in                       He et al. 2015, equation 10
he_uniform         U(-l, l), l = sqrt(6 / fan_in)            the same
orthogonal         orthonormal rows or columns               Saxe et al. 2013 (arXiv:1312.6120)
torch_uniform      U(-l, l), l = 1 / sqrt(fan_in)            ``torch.nn.Linear`` and ``Conv2d``
=================  ========================================  =====================================

Biases know ``zeros``, ``ones``, ``small_normal`` and ``torch_uniform``. A bias has no fan-in of
its own: ``torch_uniform`` takes its kernel's, which is why ``bias_initializer`` is told it.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.nn import initializers as init

from jaxnets.errors import lookup

Init = str | Callable[..., jax.Array]
"""A name in a table below, or a function ``(key, shape, dtype) -> array``."""

KERNEL_INITIALIZERS: dict[str, Callable[..., jax.Array]] = {
    "zeros": init.zeros,
    "ones": init.ones,
    "small_normal": init.normal(0.01),
    "normal_fan_in": init.variance_scaling(1.0, "fan_in", "normal"),
    "lecun_normal": init.lecun_normal(),
    "lecun_uniform": init.lecun_uniform(),
    "glorot_normal": init.glorot_normal(),
    "glorot_uniform": init.glorot_uniform(),
    "he_normal": init.he_normal(),
    "he_uniform": init.he_uniform(),
    "orthogonal": init.orthogonal(),
    # U(-l, l) has variance l^2 / 3.
    "torch_uniform": init.variance_scaling(1.0 / 3.0, "fan_in", "uniform"),
}
"""The initialisers of kernels, by name."""


def symmetric_uniform(limit: float) -> Callable[..., jax.Array]:
    """The initialiser that draws from U(-limit, limit).

    Args:
        limit: the half width, positive.

    Returns:
        A function ``(key, shape, dtype) -> array``.

    Example:
        >>> x = symmetric_uniform(0.5)(jax.random.key(0), (100,))
        >>> bool((abs(x) <= 0.5).all()), bool((x < 0).any())
        (True, True)
    """

    def initializer(
        key: jax.Array, shape: Sequence[int], dtype: jnp.dtype | type = jnp.float32
    ) -> jax.Array:
        return jax.random.uniform(key, tuple(shape), dtype, -limit, limit)

    return initializer


BIAS_INITIALIZERS: dict[str, Callable[[int], Callable[..., jax.Array]]] = {
    "zeros": lambda fan_in: init.zeros,
    "ones": lambda fan_in: init.ones,
    "small_normal": lambda fan_in: init.normal(0.01),
    "torch_uniform": lambda fan_in: symmetric_uniform(1.0 / math.sqrt(fan_in)),
}
"""The initialisers of biases, by name, each as a function of the kernel's fan-in."""


def kernel_initializer(
    kernel_init: Init, argument: str = "kernel_init"
) -> Callable[..., jax.Array]:
    """The initialiser that ``kernel_init`` stands for.

    Args:
        kernel_init: a name in ``KERNEL_INITIALIZERS``, or a function ``(key, shape, dtype)``.
        argument: the name of the field, for the error.

    Returns:
        A function ``(key, shape, dtype) -> array``.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> kernel_initializer("ones")(jax.random.key(0), (1, 2), jnp.float32).tolist()
        [[1.0, 1.0]]
    """
    return (
        kernel_init if callable(kernel_init) else lookup(argument, kernel_init, KERNEL_INITIALIZERS)
    )


def bias_initializer(
    bias_init: Init, kernel_shape: Sequence[int], argument: str = "bias_init"
) -> Callable[..., jax.Array]:
    """The initialiser that ``bias_init`` stands for beside a kernel of ``kernel_shape``.

    Args:
        bias_init: a name in ``BIAS_INITIALIZERS``, or a function ``(key, shape, dtype)``.
        kernel_shape: the shape of the kernel, ``(..., inputs, features)``.
        argument: the name of the field, for the error.

    Returns:
        A function ``(key, shape, dtype) -> array``.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> b = bias_initializer("torch_uniform", (3, 3, 1, 500))(jax.random.key(0), (500,))
        >>> 0.32 < float(abs(b).max()) <= 1 / 3
        True
    """
    if callable(bias_init):
        return bias_init
    return lookup(argument, bias_init, BIAS_INITIALIZERS)(math.prod(kernel_shape[:-1]))
