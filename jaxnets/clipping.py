"""Pieces of gradient transformations that Optax does not have in the form needed here."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnets.numerics import at_least_float32


def adaptive(clipping: float | jax.Array, eps: float = 1e-3) -> optax.GradientTransformation:
    """Adaptive gradient clipping, each output unit by itself.

    A unit is all weights that lead to one output feature: every axis but the last of a kernel, for
    dense layers and convolutions of any number of axes alike. Biases and scalars are one unit.
    (``optax.adaptive_grad_clip`` takes a kernel of rank three for that of an attention layer and
    gives a one-dimensional convolution one unit per tap and feature.) Its derivative is finite
    where a unit's gradient is zero.

    Args:
        clipping: the largest ratio of gradient norm to weight norm, a scalar, traced or not.
        eps: the smallest weight norm that counts, so that weights of zero can move.

    Returns:
        The transformation; its update needs the parameters.

    Raises:
        ValueError: (in update) the parameters are missing.

    Source: Brock et al. 2021, High-performance large-scale image recognition without
    normalization, section 4.1. There the last layer is not clipped; here all are.

    Example:
        >>> clip = adaptive(0.5)
        >>> weights = jnp.array([[3.0, 3.0], [4.0, 4.0]])
        >>> gradient = jnp.array([[9.0, 0.3], [12.0, 0.4]])
        >>> updates, _ = clip.update(gradient, clip.init(weights), weights)
        >>> print(updates)
        [[1.5 0.3]
         [2.  0.4]]
    """

    def clip(gradient: jax.Array, weights: jax.Array) -> jax.Array:
        largest = clipping * jnp.maximum(_unit_norm(weights), eps)
        norm = _unit_norm(gradient)
        scale = jnp.where(norm > largest, largest / jnp.where(norm > largest, norm, 1.0), 1.0)
        return gradient * jnp.broadcast_to(scale, gradient.shape)

    def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("params: adaptive clipping needs the parameters, got None.")
        return jax.tree.map(clip, gradients, params), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def by_norm(largest: float | jax.Array) -> optax.GradientTransformation:
    """``optax.clip_by_global_norm``, with a derivative that is finite where all gradients are zero.

    Args:
        largest: the norm of all gradients together is made no larger; a scalar, traced or not.

    Returns:
        The transformation.

    Source: Pascanu et al. 2013, On the difficulty of training recurrent neural networks, section
    3.2.

    Example:
        >>> clip = by_norm(1.0)
        >>> print(clip.update(jnp.array([3.0, 4.0]), clip.init(None))[0])
        [0.6 0.8]
    """

    def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        norm = _root(optax.tree.norm(gradients, squared=True))
        within = norm < largest
        divisor = jnp.where(within, 1.0, norm)
        return jax.tree.map(
            lambda g: jnp.where(within, g, g / divisor.astype(g.dtype) * largest), gradients
        ), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def in_float32(
    inner: optax.GradientTransformation,
) -> optax.GradientTransformationExtraArgs:
    """Run a transformation in float32 and give updates back in the gradients' own dtype.

    A traced number is a float32 array, not a Python float: without this, it would widen a bfloat16
    state from one step to the next, which a scan refuses. On float32 it changes nothing.

    Args:
        inner: the transformation.

    Returns:
        The same on wider numbers; its state is at least float32.

    Example:
        >>> half = in_float32(optax.sgd(jnp.float32(0.5), momentum=0.5))
        >>> gradient = jnp.ones(2, jnp.bfloat16)
        >>> half.update(gradient, half.init(gradient))[0].dtype
        dtype(bfloat16)
    """
    wide = optax.with_extra_args_support(inner)

    def init(params: Any) -> Any:
        return wide.init(jax.tree.map(at_least_float32, params))

    def update(gradients: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        widened = jax.tree.map(at_least_float32, params)
        updates, state = wide.update(
            jax.tree.map(at_least_float32, gradients), state, widened, **extra
        )
        return jax.tree.map(lambda u, g: u.astype(g.dtype), updates, gradients), state

    return optax.GradientTransformationExtraArgs(init, update)


def _unit_norm(array: jax.Array) -> jax.Array:
    """Norm per unit, with axes kept; the derivative at zero is zero."""
    axes = tuple(range(array.ndim - 1)) if array.ndim > 1 else None
    return _root(jnp.sum(jnp.square(array), axis=axes, keepdims=True))


def _root(squared: jax.Array) -> jax.Array:
    """The square root; its derivative at zero is zero."""
    zero = squared == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))
