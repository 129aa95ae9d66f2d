"""Convolution in one and two dimensions, computed in the way that is the fastest for its shapes.

On a CPU XLA's convolution, with its gradients, can be many times slower inside a loop body than
outside, and a convolution mapped over members becomes a grouped one, slower still. Neither happens
here: see ``conv_lax`` for the reason, and ``conv_patches``, ``conv_mec``, ``conv_banded``,
``conv_winograd`` and ``conv_onednn`` for other ways.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype
from jax import lax

from jaxnets.devices import platform
from jaxnets.errors import unknown_name
from jaxnets.nn import checks, conv_cost, conv_measured
from jaxnets.nn.checks import Dtype
from jaxnets.nn.conv_choices import Choice, note
from jaxnets.nn.conv_lax import LAYOUT
from jaxnets.nn.conv_measured import Question
from jaxnets.nn.fields import check_fields
from jaxnets.nn.geometry import Geometry
from jaxnets.nn.initializers import Init, bias_initializer, kernel_initializer
from jaxnets.nn.trilinear import ROLES, trilinear
from jaxnets.nn.windows import (
    Padding,
    PerAxis,
    normal_padding,
    output_size,
    padding_pairs,
    per_axis,
)


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: PerAxis = 1,
    padding: Padding = "SAME",
    dilation: PerAxis = 1,
    method: str = "auto",
) -> jax.Array:
    """The cross-correlation of ``x`` with ``kernel``, as every network library calls convolution.

    Args:
        x: array of shape ``(batch, length, channels)`` or ``(batch, height, width, channels)``.
        kernel: array of shape ``(*window, channels, features)``, as Flax's.
        strides: the step of the window.
        padding: see ``Padding``.
        dilation: the distance of neighbouring places of the kernel.
        method: ``"lax"`` for XLA's convolution; ``"patches"`` for strided slices and one matrix
            product; ``"mec"`` for slices along one axis only, see ``conv_mec``; ``"banded"`` for
            places of the width taken together, see ``conv_banded``; ``"winograd"`` for windows of
            three by three with fewer products, see ``conv_winograd``; ``"onednn"`` for the library
            of that name in what `jaxnets.fit` compiles, where jaxlib has it, see ``conv_onednn``;
            ``"auto"`` for XLA's on an accelerator, and on a CPU for what ``conv_cost`` takes for
            the fastest, or `measure_convolutions` found to be, for the convolution and for each of
            its gradients. Of finite numbers they differ by float32 rounding; where one is not, an
            infinity may become NaN, and ``"banded"`` and ``"winograd"`` spread it to neighbouring
            places. Which of the two it is traced for is JAX's default backend, or what
            ``jaxnets.devices.traced_for`` says. An empty batch, and one whose size is not known
            (``jax.export``), is always XLA's.

    Returns:
        Array of shape ``(batch, *out, features)``.

    Raises:
        TypeError: strides, padding or dilation are not integers.
        ValueError: ranks or channels that do not fit, or an unknown ``method``.

    Example:
        >>> x = jnp.arange(4.0).reshape(1, 4, 1)
        >>> convolve(x, jnp.ones((2, 1, 1)), padding="VALID").ravel().tolist()
        [1.0, 3.0, 5.0]
    """
    rank = x.ndim - 2
    if rank not in (1, 2) or kernel.ndim != x.ndim or kernel.shape[-2] != x.shape[-1]:
        raise ValueError(
            "x: expected (batch, length, channels) or (batch, height, width, channels) and a "
            f"kernel (*window, channels, features) to fit, got {x.shape} and {kernel.shape}."
        )
    if method not in conv_cost.METHODS:
        raise unknown_name("method", method, conv_cost.METHODS)
    size, window = x.shape[1:-1], kernel.shape[:-2]
    strides = per_axis("strides", strides, rank)
    dilation = per_axis("dilation", dilation, rank)
    pairs = padding_pairs(padding, size, window, strides, dilation)
    padded = [n + low + high for n, (low, high) in zip(size, pairs, strict=True)]
    out = output_size(padded, window, strides, dilation)
    x, kernel = promote_dtype(x, kernel)
    if rank == 1:  # a signal is an image of height one
        x, kernel = x[:, None], kernel[None]
        size, window, pairs = (1, *size), (1, *window), ((0, 0), *pairs)
        strides, dilation = (1, *strides), (1, *dilation)
    bits = 8 * x.dtype.itemsize
    counts = x.shape[0], x.shape[3], kernel.shape[3]
    plain = not all(isinstance(count, int) and count > 0 for count in counts)
    sizes = conv_cost.Sizes(*counts, bits)
    geometry = Geometry(
        _pair(size), _pair(window), _pair(strides), (pairs[0], pairs[1]), _pair(dilation)
    )
    if plain or (platform() != "cpu" and method in ("auto", "lax", "onednn")):
        if not plain:
            note(Choice(geometry, sizes, (), method))
        y = lax.conv_general_dilated(
            x, kernel, strides, pairs, rhs_dilation=dilation, dimension_numbers=LAYOUT
        )
    else:
        questions = (Question(role, geometry, sizes) for role in ROLES)
        methods = tuple(conv_measured.choose(question, method) for question in questions)
        note(Choice(geometry, sizes, methods, method))
        y = trilinear("output", x, kernel, geometry=geometry, methods=methods)
    return y.reshape(x.shape[0], *out, kernel.shape[3])


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def as_images(x: jax.Array) -> jax.Array:
    """``x`` with a channel axis, if it has none.

    Args:
        x: array of shape ``(batch, height, width)`` or ``(batch, height, width, channels)``.

    Returns:
        Array of shape ``(batch, height, width, channels)``.

    Raises:
        ValueError: another rank.

    Example:
        >>> as_images(jnp.zeros((5, 28, 28))).shape
        (5, 28, 28, 1)
    """
    if x.ndim not in (3, 4):
        raise ValueError(
            "x: expected (batch, height, width) or (batch, height, width, channels), "
            f"got shape {x.shape}."
        )
    return x[..., None] if x.ndim == 3 else x


class Conv(nn.Module):
    """A convolutional layer in one or two dimensions, whichever its input has.

    Parameters are laid out as those of ``flax.linen.Conv``.

    Attributes:
        features: the number of output channels.
        kernel_size: one number, or one per spatial axis.
        strides: the same.
        padding: see ``Padding``.
        dilation: the same as ``strides``, for the kernel.
        use_bias: whether there is a bias.
        kernel_init: initialiser of ``kernel``, shape ``(*kernel_size, channels, features)``.
        bias_init: initialiser of ``bias``, shape ``(features,)``.
        method: ``"auto"``, ``"lax"``, ``"patches"``, ``"mec"``, ``"banded"``, ``"winograd"`` or
            ``"onednn"``, see ``convolve``.
        dtype: of the computation; parameters are float32.

    Example:
        >>> layer = Conv(16, 3, strides=2)
        >>> variables = layer.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
        >>> variables["params"]["kernel"].shape
        (3, 3, 1, 16)
        >>> layer.apply(variables, jnp.zeros((5, 28, 28, 1))).shape
        (5, 14, 14, 16)
    """

    features: int
    kernel_size: PerAxis = 3
    strides: PerAxis = 1
    padding: Padding = "SAME"
    dilation: PerAxis = 1
    use_bias: bool = True
    kernel_init: Init = "lecun_normal"
    bias_init: Init = "zeros"
    method: str = "auto"
    dtype: Dtype = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", checks.integer("features", self.features))
        for field in ("kernel_size", "strides", "dilation"):
            value = getattr(self, field)
            check = checks.integers if isinstance(value, Sequence) else checks.integer
            object.__setattr__(self, field, check(field, value))
        object.__setattr__(self, "padding", normal_padding(self.padding))
        check_fields(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        train: bool = False,
        before_bias: Callable[[jax.Array], jax.Array] | None = None,
    ) -> jax.Array:
        """Applies the layer.

        Args:
            x: array of shape ``(batch, length, channels)`` or ``(batch, height, width, channels)``.
            train: not used.
            before_bias: done to the convolution, of shape ``(batch, *out, features)``, before the
                bias is added: max pooling, for example, leaves fewer places to add it to.

        Returns:
            Array of shape ``(batch, *out, features)``, or what ``before_bias`` makes of it.

        Raises:
            ValueError: another rank, or the kernel does not fit.
        """
        window = per_axis("kernel_size", self.kernel_size, x.ndim - 2)
        shape = (*window, x.shape[-1], self.features)
        kernel = self.param("kernel", kernel_initializer(self.kernel_init), shape, jnp.float32)
        bias = None
        if self.use_bias:
            initializer = bias_initializer(self.bias_init, shape)
            bias = self.param("bias", initializer, (self.features,), jnp.float32)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = convolve(
            x,
            kernel,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            method=self.method,
        )
        y = y if before_bias is None else before_bias(y)
        return y if bias is None else y + bias.reshape((1,) * (y.ndim - 1) + (self.features,))
