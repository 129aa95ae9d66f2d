"""Members on their way: their states on the host, and as arrays with names."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxnets import rng
from jaxnets.population.lanes import Lanes
from jaxnets.population.plan import Program
from jaxnets.population.program import init_function
from jaxnets.population.spec import Spec
from jaxnets.train import Fault, Run

SECONDS, HISTORY = "seconds", "history"


@dataclass(frozen=True)
class Rows:
    """Some members of one group, on the host.

    Attributes:
        places: int ``(members,)``, their places in the group.
        reached: int ``(members,)``, how far they have come: epochs, or steps where training rows
            stay on the disk. Of one that has stopped, up to the record that stopped it; of a
            diverged one, up to the first record that it did not make.
        run: their `jaxnets.train.Run`, every leaf with a leading axis of members; keys as words.
        history: float32 ``(members, records)`` by name; NaN where there is none.
        seconds: float64 ``(members,)``, the share of each in the time of training.
    """

    places: np.ndarray
    reached: np.ndarray
    run: Run
    history: Mapping[str, np.ndarray]
    seconds: np.ndarray

    @property
    def active(self) -> np.ndarray:
        """Bool ``(members,)``: which of them still train."""
        return np.asarray((self.run.train.fault == Fault.NONE) & ~self.run.stopped)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves((self.run, dict(self.history))))

    def take(self, chosen: Sequence[int] | np.ndarray) -> "Rows":
        """Some of the members, in this order."""
        index = np.asarray(chosen, np.int64)
        run, history = jax.tree.map(lambda a: a[index], (self.run, dict(self.history)))
        return Rows(self.places[index], self.reached[index], run, history, self.seconds[index])


def join(parts: Sequence[Rows]) -> Rows:
    """All members of several, one after the other; short histories are filled up with NaN."""
    longest = max(array.shape[1] for part in parts for array in part.history.values())
    histories = [{k: filled(v, longest) for k, v in part.history.items()} for part in parts]
    run, history = (
        jax.tree.map(lambda *a: np.concatenate(a), *trees)
        for trees in ([part.run for part in parts], histories)
    )
    return Rows(
        places=np.concatenate([part.places for part in parts]),
        reached=np.concatenate([part.reached for part in parts]),
        run=run,
        history=history,
        seconds=np.concatenate([part.seconds for part in parts]),
    )


def filled(history: np.ndarray, records: int) -> np.ndarray:
    """``(members, records)``: cut off, or filled up with NaN."""
    missing = max(0, records - history.shape[1])
    return np.pad(history[:, :records], ((0, 0), (0, missing)), constant_values=np.nan)


def to_host(tree: Any, at: np.ndarray) -> Any:
    """The members at these places of what is on the devices, copied; typed keys as words.

    A copy even on a CPU: there an array would share memory with a buffer that is used again.
    """
    return jax.tree.map(lambda a: np.asarray(a)[at], jax.device_get(_words(tree)))


def typed(words: Any, like: Any) -> Any:
    """What `to_host` made, with keys again where ``like`` has them."""
    return jax.tree.map(lambda a, leaf: _key(leaf.dtype)(a) if is_key(leaf) else a, words, like)


def _words(tree: Any) -> Any:
    return jax.tree.map(lambda a: jax.random.key_data(a) if is_key(a) else a, tree)


def is_key(leaf: Any) -> bool:
    """Whether this is an array of typed keys (an optimizer may carry one)."""
    return bool(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key))


class Layout:
    """The names, shapes and dtypes of the states of one group.

    Args:
        spec: the population.
        program: of the group.
    """

    def __init__(self, spec: Spec, program: Program) -> None:
        recipe, names = program.group.recipe, program.group.names
        lane = Lanes(
            jax.ShapeDtypeStruct((len(rng.Stream),), np.uint32),
            {name: jax.ShapeDtypeStruct((), np.float32) for name in names},
        )
        x = jax.ShapeDtypeStruct((1, *spec.data.input_shape), np.float32)
        run = jax.eval_shape(init_function(recipe), lane, rng.abstract_key(), x)
        self._words = jax.eval_shape(_words, run)
        paths = jax.tree_util.tree_leaves_with_path(self._words)
        self._names = [f"{place:03d}.{_text(path)}" for place, (path, _) in enumerate(paths)]
        self._records = {
            name: f"{HISTORY}.{place:02d}.{_safe(name)}"
            for place, name in enumerate(recipe.records(spec.data.valid is not None))
        }

    def pack(self, rows: Rows) -> dict[str, np.ndarray]:
        """The rows as named arrays; a leaf without entries is left out."""
        arrays = dict(zip(self._names, jax.tree.leaves(rows.run), strict=True))
        arrays |= {self._records[name]: array for name, array in rows.history.items()}
        arrays[SECONDS] = rows.seconds
        return {name: array for name, array in arrays.items() if array.size}

    def unpack(
        self, arrays: Mapping[str, np.ndarray], places: np.ndarray, reached: np.ndarray
    ) -> Rows:
        """What `pack` made, as rows again.

        Raises:
            ValueError: an array is missing or is not like the group's.
        """
        count = len(reached)

        def find(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
            if 0 in shape:
                return np.zeros(shape, dtype)
            array = arrays.get(name)
            if array is None or array.shape != shape or array.dtype != dtype:
                got = "none" if array is None else f"{array.shape} {array.dtype}"
                raise ValueError(f"{name}: expected {shape} {dtype}, got {got}")
            return array

        leaves = [
            find(name, (count, *leaf.shape), leaf.dtype)
            for name, leaf in zip(self._names, jax.tree.leaves(self._words), strict=True)
        ]
        stored = [arrays[name] for name in self._records.values() if name in arrays]
        records = stored[0].shape[-1] if stored else 0
        return Rows(
            places=places,
            reached=reached,
            run=jax.tree.unflatten(jax.tree.structure(self._words), leaves),
            history={
                name: find(stored, (count, records), np.float32)
                for name, stored in self._records.items()
            },
            seconds=find(SECONDS, (count,), np.float64),
        )


def _key(dtype: Any) -> Callable[[Any], jax.Array]:
    """From words to keys of this dtype."""
    for impl in ("threefry2x32", "rbg", "unsafe_rbg"):
        if jax.eval_shape(lambda impl=impl: jax.random.key(0, impl=impl)).dtype == dtype:
            return lambda words: jax.random.wrap_key_data(words, impl=impl)
    raise TypeError(f"a state holds keys of an unknown generator: {dtype}.")


def _text(path: tuple[Any, ...]) -> str:
    return _safe(jax.tree_util.keystr(path, simple=True, separator="."))


def _safe(text: str) -> str:
    """Without what means something in a path."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)
