"""Residual networks: fully connected, and the CIFAR ResNet."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

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
from jaxnets.nn.once import once


class ResidualMLP(nn.Module):
    """A fully connected network of residual blocks, ``h = h + branch_scale * f(h)``.

    With ``preactivation`` a layer of a branch is normalisation, activation, dropout, dense; the
    first dense layer of the network is followed by nothing, the last one preceded by
    normalisation and activation. A branch then ends linearly and can take away as well as add.
    Without, a layer is dense, normalisation, activation, dropout, the first one of the network
    too: ``h = h + relu(W h)``.

    Attributes:
        features: the width of the stream.
        blocks: the number of residual blocks.
        outputs: the number of outputs.
        layers_per_block: the number of dense layers in a branch.
        preactivation: the order, as above.
        activation: a name in ``ACTIVATIONS`` or a function.
        kernel_init: initialiser of every kernel.
        bias_init: initialiser of every bias.
        norm: ``None``, ``"batch"`` or ``"layer"``, see ``jaxnets.nn.norm``.
        branch_scale: what a branch is multiplied with, where ``"hyper"/"branch_scale"`` starts;
            ``None`` for no multiplication in the program.
        dropout_rate: of the hidden units, in [0, 1), where ``"hyper"/"dropout_rate"`` starts;
            ``None`` for no dropout in the program.
        dtype: of the computation; parameters are float32.

    Raises:
        TypeError: a field of the wrong type.
        ValueError: a field out of range, or an unknown name.

    Example:
        The residual network of the MNIST-1D paper, ``h = h + relu(W h)``, 15,210 parameters:

        >>> net = ResidualMLP(100, 1, outputs=10, layers_per_block=1, preactivation=False)
        >>> params = net.init(jax.random.key(0), jnp.zeros((1, 40)))["params"]
        >>> sum(p.size for p in jax.tree.leaves(params))
        15210

    Source: He et al. 2016, Identity Mappings in Deep Residual Networks (arXiv:1603.05027).
    """

    features: int
    blocks: int
    outputs: int
    layers_per_block: int = 2
    preactivation: bool = True
    activation: Activation = "relu"
    kernel_init: Init = "he_normal"
    bias_init: Init = "zeros"
    norm: str | None = None
    branch_scale: float | None = None
    dropout_rate: float | None = None
    dtype: Dtype = None

    def __post_init__(self) -> None:
        for field in ("features", "layers_per_block"):
            object.__setattr__(self, field, checks.integer(field, getattr(self, field)))
        object.__setattr__(self, "blocks", checks.integer("blocks", self.blocks, 0))
        object.__setattr__(self, "outputs", checks.integer("outputs", self.outputs))
        check_fields(self)
        super().__post_init__()

    @property
    def depth(self) -> int:
        """Hidden layers, the first and those of all blocks."""
        return 1 + self.blocks * self.layers_per_block

    @property
    def width(self) -> int:
        """Units of every hidden layer."""
        return self.features

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool = False,
        dropout_rate: jax.Array | float | None = None,
        branch_scale: jax.Array | float | None = None,
    ) -> jax.Array:
        """Applies the network.

        Args:
            x: array of shape ``(batch, ...)``, of rank 2 or more; it is flattened.
            train: whether dropout and the batch's statistics are at work.
            dropout_rate: the rate of an outer module, instead of the field's.
            branch_scale: the same.

        Returns:
            Array of shape ``(batch, outputs)``.

        Raises:
            ValueError: ``x`` has rank below 2.
        """
        drop = given_or_own(self, "dropout_rate", dropout_rate)
        scale = given_or_own(self, "branch_scale", branch_scale)
        act = activation_function(self.activation)

        def dense(h: jax.Array, features: int) -> jax.Array:
            layer = Dense(
                features, kernel_init=self.kernel_init, bias_init=self.bias_init, dtype=self.dtype
            )
            return layer(h, train)

        def activate(h: jax.Array) -> jax.Array:
            h = act(normalize(h, self.norm, train=train, dtype=self.dtype))
            return h if drop is None else Dropout()(h, train, rate=drop)

        h = dense(flatten(x), self.features)
        if not self.preactivation:
            h = activate(h)
        for _ in range(self.blocks):
            branch = h
            for _ in range(self.layers_per_block):
                if self.preactivation:
                    branch = dense(activate(branch), self.features)
                else:
                    branch = activate(dense(branch, self.features))
            h = h + (branch if scale is None else jnp.asarray(scale, branch.dtype) * branch)
        if self.preactivation:
            h = activate(h)
        return dense(h, self.outputs)


def padded_identity(x: jax.Array, features: int, stride: int) -> jax.Array:
    """The shortcut without parameters: every ``stride``-th place, new channels zero.

    Args:
        x: images ``(batch, height, width, channels)``.
        features: the channels wanted, at least those of ``x``.
        stride: the step in space.

    Returns:
        Array of shape ``(batch, ceil(height / stride), ceil(width / stride), features)``.

    Example:
        >>> padded_identity(jnp.ones((1, 5, 4, 2)), 4, 2).shape
        (1, 3, 2, 4)

    Source: He et al. 2015, Deep Residual Learning, section 3.3, option A (arXiv:1512.03385).
    """
    x = lax.slice(x, (0, 0, 0, 0), x.shape, (1, stride, stride, 1))
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, features - x.shape[-1])))


class ResNet(nn.Module):
    """The CIFAR ResNet: 20, 32, 44, 56, 110 or any ``6 n + 2`` layers.

    A 3x3 convolution of 16 channels, three stages of ``n`` blocks of 16, 32 and 64 channels, the
    second and third starting with stride 2, the mean over space, and a linear layer. A block is
    convolution, BatchNorm, activation, convolution, BatchNorm, the shortcut added, activation.
    Shortcuts have no parameters. At depth 20, three channels and ten outputs, 269,722 parameters.

    Attributes:
        depth: the number of layers with kernels, ``6 n + 2``.
        outputs: the number of outputs.
        activation: a name in ``ACTIVATIONS`` or a function.
        kernel_init: initialiser of every kernel.
        bias_init: initialiser of the bias of the last layer; the convolutions have none.
        norm: ``"batch"``, ``"layer"`` or ``None``, see ``jaxnets.nn.norm``.
        branch_scale: what a branch is multiplied with, where ``"hyper"/"branch_scale"`` starts;
            ``None`` for no multiplication in the program.
        dropout_rate: of what the linear layer sees, in [0, 1), where ``"hyper"/"dropout_rate"``
            starts; ``None`` for no dropout in the program.
        method: of the convolutions, see ``jaxnets.nn.conv.convolve``.
        dtype: of the computation; parameters are float32.

    Raises:
        TypeError: a field of the wrong type.
        ValueError: a depth that is not ``6 n + 2``, a field out of range, or an unknown name.

    Example:
        >>> shapes = jax.eval_shape(ResNet(20).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        >>> sum(p.size for p in jax.tree.leaves(shapes["params"]))
        269722

    Source: He et al. 2015, Deep Residual Learning, section 4.2 (arXiv:1512.03385).
    """

    depth: int = 20
    outputs: int = 10
    activation: Activation = "relu"
    kernel_init: Init = "he_normal"
    bias_init: Init = "zeros"
    norm: str | None = "batch"
    branch_scale: float | None = None
    dropout_rate: float | None = None
    method: str = "auto"
    dtype: Dtype = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", checks.integer("depth", self.depth))
        if self.depth < 8 or self.depth % 6 != 2:
            raise ValueError(f"depth: expected 6 n + 2 with n of at least 1, got {self.depth}.")
        object.__setattr__(self, "outputs", checks.integer("outputs", self.outputs))
        check_fields(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool = False,
        dropout_rate: jax.Array | float | None = None,
        branch_scale: jax.Array | float | None = None,
    ) -> jax.Array:
        """Applies the network.

        Args:
            x: images ``(batch, height, width)`` or ``(batch, height, width, channels)`` of any
                size.
            train: whether dropout and the batch's statistics are at work.
            dropout_rate: the rate of an outer module, instead of the field's.
            branch_scale: the same.

        Returns:
            Array of shape ``(batch, outputs)``.

        Raises:
            ValueError: another rank.
        """
        drop = given_or_own(self, "dropout_rate", dropout_rate)
        scale = given_or_own(self, "branch_scale", branch_scale)
        function = activation_function(self.activation)

        def act(h: jax.Array) -> jax.Array:  # read by a convolution, its gradient, the shortcut
            return once(function(h))

        def conv(h: jax.Array, features: int, stride: int = 1) -> jax.Array:
            # Padding by one on both sides keeps the places that a stride of two visits those of
            # the shortcut; "SAME" would move them by one.
            h = Conv(
                features,
                3,
                stride,
                1,
                use_bias=False,
                kernel_init=self.kernel_init,
                method=self.method,
                dtype=self.dtype,
            )(h, train)
            return normalize(h, self.norm, train=train, dtype=self.dtype)

        h = act(conv(as_images(x), 16))
        for stage, features in enumerate((16, 32, 64)):
            for block in range((self.depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                branch = conv(act(conv(h, features, stride)), features)
                if scale is not None:
                    branch = jnp.asarray(scale, branch.dtype) * branch
                h = act(padded_identity(h, features, stride) + branch)
        h = h.mean((1, 2))
        if drop is not None:
            h = Dropout()(h, train, rate=drop)
        return Dense(
            self.outputs, kernel_init=self.kernel_init, bias_init=self.bias_init, dtype=self.dtype
        )(h, train)
