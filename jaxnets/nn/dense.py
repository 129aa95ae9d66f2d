"""Fully connected layers and networks."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from jaxnets.nn import checks
from jaxnets.nn.activations import Activation, activation_function
from jaxnets.nn.checks import Dtype
from jaxnets.nn.fields import check_fields
from jaxnets.nn.hyper import given_or_own
from jaxnets.nn.initializers import (
    Init,
    bias_initializer,
    kernel_initializer,
)
from jaxnets.nn.noise import STREAM, Dropout, dropout
from jaxnets.nn.norm import normalize
from jaxnets.nn.product import product


def flatten(x: jax.Array) -> jax.Array:
    """``x`` with all axes but the first made one.

    Args:
        x: array of shape ``(batch, ...)``, of rank 2 or more.

    Returns:
        Array of shape ``(batch, size)``.

    Raises:
        ValueError: the rank is below 2.

    Example:
        >>> flatten(jnp.zeros((5, 2, 3))).shape
        (5, 6)
    """
    if x.ndim < 2:
        raise ValueError(f"x: expected a batch of rank 2 or more, got shape {x.shape}.")
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class Flatten(nn.Module):
    """``flatten`` as a module, for ``nn.Sequential``.

    Example:
        >>> Flatten().apply({}, jnp.zeros((5, 2, 3))).shape
        (5, 6)
    """

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Makes all axes but the first one axis.

        Args:
            x: array of shape ``(batch, ...)``, of rank 2 or more.
            train: not used.

        Returns:
            Array of shape ``(batch, size)``.
        """
        return flatten(x)


class Dense(nn.Module):
    """``x @ kernel + bias``, if asked with a random part of the kernel dropped in every step.

    DropConnect keeps each entry of the kernel with probability ``1 - dropconnect_rate`` and
    divides by it, so that nothing is to be done at test time. It draws one mask per step, for
    the whole batch (the paper draws one per example, which costs a kernel per example, and
    samples a Gaussian at test time), and leaves the bias alone.

    Attributes:
        features: the number of outputs.
        use_bias: whether there is a bias.
        kernel_init: initialiser of ``kernel``, shape ``(inputs, features)``.
        bias_init: initialiser of ``bias``, shape ``(features,)``.
        dropconnect_rate: the probability of dropping an entry of the kernel, in [0, 1), where
            ``"hyper"/"dropconnect_rate"`` starts; ``None`` for none.
        dtype: of the computation; parameters are float32.

    Example:
        >>> layer = Dense(2, kernel_init="ones")
        >>> params = layer.init(jax.random.key(0), jnp.ones((1, 3)))
        >>> layer.apply(params, jnp.ones((1, 3))).tolist()
        [[3.0, 3.0]]

    Source: Wan et al. 2013, Regularization of Neural Networks using DropConnect, section 3.
    """

    features: int
    use_bias: bool = True
    kernel_init: Init = "lecun_normal"
    bias_init: Init = "zeros"
    dropconnect_rate: float | None = None
    dtype: Dtype = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", checks.integer("features", self.features))
        check_fields(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool = False,
        dropconnect_rate: jax.Array | float | None = None,
    ) -> jax.Array:
        """Applies the layer along the last axis.

        Args:
            x: array of shape ``(..., inputs)``.
            train: whether DropConnect drops anything; Python's, not traced.
            dropconnect_rate: the rate of an outer module, instead of the field's.

        Returns:
            Array of shape ``(..., features)``.
        """
        rate = given_or_own(self, "dropconnect_rate", dropconnect_rate)
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", kernel_initializer(self.kernel_init), shape, jnp.float32)
        bias = None
        if self.use_bias:
            initializer = bias_initializer(self.bias_init, shape)
            bias = self.param("bias", initializer, (self.features,), jnp.float32)
        if rate is not None and train:
            kernel = dropout(kernel, rate, self.make_rng(STREAM))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = product(x, kernel)
        if bias is not None:
            y = y + bias.reshape((1,) * (y.ndim - 1) + (self.features,))
        return y


