"""Everything that came out for a member, and how far two of them are apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.population import Runs

Outcome = Mapping[str, np.ndarray]
"""Arrays by name: ``params/...``, ``collections/...`` and ``history/...``."""


def outcomes(runs: Runs) -> list[Outcome]:
    """What came out for every member: kept weights, collections, curves, where it ended and why.

    Args:
        runs: a trained population.

    Returns:
        One outcome per member, in their order.

    Example:
        >>> import jax, jaxnets as jn
        >>> data = jn.data.Dataset.from_splits(([[0.0], [1.0]], [0, 1]), valid=None, test=None)
        >>> runs = jn.fit(jax.random.key(0), data, jn.nn.MLP([], outputs=2),
        ...               loss="softmax_cross_entropy", batch_size=2, epochs=1)
        >>> sorted(outcomes(runs)[0])[-2:]
        ['params/Dense_0/bias', 'params/Dense_0/kernel']
    """
    histories = [
        {
            f"history/{name}": np.asarray(values.values[index])
            for name, values in runs.history.data_vars.items()
        }
        for index in range(len(runs))
    ]
    return [
        {**named("params", one.params), **named("collections", one.collections), **history}
        for one, history in zip((runs[index] for index in range(len(runs))), histories, strict=True)
    ]


def named(part: str, tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree by path.

    Example:
        >>> named("params", {"dense": {"bias": np.zeros(2)}})
        {'params/dense/bias': array([0., 0.])}
    """
    return {
        "/".join([part, *(str(getattr(key, "key", key)) for key in path)]): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@dataclass(frozen=True)
class Comparison:
    """How far pairs of outcomes are apart.

    Attributes:
        members: how many pairs.
        arrays: how many pairs of arrays.
        largest: the largest difference, absolute or relative as asked; infinite where shapes,
            names or what is finite differ.
        where: the pair and the array where it was found; empty if all bits are the same (a NaN
            is like any other).
    """

    members: int
    arrays: int
    largest: float
    where: str

    @property
    def same(self) -> bool:
        """Whether every bit was the same."""
        return not self.where

    def __add__(self, other: "Comparison") -> "Comparison":
        worse = other if (other.largest, not other.same) > (self.largest, not self.same) else self
        return Comparison(
            self.members + other.members, self.arrays + other.arrays, worse.largest, worse.where
        )


NOTHING = Comparison(0, 0, 0.0, "")
"""Where comparing begins."""


def compare(label: str, ours: Outcome, theirs: Outcome, *, relative: bool = False) -> Comparison:
    """Compare two outcomes array by array.

    Args:
        label: names the pair.
        ours: one.
        theirs: the other; differences are relative to it.
        relative: divide by the largest absolute value among the arrays of the same part
            (``params``, ...), rather than by 1.

    Returns:
        What was found.

    Example:
        >>> a, b = {"params/w": np.float32([1.0, 2.0])}, {"params/w": np.float32([1.0, 2.5])}
        >>> compare("twice", a, b, relative=True)
        Comparison(members=1, arrays=1, largest=0.2, where='twice: params/w')
        >>> compare("twice", a, a).same
        True
    """
    if set(ours) != set(theirs):
        only = ", ".join(sorted(set(ours) ^ set(theirs)))
        return Comparison(1, len(theirs), float("inf"), f"{label}: only one of them has {only}")
    scales = _scales(theirs) if relative else {}
    found = [(name, _apart(ours[name], theirs[name])) for name in theirs]
    largest, where = 0.0, ""
    for name, distance in found:
        if distance is None:
            continue
        distance = distance / scales.get(_part(name), 1.0)
        if not where or distance > largest:
            largest, where = distance, f"{label}: {name}"
    return Comparison(1, len(found), largest, where)


def compare_all(
    what: str,
    names: Sequence[str],
    ours: Sequence[Outcome],
    theirs: Sequence[Outcome],
    *,
    relative: bool = False,
) -> Comparison:
    """Compare member by member; a member that is missing is a difference.

    Args:
        what: says what ``ours`` are.
        names: of the members.
        ours: their outcomes.
        theirs: those that they are compared with.
        relative: see `compare`.

    Returns:
        What was found.

    Example:
        >>> compare_all("again", ["a", "b"], [{}], [{}, {}])
        Comparison(members=2, arrays=0, largest=inf, where='again: 1 of 2 members')
    """
    if len(ours) != len(theirs):
        where = f"{what}: {len(ours)} of {len(theirs)} members"
        return Comparison(len(theirs), 0, float("inf"), where)
    found = NOTHING
    for name, a, b in zip(names, ours, theirs, strict=True):
        found += compare(f"{what}: {name}", a, b, relative=relative)
    return found


def _part(name: str) -> str:
    part = name.partition("/")[0]
    return name if part == "history" else part  # accuracy and loss have nothing in common


def _scales(outcome: Outcome) -> dict[str, float]:
    scales: dict[str, float] = {}
    for name, array in outcome.items():
        real = jnp.issubdtype(array.dtype, jnp.floating)
        finite = np.abs(array[np.isfinite(array)]) if real else np.zeros(0)
        if finite.size:
            scales[_part(name)] = max(scales.get(_part(name), 0.0), float(finite.max()))
    return {part: scale or 1.0 for part, scale in scales.items()}


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """The largest absolute difference; ``None`` if every bit is the same."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return float("inf")
    if ours.tobytes() == theirs.tobytes():
        return None
    if jnp.issubdtype(ours.dtype, jnp.floating) and ours.dtype.kind != "f":  # bfloat16
        ours, theirs = ours.astype(np.float32), theirs.astype(np.float32)
    if ours.dtype.kind not in "fiub":
        return float("inf")
    if ours.dtype.kind == "f":
        nan = np.isnan(ours) & np.isnan(theirs)
        if np.array_equal(np.signbit(ours) | nan, np.signbit(theirs) | nan) and np.array_equal(
            ours, theirs, equal_nan=True
        ):
            return None  # the payloads of NaNs
        finite = np.isfinite(ours) & np.isfinite(theirs)
        if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
            return float("inf")  # NaN is not infinity, nor is one infinity the other
        ours, theirs = ours[finite], theirs[finite]
    apart = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    # Different bits of equal numbers: the sign of a zero.
    return float(apart.max(initial=0.0)) or float(np.finfo(np.float32).smallest_subnormal)
