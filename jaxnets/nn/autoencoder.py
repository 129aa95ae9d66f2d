"""Fully connected autoencoders."""

import math
from collections.abc import Sequence

import jax
from flax import linen as nn

from jaxnets.nn import checks
from jaxnets.nn.activations import Activation, activation_function
from jaxnets.nn.checks import Dtype
from jaxnets.nn.dense import MLP
from jaxnets.nn.fields import check_fields
from jaxnets.nn.hyper import given_or_own
from jaxnets.nn.initializers import Init
from jaxnets.nn.noise import GaussianNoise


class Autoencoder(nn.Module):
    """An encoder, a code, and a decoder whose hidden widths are the encoder's backwards.

    Parameters are those of two ``MLP``, ``encoder`` and ``decoder``. ``features=[]`` with the
    default linear code and output is the linear autoencoder, whose optimum is PCA's.

    Attributes:
        features: the widths of the encoder's hidden layers.
        code: the number of units of the code.
        outputs: the number of outputs; ``None`` for the size of the input, and its shape.
        activation: of the hidden layers, a name in ``ACTIVATIONS`` or a function.
        code_activation: of the code.
        output_activation: of the output.
        kernel_init: initialiser of every kernel.
        bias_init: initialiser of every bias.
        norm: of the hidden layers, ``None``, ``"batch"`` or ``"layer"``.
        dropout_rate: of the hidden units, in [0, 1), where ``"hyper"/"dropout_rate"`` starts;
            ``None`` for no dropout in the program.
        noise_scale: the standard deviation of the noise on the input in training, at least 0,
            where ``"hyper"/"noise_scale"`` starts; ``None`` for no noise in the program.
        dtype: of the computation; parameters are float32.

    Raises:
        TypeError: a field of the wrong type.
        ValueError: a field out of range, or an unknown name.

    Example:
        >>> import jax.numpy as jnp
        >>> net = Autoencoder([32], code=2)
        >>> x = jnp.zeros((5, 8, 8))
        >>> variables = net.init(jax.random.key(0), x)
        >>> net.apply(variables, x).shape
        (5, 8, 8)
        >>> code = net.apply(variables, x, method="encode")
        >>> code.shape, net.apply(variables, code, method="decode").shape
        ((5, 2), (5, 64))

    Source: Hinton and Salakhutdinov 2006, Reducing the Dimensionality of Data with Neural Networks.
    """

    features: Sequence[int]
    code: int
    outputs: int | None = None
    activation: Activation = "relu"
    code_activation: Activation = "identity"
    output_activation: Activation = "identity"
    kernel_init: Init = "he_normal"
    bias_init: Init = "zeros"
    norm: str | None = None
    dropout_rate: float | None = None
    noise_scale: float | None = None
    dtype: Dtype = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", checks.integers("features", self.features))
        object.__setattr__(self, "code", checks.integer("code", self.code))
        if self.outputs is not None:
            object.__setattr__(self, "outputs", checks.integer("outputs", self.outputs))
        check_fields(self)
        super().__post_init__()

    def __call__(
        self,
        x: jax.Array,
        train: bool = False,
        dropout_rate: jax.Array | float | None = None,
        noise_scale: jax.Array | float | None = None,
    ) -> jax.Array:
        """Encodes and decodes.

        Args:
            x: array of shape ``(batch, ...)``, of rank 2 or more.
            train: whether noise, dropout and the batch's statistics are at work.
            dropout_rate: the rate of an outer module, instead of the field's.
            noise_scale: the same.

        Returns:
            Array of the shape of ``x``, or ``(batch, outputs)`` where that is another size.

        Raises:
            ValueError: ``x`` has rank below 2.
        """
        y = self._run("both", x, train, dropout_rate, noise_scale)
        return y.reshape(x.shape) if y.shape[-1] == math.prod(x.shape[1:]) else y

    def encode(self, x: jax.Array, train: bool = False) -> jax.Array:
        """The code of ``x``.

        Args:
            x: array of shape ``(batch, ...)``, of rank 2 or more.
            train: whether noise, dropout and the batch's statistics are at work.

        Returns:
            Array of shape ``(batch, code)``.

        Raises:
            ValueError: ``x`` has rank below 2.
        """
        return self._run("encoder", x, train, None, None)

    def decode(self, code: jax.Array, train: bool = False) -> jax.Array:
        """The outputs that belong to ``code``, flat.

        Args:
            code: array of shape ``(batch, code)``.
            train: whether dropout and the batch's statistics are at work.

        Returns:
            Array of shape ``(batch, outputs)``, or ``(batch, size of the input)``.

        Raises:
            ValueError: ``code`` is of another shape, or the network has no parameters yet and
                its ``outputs`` are those of an input that it has not seen.
        """
        if code.ndim != 2 or code.shape[1] != self.code:
            raise ValueError(f"code: expected shape (batch, {self.code}), got {code.shape}.")
        return self._run("decoder", code, train, None, None)

    def _outputs(self) -> int:
        """The size of the output as the parameters have it, for a decoder that sees no input."""
        params = self.variables.get("params", {})
        if "decoder" not in params:
            raise ValueError("outputs: needed to make a decoder that has seen no input, got None.")
        return params["decoder"][f"Dense_{len(self.features)}"]["bias"].shape[-1]

    # Linen gives a class one compact method, and the decoder's size is known only in a call.
    @nn.compact
    def _run(
        self,
        part: str,
        x: jax.Array,
        train: bool,
        dropout_rate: jax.Array | float | None,
        noise_scale: jax.Array | float | None,
    ) -> jax.Array:
        drop = given_or_own(self, "dropout_rate", dropout_rate)
        noise = given_or_own(self, "noise_scale", noise_scale)

        def mlp(name: str, features: Sequence[int], outputs: int) -> MLP:
            return MLP(
                features,
                outputs,
                activation=self.activation,
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                norm=self.norm,
                dtype=self.dtype,
                name=name,
            )

        h = x
        if part != "decoder":
            if noise is not None:
                h = GaussianNoise()(h, train, scale=noise)
            h = mlp("encoder", self.features, self.code)(h, train, dropout_rate=drop)
            h = activation_function(self.code_activation)(h)
        if part != "encoder":
            outputs = self.outputs
            if outputs is None:
                outputs = self._outputs() if part == "decoder" else math.prod(x.shape[1:])
            decoder = mlp("decoder", tuple(reversed(self.features)), outputs)
            h = decoder(h, train, dropout_rate=drop)
            h = activation_function(self.output_activation)(h)
        return h
