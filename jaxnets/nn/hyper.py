"""The network's own numbers, as variables: each member of a population has its own.

A number that is a field of a module is a constant of the compiled program: thirty dropout rates
are thirty compilations. A number in the collection ``"hyper"`` is an input of the program, so
thirty dropout rates are thirty lanes of one.

The rule for every module here: a field that is ``None`` means that the operation is not in the
program; a field that is a number, 0.0 included, means that it is, and that the number is what
the variable starts from. The outermost module declares the variable and hands its value down as
an argument of ``__call__``, so the path is ``state["hyper"]["dropout_rate"]`` whatever the depth.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

COLLECTION = "hyper"
"""The name of the collection that holds a network's own numeric hyperparameters."""


def hyperparameter(module: nn.Module, name: str, default: float) -> jax.Array:
    """The scalar ``name`` of the collection ``"hyper"``, made from ``default`` by ``init``.

    To be called inside ``setup`` or a compact method of ``module``.

    Args:
        module: the module that declares the number.
        name: the name of the variable.
        default: what ``init`` sets it to.

    Returns:
        A float32 array of shape ``()``, traced under ``jit``.

    Raises:
        flax.errors.FlaxError: called outside a bound module, or ``apply`` without ``"hyper"``.

    Example:
        >>> class Gain(nn.Module):
        ...     @nn.compact
        ...     def __call__(self, x, train=False):
        ...         return hyperparameter(self, "gain", 2.0) * x
        >>> state = Gain().init(jax.random.key(0), jnp.ones(1))
        >>> Gain().apply(state, jnp.ones(1)).tolist()
        [2.0]
        >>> gains = {"hyper": {"gain": jnp.array([1.0, 3.0])}}
        >>> jax.vmap(Gain().apply, (0, None))(gains, jnp.ones(1)).tolist()
        [[1.0], [3.0]]
    """
    return module.variable(COLLECTION, name, lambda: jnp.asarray(default, jnp.float32)).value


def given_or_own(
    module: nn.Module, name: str, given: jax.Array | float | None
) -> jax.Array | float | None:
    """The number that an outer module has handed down, or else the module's own.

    Args:
        module: the module, which has a field ``name`` that is a number or ``None``.
        name: the name of the field, and of the variable if one is declared.
        given: what came as an argument; if it is not ``None``, nothing is declared.

    Returns:
        A scalar, or ``None`` for an operation that is not in the program.

    Example:
        >>> class Gain(nn.Module):
        ...     gain: float | None = None
        ...     @nn.compact
        ...     def __call__(self, x, train=False, gain=None):
        ...         gain = given_or_own(self, "gain", gain)
        ...         return x if gain is None else gain * x
        >>> jax.tree.leaves(Gain().init(jax.random.key(0), jnp.ones(1)))
        []
        >>> Gain(2.0).init(jax.random.key(0), jnp.ones(1))
        {'hyper': {'gain': Array(2., dtype=float32)}}
    """
    if given is not None:
        return given
    default = getattr(module, name)
    return None if default is None else hyperparameter(module, name, default)
