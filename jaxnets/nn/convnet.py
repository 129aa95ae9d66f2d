"""Convolutional networks of any number of layers in one or two dimensions."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import linen as nn

from jaxnets.errors import lookup
from jaxnets.nn import checks
from jaxnets.nn.activations import Activation
from jaxnets.nn.checks import Dtype
from jaxnets.nn.conv import Conv
from jaxnets.nn.dense import Dense, flatten
from jaxnets.nn.fields import check_fields
from jaxnets.nn.hyper import given_or_own
from jaxnets.nn.initializers import Init
from jaxnets.nn.noise import Dropout
from jaxnets.nn.pool import POOLS
from jaxnets.nn.stage import conv_stage
from jaxnets.nn.windows import Padding, PerAxis, normal_padding

HEADS = ("flatten", "mean")
"""What the field ``head`` of a ``ConvNet`` may be."""


def per_layer(argument: str, value: Any, layers: int, check: Callable[[str, Any], Any]) -> Any:
    """``value``, one for all layers or one per layer, as one per layer.

    Args:
        argument: the name of the field, for the error.
        value: a number or name for all layers, or a sequence with an entry for each.
        layers: how many layers there are.
        check: ``(argument, entry) -> entry`` in its normal form.

    Returns:
        A tuple of ``layers`` entries.

    Raises:
        TypeError: an entry that ``check`` refuses.
        ValueError: the same, or another number of entries.

    Example:
        >>> per_layer("strides", 2, 3, checks.integer)
        (2, 2, 2)
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (check(argument, value),) * layers
    if len(value) != layers:
        raise ValueError(
            f"{argument}: expected one entry for all or one for each of {layers} layers, "
            f"got {value!r}."
        )
    return tuple(check(f"{argument}[{i}]", v) for i, v in enumerate(value))


def _sizes(argument: str, value: Any) -> Any:
    check = checks.integers if isinstance(value, Sequence) else checks.integer
    return check(argument, value)


LAYER_FIELDS: dict[str, Callable[[str, Any], Any]] = {
    "kernel_size": _sizes,
    "strides": _sizes,
    "padding": lambda argument, value: normal_padding(value),
    "pool_size": _sizes,
}
"""The fields of a ``ConvNet`` that are one for all layers or one per layer, and their checks."""


class ConvNet(nn.Module):
    """Convolutional layers, then a linear layer.

    A layer is convolution, normalisation, activation, pooling, in this order; dropout comes
    before the linear layer. ``kernel_size``, ``strides``, ``padding`` and ``pool_size`` are one
    number for all layers, or a sequence of one entry per layer, each a number, or a tuple with one
    per spatial axis (for ``padding``, what ``jaxnets.nn.windows.Padding`` says).

    Attributes:
        features: the channels of the layers.
        outputs: the number of outputs.
        kernel_size: of the convolutions.
        strides: of the convolutions.
        padding: of the convolutions.
        activation: a name in ``ACTIVATIONS`` or a function.
        kernel_init: initialiser of every kernel.
        bias_init: initialiser of every bias.
        norm: ``None``, ``"batch"`` or ``"layer"``, see ``jaxnets.nn.norm``.
        pool: ``None``, ``"max"`` or ``"avg"``, after every layer, without overlap.
        pool_size: the window; 1 in a layer for no pooling there.
        head: ``"flatten"``, or ``"mean"`` over space, for inputs of any size.
        dropout_rate: of what the linear layer sees, in [0, 1), where ``"hyper"/"dropout_rate"``
            starts; ``None`` for no dropout in the program.
        method: of the convolutions, see ``jaxnets.nn.conv.convolve``.
        dtype: of the computation; parameters are float32.

    Raises:
        TypeError: a field of the wrong type.
        ValueError: a field out of range, or an unknown name.

    Example:
        The network of the MNIST-1D paper, 5,210 parameters:

        >>> import jax.numpy as jnp
        >>> net = ConvNet([25, 25, 25], 10, kernel_size=[5, 3, 3], strides=2, padding=1)
        >>> params = net.init(jax.random.key(0), jnp.zeros((1, 40)))["params"]
        >>> sum(p.size for p in jax.tree.leaves(params))
        5210
    """

    features: Sequence[int]
    outputs: int
    kernel_size: int | Sequence[PerAxis] = 3
    strides: int | Sequence[PerAxis] = 1
    padding: Padding | Sequence[Padding] = "SAME"
    activation: Activation = "relu"
    kernel_init: Init = "he_normal"
    bias_init: Init = "zeros"
    norm: str | None = None
    pool: str | None = None
    pool_size: int | Sequence[PerAxis] = 2
    head: str = "flatten"
    dropout_rate: float | None = None
    method: str = "auto"
    dtype: Dtype = None

    def __post_init__(self) -> None:
        features = checks.integers("features", self.features)
        layers = len(features)
        object.__setattr__(self, "features", features)
        for field, check in LAYER_FIELDS.items():
            value = per_layer(field, getattr(self, field), layers, check)
            object.__setattr__(self, field, value)
        if self.pool is not None:
            lookup("pool", self.pool, POOLS)
        lookup("head", self.head, dict.fromkeys(HEADS))
        object.__setattr__(self, "outputs", checks.integer("outputs", self.outputs))
        check_fields(self)
        super().__post_init__()

    @property
    def depth(self) -> int:
        """Convolutional layers."""
        return len(self.features)

    @property
    def width(self) -> int:
        """Channels of the widest layer."""
        return max(self.features, default=0)

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = False, dropout_rate: jax.Array | float | None = None
    ) -> jax.Array:
        """Applies the network.

        Args:
            x: signals ``(batch, length)`` or ``(batch, length, channels)``, or images
                ``(batch, height, width, channels)``. Only signals may come without channels: an
                array of rank 3 is a signal.
            train: whether dropout and the batch's statistics are at work.
            dropout_rate: the rate of an outer module, instead of the field's.

        Returns:
            Array of shape ``(batch, outputs)``.

        Raises:
            ValueError: another rank, or a layer's window does not fit into what it sees.
        """
        if x.ndim not in (2, 3, 4):
            raise ValueError(
                "x: expected (batch, length), (batch, length, channels) or "
                f"(batch, height, width, channels), got shape {x.shape}."
            )
        drop = given_or_own(self, "dropout_rate", dropout_rate)
        h = x[..., None] if x.ndim == 2 else x
        per_layer_fields = zip(*(getattr(self, field) for field in LAYER_FIELDS), strict=True)
        for channels, (kernel_size, strides, padding, pool_size) in zip(
            self.features, per_layer_fields, strict=True
        ):
            layer = Conv(
                channels,
                kernel_size,
                strides,
                padding,
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                method=self.method,
                dtype=self.dtype,
            )
            h = conv_stage(
                layer,
                h,
                train=train,
                norm=self.norm,
                activation=self.activation,
                pool=self.pool,
                pool_size=pool_size,
            )
        h = h.mean(tuple(range(1, h.ndim - 1))) if self.head == "mean" else flatten(h)
        if drop is not None:
            h = Dropout()(h, train, rate=drop)
        return Dense(
            self.outputs, kernel_init=self.kernel_init, bias_init=self.bias_init, dtype=self.dtype
        )(h, train)
