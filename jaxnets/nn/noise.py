"""Random operations of training with traced strengths: dropout, DropConnect, additive noise."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.nn import checks
from jaxnets.nn.hyper import given_or_own

STREAM = "dropout"
"""The name of the key stream that all random operations of a network draw from."""


def dropout(
    x: jax.Array,
    rate: jax.Array | float,
    key: jax.Array,
    bernoulli: Callable[..., jax.Array] = jax.random.bernoulli,
) -> jax.Array:
    """``x`` with every entry set to zero with probability ``rate``, the rest scaled up.

    The formula is Linen's, ``where(bernoulli(key, keep), x / keep, 0)`` with ``keep = 1 - rate``,
    but ``rate`` may be traced. At ``rate`` 1 the result and its gradients are zero, not NaN.

    Args:
        x: any floating array.
        rate: a scalar in [0, 1], Python or traced.
        key: a typed key.
        bernoulli: ``(key, p, shape) -> array``, what draws the mask of the entries that stay.

    Returns:
        An array of the shape and dtype of ``x``; its expectation over keys is ``x``.

    Example:
        >>> y = dropout(jnp.ones(1000), jnp.float32(0.5), jax.random.key(0))
        >>> sorted(set(y.tolist()))
        [0.0, 2.0]

    Source: Srivastava et al. 2014, Dropout, section 10 (the scaling at training time).
    """
    keep = 1.0 - jnp.asarray(rate, jnp.float32)
    mask = bernoulli(key, keep, x.shape)
    # The branch not taken must be finite as well, or its gradient poisons the one that is.
    scale = jnp.where(keep > 0.0, keep, 1.0).astype(x.dtype)
    return jnp.where(mask, x / scale, jnp.zeros_like(x))


class Dropout(nn.Module):
    """Dropout whose rate is a variable.

    Attributes:
        rate: the probability of dropping an entry, in [0, 1), where ``"hyper"/"rate"`` starts;
            ``None`` for none, unless one is given in the call.

    Example:
        >>> x = jnp.ones((2, 3))
        >>> state = Dropout(0.5).init(jax.random.key(0), x)
        >>> bool((Dropout(0.5).apply(state, x) == x).all())
        True
        >>> y = Dropout(0.5).apply(state, x, train=True, rngs={"dropout": jax.random.key(1)})
        >>> set(y.ravel().tolist()) <= {0.0, 2.0}
        True
    """

    rate: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", checks.rate("rate", self.rate))
        super().__post_init__()

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = False, rate: jax.Array | float | None = None
    ) -> jax.Array:
        """Drops entries of ``x`` in training; the identity otherwise.

        Args:
            x: any floating array.
            train: whether to drop anything; Python's, not traced.
            rate: the rate of an outer module, instead of the field's.

        Returns:
            An array of the shape and dtype of ``x``.
        """
        rate = given_or_own(self, "rate", rate)
        if rate is None or not train:
            return x
        return dropout(x, rate, self.make_rng(STREAM))


class GaussianNoise(nn.Module):
    """Adds ``scale`` times a standard normal draw in training: a denoising network's corruption.

    Attributes:
        scale: the standard deviation, at least 0, where ``"hyper"/"scale"`` starts; ``None`` for
            none, unless one is given in the call.

    Example:
        >>> x = jnp.zeros((2, 500))
        >>> state = GaussianNoise(0.5).init(jax.random.key(0), x)
        >>> y = GaussianNoise(0.5).apply(state, x, train=True, rngs={"dropout": jax.random.key(1)})
        >>> bool(abs(y.std() - 0.5) < 0.05)
        True

    Source: Vincent et al. 2010, Stacked Denoising Autoencoders, section 3.3.
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checks.number("scale", self.scale, minimum=0.0))
        super().__post_init__()

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = False, scale: jax.Array | float | None = None
    ) -> jax.Array:
        """Adds noise to ``x`` in training; the identity otherwise.

        Args:
            x: any floating array.
            train: whether to add anything; Python's, not traced.
            scale: the scale of an outer module, instead of the field's.

        Returns:
            An array of the shape and dtype of ``x``.
        """
        scale = given_or_own(self, "scale", scale)
        if scale is None or not train:
            return x
        noise = jax.random.normal(self.make_rng(STREAM), x.shape, x.dtype)
        return x + jnp.asarray(scale, x.dtype) * noise