class MLP(nn.Module):
    """A fully connected network: hidden layers, then a linear layer of ``outputs`` units.

    A hidden layer is dense, normalisation, activation, dropout, in this order. Parameters are
    ``Dense_0`` to ``Dense_n``, beside ``BatchNorm_i``, ``LayerNorm_i`` and ``PReLU_i``. The bias
    in front of a normalisation is kept, so that a shape has the same dense layers with and
    without one.

    Attributes:
        features: the widths of the hidden layers; none for a linear model.
        outputs: the number of outputs.
        activation: of the hidden layers, a name in ``ACTIVATIONS`` or a function.
        kernel_init: initialiser of every kernel.
        bias_init: initialiser of every bias.
        norm: ``None``, ``"batch"`` or ``"layer"``, see ``jaxnets.nn.norm``.
        dropout_rate: the probability of dropping a hidden unit, in [0, 1), where
            ``"hyper"/"dropout_rate"`` starts; ``None`` for no dropout in the program.
        dropconnect_rate: the same for the entries of every kernel.
        dtype: of the computation; parameters are float32.

    Raises:
        TypeError: a field of the wrong type.
        ValueError: a field out of range, or an unknown name.

    Example:
        >>> net = MLP([64, 64], outputs=10, dropout_rate=0.1)
        >>> variables = net.init(jax.random.key(0), jnp.zeros((1, 40)))
        >>> sum(p.size for p in jax.tree.leaves(variables["params"]))
        7434
        >>> variables["hyper"]
        {'dropout_rate': Array(0.1, dtype=float32)}
        >>> net == MLP((64, 64), 10, dropout_rate=0.1)
        True
    """

    features: Sequence[int]
    outputs: int
    activation: Activation = "relu"
    kernel_init: Init = "he_normal"
    bias_init: Init = "zeros"
    norm: str | None = None
    dropout_rate: float | None = None
    dropconnect_rate: float | None = None
    dtype: Dtype = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", checks.integers("features", self.features))
        object.__setattr__(self, "outputs", checks.integer("outputs", self.outputs))
        check_fields(self)
        super().__post_init__()

    @property
    def depth(self) -> int:
        """Hidden layers."""
        return len(self.features)

    @property
    def width(self) -> int:
        """Units of the widest hidden layer."""
        return max(self.features, default=0)

    @nn.nowrap
    def padded(self) -> tuple[nn.Module, dict[str, float]] | str:
        """A wider network that can be this one, see `jaxnets.nn.padded.pad`.

        Returns:
            The network and the numbers that make it this one, or what forbids it.
        """
        from jaxnets.nn.padded import pad

        return pad(self)

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool = False,
        dropout_rate: jax.Array | float | None = None,
        dropconnect_rate: jax.Array | float | None = None,
    ) -> jax.Array:
        """Applies the network.

        Args:
            x: array of shape ``(batch, ...)``, of rank 2 or more; it is flattened.
            train: whether dropout, DropConnect and the batch's statistics are at work.
            dropout_rate: the rate of an outer module, instead of the field's.
            dropconnect_rate: the same.

        Returns:
            Array of shape ``(batch, outputs)``.

        Raises:
            ValueError: ``x`` has rank below 2.
        """
        drop = given_or_own(self, "dropout_rate", dropout_rate)
        dropconnect = given_or_own(self, "dropconnect_rate", dropconnect_rate)
        act = activation_function(self.activation)

        def dense(h: jax.Array, features: int) -> jax.Array:
            layer = Dense(
                features,
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                dtype=self.dtype,
            )
            return layer(h, train, dropconnect_rate=dropconnect)

        h = flatten(x)
        for width in self.features:
            h = dense(h, width)
            h = act(normalize(h, self.norm, train=train, dtype=self.dtype))
            if drop is not None:
                h = Dropout()(h, train, rate=drop)
        return dense(h, self.outputs)
