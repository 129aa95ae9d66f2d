"""Convolution as one primitive that knows its own derivatives.

``sum(gy * convolve(x, kernel))`` is linear in each of its three arrays. Its gradients, with respect
to ``gy`` (the convolution itself), to ``x`` and to the kernel, are bilinear in the two others; and
each of these three functions has the other two as its derivatives. So one primitive with a word for
what is wanted is closed under differentiation, forward and backward, any number of times, and each
of the three can be computed in the way that is best for it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxnets.nn import conv_banded, conv_lax, conv_mec, conv_onednn, conv_patches, conv_winograd
from jaxnets.nn.conv_cost import Method
from jaxnets.nn.geometry import Geometry

ROLES = ("input", "kernel", "output")
"""The three arrays, in the order in which they are arguments: ``x`` of shape ``(batch, height,
width, channels)``, the kernel ``(*window, channels, features)``, ``gy`` ``(batch, *out,
features)``."""

FORMS: dict[str, Callable[..., jax.Array]] = {
    "lax input": conv_lax.input_gradient,
    "lax kernel": conv_lax.kernel_gradient,
    "lax output": conv_lax.output,
    "patches input": conv_patches.input_gradient,
    "patches kernel": conv_patches.kernel_gradient,
    "patches output": conv_patches.output,
    "mec input": conv_mec.input_gradient,
    "mec kernel": conv_mec.kernel_gradient,
    "mec output": conv_mec.output,
    "banded input": conv_banded.input_gradient,
    "banded kernel": conv_banded.kernel_gradient,
    "banded output": conv_banded.output,
    "winograd input": conv_winograd.input_gradient,
    "winograd kernel": conv_winograd.kernel_gradient,
    "winograd output": conv_winograd.output,
    "onednn input": conv_onednn.input_gradient,
    "onednn kernel": conv_onednn.kernel_gradient,
    "onednn output": conv_onednn.output,
}
"""What computes which of the three from the two others."""

Methods = tuple[Method, ...]
"""The method for each of ``ROLES``."""

trilinear_p = Primitive("trilinear")


def trilinear(
    wanted: str, a: jax.Array, b: jax.Array, *, geometry: Geometry, methods: Methods,
    precision: str | None = None,
) -> jax.Array:  # fmt: skip
    """The gradient of ``sum(gy * convolve(x, kernel))`` with respect to one of the three.

    Args:
        wanted: one of ``ROLES``.
        a: the first of the two other arrays, in the order of ``ROLES``.
        b: the second, of the same dtype.
        geometry: of the convolution.
        methods: what computes each of the three.
        precision: of matrix products; ``None``: what ``jax.default_matmul_precision`` says now.

    Returns:
        The array that was wanted.

    Example:
        >>> g = Geometry((1, 4), (1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))
        >>> x, kernel = jnp.arange(4.0).reshape(1, 1, 4, 1), jnp.ones((1, 2, 1, 1))
        >>> y = trilinear("output", x, kernel, geometry=g, methods=(Method("lax"),) * 3)
        >>> y.ravel().tolist()
        [1.0, 3.0, 5.0]
    """
    a, b = _alike(a, b), _alike(b, a)
    # Known now: what it is made of is traced when it is compiled, perhaps with other settings.
    precision = precision or jax.config.values["jax_default_matmul_precision"]
    return trilinear_p.bind(
        a, b, wanted=wanted, geometry=geometry, methods=methods, precision=precision
    )


def _alike(a: jax.Array, b: jax.Array) -> jax.Array:
    """Within ``shard_map``: ``a`` marked as varying over all axes that ``b`` varies over."""
    missing = _varying(b) - _varying(a)
    return lax.pcast(a, tuple(missing), to="varying") if missing else a


def _varying(x: jax.Array) -> frozenset[str]:
    kind = jax.typeof(x)  # JAX has moved the set of names from one version to the next
    names: frozenset[str] = getattr(
        kind, "vma", getattr(getattr(kind, "manual_axis_type", None), "varying", frozenset())
    )
    return names


def others(wanted: str) -> tuple[str, str]:
    """The two roles that are given when ``wanted`` is computed."""
    first, second = (role for role in ROLES if role != wanted)
    return first, second


def _compute(
    a: jax.Array, b: jax.Array, *, wanted: str, geometry: Geometry, methods: Methods,
    precision: str | None,
) -> jax.Array:  # fmt: skip
    method = methods[ROLES.index(wanted)]
    form = FORMS[f"{method.name} {wanted}"]
    with jax.default_matmul_precision(precision):
        return form(a, b, geometry, method.block) if method.block else form(a, b, geometry)


def _abstract(a: Any, b: Any, *, wanted: str, geometry: Geometry, **_: Any) -> Any:
    if wanted == "output":
        shape: tuple[int, ...] = (a.shape[0], *geometry.out, b.shape[3])
    elif wanted == "input":
        shape = (b.shape[0], *geometry.size, a.shape[2])
    else:
        shape = (*geometry.window, a.shape[3], b.shape[3])
    return a.update(shape=shape, dtype=jnp.result_type(a, b))


def _transpose(which: int) -> Callable[..., jax.Array]:
    """The derivative with respect to the first or the second operand."""

    def rule(cotangent: jax.Array, a: Any, b: Any, *, wanted: str, **how: Any) -> jax.Array:
        given = dict(zip(others(wanted), (a, b), strict=True)) | {wanted: cotangent}
        sought = others(wanted)[which]
        first, second = (given[role] for role in others(sought))
        return trilinear(sought, first, second, **how)

    return rule


SHARED = {
    frozenset(("input", "output")): {"input": 0, "output": 0},  # examples
    frozenset(("input", "kernel")): {"input": 3, "kernel": 2},  # channels
    frozenset(("kernel", "output")): {"kernel": 3, "output": 3},  # features
}
"""The axis that two of the three have in common: more examples, channels or features are one
larger convolution."""


def _batched(
    operands: Sequence[jax.Array], dims: Sequence[int | None], *, wanted: str, **how: Any
) -> tuple[jax.Array, int]:
    """Over members: one larger convolution if only one operand differs, else one by one.

    XLA would make a grouped convolution of them, which is slower than each alone.
    """
    mapped = {i: dim for i, dim in enumerate(dims) if dim is not None}
    if len(mapped) == 2:
        a, b = (jnp.moveaxis(operands[i], dim, 0) for i, dim in mapped.items())
        return lax.map(lambda pair: trilinear(wanted, *pair, **how), (a, b)), 0
    ((which, dim),) = mapped.items()
    role = others(wanted)[which]
    axes = SHARED[frozenset((role, wanted))]
    arrays = list(operands)
    x = jnp.moveaxis(arrays[which], dim, axes[role])
    members = x.shape[axes[role]]
    arrays[which] = x.reshape(*x.shape[: axes[role]], -1, *x.shape[axes[role] + 2 :])
    y = trilinear(wanted, *arrays, **how)
    at = axes[wanted]
    return y.reshape(*y.shape[:at], members, -1, *y.shape[at + 1 :]), at


HOW = ("wanted", "geometry", "methods", "precision")
trilinear_p.def_impl(jax.jit(_compute, static_argnames=HOW))
trilinear_p.def_abstract_eval(_abstract)
ad.defbilinear(trilinear_p, _transpose(0), _transpose(1))
mlir.register_lowering(trilinear_p, mlir.lower_fun(_compute, multiple_results=False))
batching.primitive_batchers[trilinear_p] = _batched
