"""The product of a dense layer, whose derivative is written in the form that is fast on a CPU.

XLA's CPU backend gives a product of two matrices as they lie in memory to YNNPACK, and one whose
first matrix is to be transposed, as in the kernel's gradient ``x^T gy``, to Eigen. Of small
matrices YNNPACK's is the faster one even with the transposition done beforehand, of large ones
Eigen's, which can use several cores: ``python -m benchmarks.products``.
"""

from typing import Any

import jax
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jaxnets import devices

SMALL = 2**20
"""Up to so many multiplications ``x`` is transposed beforehand."""


@jax.custom_jvp
def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``x @ kernel``, differentiable any number of times, forward and backward.

    Args:
        x: array of shape ``(..., inputs)``.
        kernel: array of shape ``(inputs, features)``.

    Returns:
        Array of shape ``(..., features)``.

    Example:
        >>> x, kernel = jax.numpy.ones((3, 2)), jax.numpy.ones((2, 4))
        >>> product(x, kernel).shape
        (3, 4)
        >>> jax.grad(lambda k: product(x, k).sum())(kernel).tolist()
        [[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]]
    """
    return x @ kernel


def _derivative(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    (x, kernel), (dx, dkernel) = primals, tangents
    y = product(x, kernel)
    parts = [] if isinstance(dx, SymbolicZero) else [dx @ kernel]
    if not isinstance(dkernel, SymbolicZero):
        parts.append(_transposed_beforehand(x, dkernel))
    return y, sum(parts[1:], parts[0])


def _transposed_beforehand(x: jax.Array, dkernel: jax.Array) -> jax.Array:
    """``x @ dkernel``, such that its transpose is a product of matrices as they lie in memory."""
    if x.ndim != 2 or x.size * dkernel.shape[1] > SMALL or devices.platform() != "cpu":
        return x @ dkernel
    turned = lax.optimization_barrier(x.T)  # else XLA makes the transposition part of the product
    return lax.dot_general(turned, dkernel, (((0,), (0,)), ((), ())))


product.defjvp(_derivative, symbolic_zeros=True)
