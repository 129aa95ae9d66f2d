"""L1, L2 and elastic-net penalties on weights, and the mask that says which leaves are weights."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxnets import errors
from jaxnets.numerics import absolute, at_least_float32

Which = Literal["kernels", "all"]

# The names that Flax gives to what is not a weight, whatever its rank: a normalisation over several
# axes has a scale of rank two, multi-head attention a bias of rank two.
NOT_KERNELS = frozenset({"bias", "scale", "negative_slope"})


def kernel_mask(params: Any) -> Any:
    """Which leaves are weights: those of rank two or more that are not named otherwise.

    Args:
        params: the parameters of one network. (A tree with a leading member axis has other ranks:
            map this function over the members instead.)

    Returns:
        A tree of the same structure with one Python bool per leaf: True for weights; False for
        biases, scales, learned slopes and everything of rank zero or one.

    Example:
        >>> params = {"Dense_0": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}
        >>> kernel_mask(params)
        {'Dense_0': {'bias': False, 'kernel': True}}
    """

    def is_kernel(path: tuple[Any, ...], leaf: Any) -> bool:
        return jnp.ndim(leaf) >= 2 and _last_name(path) not in NOT_KERNELS

    return jax.tree_util.tree_map_with_path(is_kernel, params)


def l1(params: Any, which: Which = "kernels") -> jax.Array:
    """Sum of absolute weights; its gradient at a weight of exactly zero is zero.

    Args:
        params: the parameters of one network, floating leaves.
        which: ``"kernels"``, the leaves of :func:`kernel_mask`, or ``"all"``.

    Returns:
        A float32 scalar; 0 if there is no such leaf.

    Raises:
        ValueError: unknown ``which``.

    Example:
        >>> float(l1({"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([5.0])}))
        3.0
    """
    return _total(params, which, absolute)


def l2(params: Any, which: Which = "kernels") -> jax.Array:
    """Sum of squared weights, without a factor of one half.

    The factor is that of Keras (``regularizers.L2(c)`` adds ``c * l2``). In torch,
    ``SGD(weight_decay=c)`` adds ``c * w`` to the gradient, which is the gradient of
    ``c / 2 * l2``: the same training needs half the number here.

    Args:
        params: the parameters of one network, floating leaves.
        which: ``"kernels"``, the leaves of :func:`kernel_mask`, or ``"all"``.

    Returns:
        A float32 scalar; 0 if there is no such leaf.

    Raises:
        ValueError: unknown ``which``.

    Example:
        >>> float(l2({"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([5.0])}))
        5.0
        >>> float(l2({"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([5.0])}, which="all"))
        30.0
    """
    return _total(params, which, jnp.square)


def penalty(
    params: Any,
    *,
    l1: float | jax.Array = 0.0,
    l2: float | jax.Array = 0.0,
    which: Which = "kernels",
) -> jax.Array:
    """Elastic net: ``l1 * sum |w| + l2 * sum w^2``.

    Args:
        params: the parameters of one network, floating leaves.
        l1: factor of the absolute values, a scalar, traced or not.
        l2: factor of the squares, a scalar, traced or not; see :func:`l2` for torch's half.
        which: ``"kernels"``, the leaves of :func:`kernel_mask`, or ``"all"``.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: unknown ``which``.

    Source: Zou and Hastie 2005, Regularization and variable selection via the elastic net.

    Example:
        >>> float(penalty({"kernel": jnp.array([[1.0, -2.0]])}, l1=0.5, l2=2.0))
        11.5
    """
    return l1 * _total(params, which, absolute) + l2 * _total(params, which, jnp.square)


def _total(params: Any, which: str, of: Any) -> jax.Array:
    errors.lookup("which", which, {"kernels": None, "all": None})
    chosen = kernel_mask(params) if which == "kernels" else jax.tree.map(lambda _: True, params)
    leaves = zip(jax.tree.leaves(params), jax.tree.leaves(chosen), strict=True)
    sums = [jnp.sum(of(at_least_float32(leaf))) for leaf, take in leaves if take]
    return sum(sums, start=jnp.zeros((), jnp.float32))


def _last_name(path: tuple[Any, ...]) -> str:
    if not path:
        return ""
    last = path[-1]
    # Dictionaries have keys, dataclasses names; a position in a tuple says nothing.
    return str(getattr(last, "key", getattr(last, "name", "")))
