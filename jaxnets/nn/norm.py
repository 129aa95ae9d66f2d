r"""Normalisation by name, always before the activation.

What a reader who comes from another library has to know:

==================  ===================  =================================  ====================
\                   here                 torch                              Flax
==================  ===================  =================================  ====================
BatchNorm momentum  0.9 of the old       0.1 of the new (the same)          0.99 of the old
running variance    biased, 1/n          unbiased, 1/(n-1)                  biased, 1/n
BatchNorm epsilon   1e-5                 1e-5                               1e-5
LayerNorm epsilon   1e-6                 1e-5                               1e-6
variance            E[(x - E[x])^2]      E[(x - E[x])^2]                    E[x^2] - E[x]^2
==================  ===================  =================================  ====================

Flax's fast variance cancels: of x = 1e4 + N(0, 1) in float32 nothing is left of the variance.
0.9 forgets its start within some 40 steps, 0.99 within 400, longer than many a small study.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.nn import checks
from jaxnets.nn.batch_norm import BatchNorm
from jaxnets.nn.checks import Dtype

NORMS = (None, "batch", "layer")
"""What the field ``norm`` of a module may be."""


def normalize(
    x: jax.Array,
    norm: str | None,
    *,
    train: bool,
    epsilon: float | None = None,
    dtype: Dtype = None,
    real: jax.Array | None = None,
) -> jax.Array:
    """``x`` normalised, with a learned scale and bias per feature.

    To be called inside a compact method: the parameters are those of a submodule ``BatchNorm_i``
    or ``LayerNorm_i`` of the caller.

    Args:
        x: array of shape ``(batch, ..., features)``.
        norm: ``None`` for ``x`` as it is; ``"batch"`` for statistics of each feature over the
            batch (and space), running ones when not training; ``"layer"`` for statistics of each
            example over its features (and space).
        train: whether the batch's own statistics are used, and kept running.
        epsilon: added to the variance; ``None`` for 1e-5 (batch) and 1e-6 (layer).
        dtype: of the result; statistics are float32 in any case.
        real: bool array of shape ``(features,)``: which features there are. The others must be
            zero in ``x``, do not count, and their scales are zero; ``None`` for all.

    Returns:
        An array of the shape of ``x``.

    Raises:
        ValueError: an unknown ``norm``.

    Example:
        >>> class Layer(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x):
        ...         return normalize(x, "layer", train=True)
        >>> import jax.numpy as jnp
        >>> y, _ = Layer().init_with_output(jax.random.key(0), jnp.array([[1.0, 3.0]]))
        >>> y.round(3).tolist()
        [[-1.0, 1.0]]

    Source: Ioffe and Szegedy 2015 (arXiv:1502.03167); Ba et al. 2016 (arXiv:1607.06450).
    """
    checks.name("norm", norm, NORMS)
    if norm is None:
        return x
    mask = None
    if real is not None:
        mask = jnp.broadcast_to(real.reshape((1,) * (x.ndim - 1) + real.shape), x.shape)

    def scale_init(_: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jnp.ones(shape, dtype) if real is None else real.astype(dtype)

    if norm == "batch":
        return BatchNorm(1e-5 if epsilon is None else epsilon, dtype, scale_init)(x, train=train)
    return nn.LayerNorm(
        epsilon=1e-6 if epsilon is None else epsilon,
        reduction_axes=tuple(range(1, x.ndim)),
        use_fast_variance=False,
        scale_init=scale_init,
        dtype=dtype,
    )(x, mask=mask)
