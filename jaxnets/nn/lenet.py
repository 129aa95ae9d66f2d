"""LeNet-5."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxnets.errors import lookup
from jaxnets.nn import checks
from jaxnets.nn.activations import Activation, activation_function
from jaxnets.nn.checks import Dtype
from jaxnets.nn.conv import Conv, as_images
from jaxnets.nn.dense import Dense, flatten
from jaxnets.nn.fields import check_fields
from jaxnets.nn.hyper import given_or_own
from jaxnets.nn.initializers import Init
from jaxnets.nn.noise import Dropout
from jaxnets.nn.norm import normalize
from jaxnets.nn.pool import POOLS
from jaxnets.nn.stage import conv_stage


class LeNet(nn.Module):
    """LeNet-5 in its modern form: 61,706 parameters on one channel and ten classes.

    Images are padded with zeros to 32x32; two convolutions of 5x5 with 6 and 16 channels, fully
    connected among each other, each pooled by two; dense layers of 120, 84 and ``outputs`` units.
    The original has sparse connections between the first two maps, trainable pooling, scaled tanh
    and a Gaussian output layer.

    Attributes:
        outputs: the number of outputs.
        activation: a name in ``ACTIVATIONS`` or a function.
        kernel_init: initialiser of every kernel.
        bias_init: initialiser of every bias.
        norm: ``None``, ``"batch"`` or ``"layer"``, see ``jaxnets.nn.norm``.
        pool: ``"max"`` or ``"avg"``.
        dropout_rate: of the two hidden dense layers, in [0, 1), where ``"hyper"/"dropout_rate"``
            starts; ``None`` for no dropout in the program.
        method: of the convolutions, see ``jaxnets.nn.conv.convolve``.
        dtype: of the computation; parameters are float32.

    Example:
        >>> params = LeNet().init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))["params"]
        >>> sum(p.size for p in jax.tree.leaves(params))
        61706

    Source: LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition, figure 2.
    """

    outputs: int = 10
    activation: Activation = "relu"
    kernel_init: Init = "he_normal"
    bias_init: Init = "zeros"
    norm: str | None = None
    pool: str = "max"
    dropout_rate: float | None = None
    method: str = "auto"
    dtype: Dtype = None

    def __post_init__(self) -> None:
        lookup("pool", self.pool, POOLS)
        object.__setattr__(self, "outputs", checks.integer("outputs", self.outputs))
        check_fields(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool = False, dropout_rate: jax.Array | float | None = None
    ) -> jax.Array:
        """Applies the network.

        Args:
            x: images ``(batch, height, width)`` or ``(batch, height, width, channels)`` of at most
                32x32; smaller ones are put into the middle of zeros.
            train: whether dropout and the batch's statistics are at work.
            dropout_rate: the rate of an outer module, instead of the field's.

        Returns:
            Array of shape ``(batch, outputs)``.

        Raises:
            ValueError: another rank, or an image larger than 32x32.
        """
        drop = given_or_own(self, "dropout_rate", dropout_rate)
        act = activation_function(self.activation)
        h = as_images(x)
        gaps = [32 - n for n in h.shape[1:3]]
        if min(gaps) < 0:
            raise ValueError(f"x: expected images of at most 32x32, got shape {x.shape}.")
        h = jnp.pad(h, ((0, 0), *((gap // 2, gap - gap // 2) for gap in gaps), (0, 0)))

        def dense(h: jax.Array, features: int) -> jax.Array:
            layer = Dense(
                features, kernel_init=self.kernel_init, bias_init=self.bias_init, dtype=self.dtype
            )
            return layer(h, train)

        for channels in (6, 16):
            layer = Conv(
                channels,
                5,
                padding=0,
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                method=self.method,
                dtype=self.dtype,
            )
            h = conv_stage(
                layer, h, train=train, norm=self.norm, activation=self.activation, pool=self.pool
            )
        h = flatten(h)
        for width in (120, 84):
            h = act(normalize(dense(h, width), self.norm, train=train, dtype=self.dtype))
            if drop is not None:
                h = Dropout()(h, train, rate=drop)
        return dense(h, self.outputs)
