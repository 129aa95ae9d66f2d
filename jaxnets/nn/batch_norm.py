"""Batch normalisation whose derivative is written down: two sums over the batch, not three.

What differentiation makes of mean, variance and quotient adds up the gradient once more, to find
what reaches the mean through the variance: nothing, as the deviations add up to zero. XLA does not
know that. ``python -m benchmarks.updates`` has what it costs.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxnets.nn.checks import Dtype

MOMENTUM = 0.9
"""The share of the old in the running statistics."""


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def normalized(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Each feature with the mean ``bias`` and the deviation ``scale`` over the batch, and space.

    Differentiable any number of times, forward and backward.

    Args:
        x: array of shape ``(batch, ..., features)``.
        scale: array of shape ``(features,)``.
        bias: array of shape ``(features,)``.
        epsilon: added to the variance.

    Returns:
        ``scale * (x - mean) / sqrt(variance + epsilon) + bias``, the mean and the variance (of
        ``n``, not ``n - 1``), of shapes ``x.shape``, ``(features,)``, ``(features,)``.

    Example:
        >>> y, mean, variance = normalized(jnp.array([[1.0], [3.0]]), jnp.ones(1), jnp.ones(1), 0.0)
        >>> y.ravel().tolist(), mean.tolist(), variance.tolist()
        ([0.0, 2.0], [2.0], [1.0])

    Source: Ioffe and Szegedy 2015 (arXiv:1502.03167), algorithm 1; its derivatives, section 3.
    """
    mean = _mean(x)
    variance = _mean(jnp.square(x - _wide(mean, x)))
    return _moved(x, mean, variance, scale, bias, epsilon), mean, variance


@normalized.defjvp
def _derivative(epsilon: float, primals: Any, tangents: Any) -> tuple[Any, Any]:
    (x, scale, bias), (dx, dscale, dbias) = primals, tangents
    y, mean, variance = normalized(x, scale, bias, epsilon)
    away, inverse = x - _wide(mean, x), lax.rsqrt(variance + epsilon)
    slope = inverse * scale
    dmean, dvariance = _mean(dx), 2 * _mean(away * dx)  # of (away - its mean) * dx, which is zero
    dslope = inverse * dscale - 0.5 * slope * jnp.square(inverse) * dvariance
    dy = _wide(slope, x) * dx + away * _wide(dslope, x) + _wide(dbias - slope * dmean, x)
    return (y, mean, variance), (dy, dmean, dvariance)


def _moved(
    x: jax.Array,
    mean: jax.Array,
    variance: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
) -> jax.Array:
    slope = lax.rsqrt(variance + epsilon) * scale
    return (x - _wide(mean, x)) * _wide(slope, x) + _wide(bias, x)


def _mean(x: jax.Array) -> jax.Array:
    return x.mean(tuple(range(x.ndim - 1)))


def _wide(one_per_feature: jax.Array, x: jax.Array) -> jax.Array:
    return one_per_feature.reshape((1,) * (x.ndim - 1) + x.shape[-1:])


class BatchNorm(nn.Module):
    """Flax's layer of this name, for the last axis, with the derivative of `normalized`.

    Attributes:
        epsilon: added to the variance.
        dtype: of the result; statistics are float32 at least.
        scale_init: of the parameter ``scale``, see `flax.linen.BatchNorm`.
    """

    epsilon: float = 1e-5
    dtype: Dtype = None
    scale_init: Any = nn.initializers.ones

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """``x`` of shape ``(batch, ..., features)``, normalised with the statistics of the batch,
        which are kept running, or with the running ones.
        """
        features = x.shape[-1:]
        mean = self.variable("batch_stats", "mean", jnp.zeros, features, jnp.float32)
        variance = self.variable("batch_stats", "var", jnp.ones, features, jnp.float32)
        scale = self.param("scale", self.scale_init, features, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, features, jnp.float32)
        dtype = self.dtype or jnp.result_type(x, scale)
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if train:
            y, *statistics = normalized(x, scale, bias, self.epsilon)
            if not self.is_initializing():
                for running, new in zip((mean, variance), statistics, strict=True):
                    kept = MOMENTUM * running.value + (1 - MOMENTUM) * new
                    running.value = kept.astype(running.value.dtype)
        else:
            y = _moved(x, mean.value, variance.value, scale, bias, self.epsilon)
        return y.astype(dtype)
