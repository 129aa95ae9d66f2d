"""Networks of different widths as one program.

The width of a layer is a shape, and each shape is a compilation. A layer that is wider than it
should be, and whose superfluous units are kept at zero, computes the same function; how many of
its units are real is then a number, and thirty widths are thirty lanes of one program.

The padded network is the same function as the true one, to within the rounding of sums whose
terms are added in another order: the same draws of initial weights and of masks of dropout (see
`jaxnets.nn.padded_draws`), statistics of true units only. What is outside the real corner of a
kernel is zero, has gradient zero even where the rest overflows, and so stays zero under every
optimizer that leaves zeros with gradient zero alone.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.linen.dtypes import promote_dtype

from jaxnets.nn import padded_draws as draws
from jaxnets.nn.activations import ACTIVATIONS, Activation, activation_function
from jaxnets.nn.checks import Dtype
from jaxnets.nn.dense import MLP, flatten
from jaxnets.nn.hyper import given_or_own, hyperparameter
from jaxnets.nn.noise import STREAM, dropout
from jaxnets.nn.norm import normalize
from jaxnets.nn.product import product

ACROSS_UNITS = frozenset({"softmax"})
"""Activations of one unit that depend on the others."""


def padded_width(width: int) -> int:
    """The width that a layer is padded to: the next of 32, 96, 192, 320, 480, 672, 896, ...

    The steps grow by 32. Wide layers cost what their arithmetic costs, so there they must be close
    to each other in proportion; narrow ones cost what any operation costs, and a compilation more
    than all of that. A function of the width alone: whom a member shares its program with does not
    change it.

    Args:
        width: at least 1.

    Returns:
        The smallest ``32 * k * (k + 1) / 2`` that is not less.

    Example:
        >>> [padded_width(width) for width in (2, 32, 33, 100, 300)]
        [32, 32, 96, 192, 320]
    """
    k = 1
    while 16 * k * (k + 1) < width:
        k += 1
    return 16 * k * (k + 1)


def pad(module: MLP) -> "tuple[PaddedMLP, dict[str, float]] | str":
    """A wider network and the numbers that make it this one.

    Args:
        module: a network.

    Returns:
        The padded network and its numbers by name; or, in words, what forbids it.

    Example:
        >>> padded, numbers = pad(MLP([9, 40], outputs=10))
        >>> padded.features, numbers
        ((32, 96), {'units_0': 9.0, 'units_1': 40.0})
        >>> pad(MLP([9], outputs=10, kernel_init="orthogonal"))
        'its kernel_init is not one that is drawn entry by entry'
    """
    if type(module) is not MLP:
        return f"{type(module).__name__} is not an MLP itself"
    if not module.features:
        return "it has no hidden layers"
    if not _by_unit(module.activation):
        return "its activation is not known to treat every unit by itself"
    for field, known in (("kernel_init", draws.KERNELS), ("bias_init", draws.BIASES)):
        name = getattr(module, field)
        if not isinstance(name, str) or name not in known:
            return f"its {field} is not one that is drawn entry by entry"
    if not jax.config.values["jax_threefry_partitionable"]:
        return "jax_threefry_partitionable is off: draws depend on the size of what is drawn"
    fields = {
        name: getattr(module, name)
        for name in module.__dataclass_fields__
        if name not in ("parent", "name")
    }
    widths = tuple(padded_width(width) for width in module.features)
    units = {unit_name(i): float(width) for i, width in enumerate(module.features)}
    return PaddedMLP(**{**fields, "features": widths}), units


def unit_name(layer: int) -> str:
    """What the number of true units of a hidden layer is called, in ``"hyper"``.

    Example:
        >>> unit_name(0)
        'units_0'
    """
    return f"units_{layer}"


class PaddedDense(nn.Module):
    """A dense layer of which only the first inputs and outputs are real.

    Attributes:
        features: the number of outputs, real or not.
        kernel_init: a name in ``jaxnets.nn.padded_draws.KERNELS``.
        bias_init: a name in ``jaxnets.nn.padded_draws.BIASES``.
        dtype: of the computation; parameters are float32.

    Example:
        >>> layer, x = PaddedDense(4, "ones", "ones"), jnp.ones((1, 3))
        >>> params = layer.init(jax.random.key(0), x, 2, 1)
        >>> layer.apply(params, x, 2, 1).tolist()
        [[3.0, 0.0, 0.0, 0.0]]
    """

    features: int
    kernel_init: str
    bias_init: str
    dtype: Dtype = None

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        rows: draws.Count,
        columns: draws.Count,
        train: bool = False,
        dropconnect_rate: jax.Array | float | None = None,
    ) -> jax.Array:
        """Applies the layer.

        Args:
            x: array of shape ``(batch, inputs)``.
            rows: how many inputs are real.
            columns: how many outputs are real.
            train: whether DropConnect drops anything; Python's, not traced.
            dropconnect_rate: the probability of dropping an entry of the kernel.

        Returns:
            Array of shape ``(batch, features)``, zero where an output is not real.
        """
        shape = (x.shape[-1], self.features)
        initial = draws.kernel_initializer(self.kernel_init, rows, columns)
        kernel = self.param("kernel", initial, shape, jnp.float32)
        initial = draws.bias_initializer(self.bias_init, rows, columns)
        bias = self.param("bias", initial, shape[1:], jnp.float32)
        if dropconnect_rate is not None and train:
            kernel = dropout(
                kernel, dropconnect_rate, self.make_rng(STREAM), draws.bernoulli(columns)
            )
        # What is not real is zero already. This is for its gradient: zero times an overflow is
        # not a number, and would be the end of a network that could have gone on.
        kernel = jnp.where(draws.inside(shape, rows, columns), kernel, 0.0)
        bias = jnp.where(jnp.arange(self.features) < columns, bias, 0.0)
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        return product(x, kernel) + bias[None, :]


class PaddedDropout(nn.Module):
    """Dropout with the masks of the true width."""

    @nn.compact
    def __call__(self, x: jax.Array, columns: draws.Count, rate: jax.Array | float) -> jax.Array:
        """Drops entries of ``x``.

        Args:
            x: array of shape ``(batch, features)``.
            columns: how many features are real.
            rate: the probability.

        Returns:
            An array of the shape and dtype of ``x``.
        """
        return dropout(x, rate, self.make_rng(STREAM), draws.bernoulli(columns))


class PaddedMLP(MLP):
    """An `MLP` whose hidden layers have room for ``features`` units and use the first few.

    Parameters have the names and places of the `MLP`'s, which are their first rows and columns.
    ``"hyper"/"units_i"`` is the number of units of hidden layer ``i``; it has to be known when
    the parameters are drawn. Made by `pad`, which says what the other fields may be.

    Attributes:
        features: the room in the hidden layers.

    Example:
        >>> padded, units = pad(MLP([3], outputs=2))
        >>> given = {"hyper": {name: jnp.float32(number) for name, number in units.items()}}
        >>> x, rngs = jnp.ones((1, 5)), {"params": jax.random.key(0)}
        >>> y, variables = padded.apply(given, x, rngs=rngs, mutable=True)
        >>> variables["params"]["Dense_0"]["kernel"].shape
        (5, 32)
        >>> true, _ = MLP([3], outputs=2).init_with_output(rngs, x)
        >>> bool(abs(y - true).max() < 1e-6)
        True
    """

    @property
    def numbers_at_init(self) -> tuple[str, ...]:
        """The numbers that the initial parameters depend on."""
        return tuple(unit_name(i) for i in range(len(self.features)))

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
        """
        drop = given_or_own(self, "dropout_rate", dropout_rate)
        dropconnect = given_or_own(self, "dropconnect_rate", dropconnect_rate)
        act = activation_function(self.activation)

        def dense(
            h: jax.Array, layer: int, features: int, rows: draws.Count, columns: draws.Count
        ) -> jax.Array:
            module = PaddedDense(
                features,
                kernel_init=str(self.kernel_init),
                bias_init=str(self.bias_init),
                dtype=self.dtype,
                name=f"Dense_{layer}",
            )
            return module(h, rows, columns, train, dropconnect_rate=dropconnect)

        h = flatten(x)
        before: draws.Count = h.shape[-1]
        for i, width in enumerate(self.features):
            units = hyperparameter(self, unit_name(i), width).astype(jnp.int32)
            real = jnp.arange(width) < units
            h = dense(h, i, width, before, units)
            h = act(normalize(h, self.norm, train=train, dtype=self.dtype, real=real))
            h = jnp.where(real[None, :], h, jnp.zeros_like(h))
            if drop is not None and train:
                h = PaddedDropout(name=f"Dropout_{i}")(h, units, drop)
            before = units
        return dense(h, len(self.features), self.outputs, before, self.outputs)


def _by_unit(activation: Activation) -> bool:
    known = {name: f for name, f in ACTIVATIONS.items() if name not in ACROSS_UNITS}
    if isinstance(activation, str):
        return activation in known
    return any(activation is function for function in known.values())
