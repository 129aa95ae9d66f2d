"""A data set: its parts, what its numbers mean, and the ways to derive one from another."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxnets.data import report
from jaxnets.data.numbers import frozen
from jaxnets.data.order import permutation
from jaxnets.data.part import Batch, Split, pair_of
from jaxnets.data.scaling import Axis, Scaling, fit_scaling

__all__ = ["Batch", "Dataset", "Split"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test rows with what is known about them.

    Nothing changes a data set: every method returns a new one. A part that is missing must be
    said to be missing (``valid=None``).

    Attributes:
        train: the training rows.
        valid: the validation rows, or None.
        test: the test rows, or None.
        name: a short name.
        classes: what the labels 0, 1, ... mean, or None.
        features: the names of the last axis of ``x``, or None.
        description: a sentence or two.
        source: where the numbers come from.
        license: under which licence.
        scaling: how ``x`` was standardised, or None.

    Raises:
        TypeError: a part that is not a ``Split``.
        ValueError: parts of different shapes or dtypes, labels outside ``classes``, or a number
            of feature names that does not fit.

    Example:
        >>> data = Dataset.from_splits(
        ...     train=([[1.0, 7.0], [3.0, 7.0]], [0, 1]), valid=None, test=([[5.0, 7.0]], [1])
        ... )
        >>> data
        Dataset('arrays': train 2, valid none, test 1; x (2,) float32; y 2 classes)
        >>> data.standardized().test.x.tolist()
        [[3.0, 0.0]]
    """

    train: Split
    valid: Split | None
    test: Split | None
    name: str = "arrays"
    classes: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    description: str = ""
    source: str = ""
    license: str = ""
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.train, Split):
            raise TypeError(f"train: expected a Split, got {type(self.train).__name__}.")
        for name in ("classes", "features"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise TypeError(f"{name}: expected a sequence of names, got the string {value!r}.")
            if value is not None:
                object.__setattr__(self, name, tuple(str(item) for item in value))
        for name, part in (("valid", self.valid), ("test", self.test)):
            if part is None:
                continue
            if not isinstance(part, Split):
                raise TypeError(f"{name}: expected a Split or None, got {type(part).__name__}.")
            for letter, ours, theirs in (
                ("x", part.x, self.train.x),
                ("y", part.y, self.train.y),
            ):
                if ours.shape[1:] != theirs.shape[1:] or ours.dtype != theirs.dtype:
                    raise ValueError(
                        f"{name}: {letter} must be like the training rows, {theirs.shape[1:]} "
                        f"{theirs.dtype} each, got {ours.shape[1:]} {ours.dtype}."
                    )
        if self.features is not None and len(self.features) != self.train.x.shape[-1]:
            raise ValueError(
                f"features: expected {self.train.x.shape[-1]} names for x of shape "
                f"{self.train.x.shape}, got {len(self.features)}."
            )
        if self.classes is not None:
            self._check_labels(len(self.classes))

    def _check_labels(self, count: int) -> None:
        if not self.is_classification:
            raise ValueError(
                f"classes: {count} names given, but y holds {self.train.y.dtype} targets, not "
                "integer labels."
            )
        for name, part in self.parts().items():
            if part.y.max() >= count:
                row = int(np.argmax(part.y.reshape(len(part), -1).max(axis=1) >= count))
                raise ValueError(
                    f"{name}: y in row {row} is {part.y[row]}, expected labels from 0 to "
                    f"{count - 1} for {count} classes."
                )

    @classmethod
    def from_splits(
        cls,
        train: tuple[Any, Any],
        *,
        valid: tuple[Any, Any] | None,
        test: tuple[Any, Any] | None,
        **about: Any,
    ) -> "Dataset":
        """A data set whose parts are given.

        Args:
            train: inputs and targets of the training rows.
            valid: those of the validation rows; None must be said.
            test: those of the test rows; None must be said.
            **about: ``name``, ``classes``, ``features``, ``description``, ``source``, ``license``.

        Returns:
            The ``Dataset``.

        Example:
            >>> Dataset.from_splits(([[1.0]], [[2.0]]), valid=None, test=None).num_classes is None
            True
        """

        def part(name: str, pair: Any) -> Split | None:
            if pair is None or isinstance(pair, Split):
                return pair
            return Split(*pair_of(name, pair), name=name)

        first = part("train", train)
        if first is None:
            raise TypeError("train: expected a pair (x, y), got None.")
        return cls(first, part("valid", valid), part("test", test), **about)

    def parts(self) -> dict[str, Split]:
        """The parts that exist, by name: ``train``, ``valid``, ``test``."""
        named = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return self.train.x.shape[1:]

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of one target: ``()`` for a label."""
        return self.train.y.shape[1:]

    @property
    def is_classification(self) -> bool:
        """Whether the targets are integer labels."""
        return self.train.y.dtype == np.int32

    @property
    def num_classes(self) -> int | None:
        """How many classes there are: named, else the largest label plus 1; None for regression."""
        if not self.is_classification:
            return None
        if self.classes is not None:
            return len(self.classes)
        return 1 + max(int(part.y.max()) for part in self.parts().values())

    def _mapped(self, change: Callable[[Split], Split], **about: Any) -> "Dataset":
        changed: dict[str, Any] = {name: change(part) for name, part in self.parts().items()}
        return dataclasses.replace(self, **changed, **about)

    def standardized(self, axis: Axis | None = None) -> "Dataset":
        """Inputs with mean 0 and deviation 1 over the training rows.

        Args:
            axis: what shares one mean and deviation, see ``fit_scaling``: ``"feature"``,
                ``"channel"`` or ``"global"``; by default per feature for ``(n, features)`` and
                global for signals and images.

        Returns:
            A new data set that records its ``scaling``. All parts are scaled by numbers of the
            training part alone. Targets that are the inputs follow them; other targets stay.

        Raises:
            ValueError: the data set is standardised already, or ``axis`` is unknown.

        Example:
            >>> data = Dataset.from_splits(([[1.0], [3.0]], [0, 1]), valid=None, test=None)
            >>> data.standardized().train.x.tolist()
            [[-1.0], [1.0]]
        """
        if self.scaling is not None:
            raise ValueError("standardized: this data set is standardised already, see .scaling.")
        scaling = fit_scaling(self.train.x, axis)

        def change(part: Split) -> Split:
            with np.errstate(over="ignore"):  # Split names the number that does not fit
                x = frozen(scaling.apply(part.x))
            return Split(x, x if part.reconstructs else part.y, name=part.name)

        return self._mapped(change, scaling=scaling)

    def reconstruction(self) -> "Dataset":
        """The same inputs with themselves as targets, for autoencoders.

        Returns:
            A data set in which ``y`` is the very array ``x`` in every part; no memory is added.

        Example:
            >>> data = Dataset.from_splits(([[1.0], [3.0]], [0, 1]), valid=None, test=None)
            >>> part = data.reconstruction().train
            >>> part.y is part.x
            True
        """
        return self._mapped(lambda part: Split(part.x, part.x, name=part.name), classes=None)

    def with_random_labels(self, key: jax.Array) -> "Dataset":
        """Training targets in a random order, so that they say nothing about their inputs.

        Args:
            key: a typed key.

        Returns:
            A data set whose training targets are permuted (each class keeps its count);
            validation and test stay.

        Example:
            >>> data = Dataset.from_splits(([[1.0], [3.0]], [0, 1]), valid=None, test=None)
            >>> sorted(data.with_random_labels(jax.random.key(0)).train.y.tolist())
            [0, 1]
        """
        order = permutation(_given(key), len(self.train), "with_random_labels")
        train = Split(self.train.x, frozen(self.train.y[order]), name=self.train.name)
        return dataclasses.replace(self, train=train)

    def permuted_features(self, key: jax.Array) -> "Dataset":
        """The positions of every input in one fixed random order: neighbourhood destroyed.

        Args:
            key: a typed key.

        Returns:
            A data set with the same order for all rows of all parts. Features of ``(n, features)``
            are permuted; of signals and images ``(n, ..., channels)`` the positions, channels
            staying together. Names, scaling and targets that are the inputs follow.

        Example:
            >>> data = Dataset.from_splits(([[1.0, 2.0, 3.0]], [0]), valid=None, test=None)
            >>> sorted(data.permuted_features(jax.random.key(0)).train.x[0].tolist())
            [1.0, 2.0, 3.0]
        """
        shape = self.input_shape
        positions = shape if len(shape) == 1 else shape[:-1]
        order = permutation(_given(key), int(np.prod(positions)), "permuted_features")

        def move(array: Any) -> Any:
            lead = array.shape[: array.ndim - len(shape)]
            flat = array.reshape(*lead, len(order), *shape[len(positions) :])
            return frozen(np.take(flat, order, axis=len(lead)).reshape(array.shape))

        def change(part: Split) -> Split:
            x = move(part.x)
            return Split(x, x if part.reconstructs else part.y, name=part.name)

        scaling, features = self.scaling, self.features
        if scaling is not None and scaling.mean.shape == shape:  # one number per feature
            scaling = Scaling(move(scaling.mean), move(scaling.std), scaling.axis)
        if features is not None and len(shape) == 1:
            features = tuple(features[i] for i in order)
        return self._mapped(change, scaling=scaling, features=features)

    def subset(self, n: int, key: jax.Array | None = None) -> "Dataset":
        """Fewer training rows; validation and test stay.

        Args:
            n: how many, from 1 to all.
            key: a typed key to draw them at random (nested: the rows for a smaller ``n`` are among
                those for a larger one); None takes the first ``n`` in file order.

        Returns:
            The smaller data set. A ``scaling`` stays as it was fitted, and so does the number of
            classes (as names "0", "1", ..., where the rows left over do not tell it).

        Raises:
            TypeError: ``n`` is not an integer.
            ValueError: ``n`` is not between 1 and the number of training rows.

        Example:
            >>> data = Dataset.from_splits(([[1.0], [3.0]], [0, 1]), valid=None, test=None)
            >>> len(data.subset(1).train)
            1
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"n: expected an integer, got {n!r}.")
        if not 1 <= n <= len(self.train):
            raise ValueError(f"n: expected 1 to {len(self.train)} training rows, got {n}.")
        rows = np.arange(n) if key is None else permutation(key, len(self.train), "subset")[:n]
        fewer = dataclasses.replace(self, train=self.train.take(rows))
        count = self.num_classes
        if fewer.num_classes == count or count is None:
            return fewer
        return dataclasses.replace(fewer, classes=tuple(map(str, range(count))))

    def fingerprint(self) -> str:
        """SHA-256 over the names, dtypes, shapes and bytes of all arrays, as 64 hex digits.

        Class names, description and licence do not enter: equal numbers have equal fingerprints.
        """
        return report.fingerprint(self)

    def __repr__(self) -> str:
        return report.short(self)

    def describe(self) -> str:
        """A few lines for a person: sizes, ranges, class counts, source, licence, fingerprint."""
        return report.long(self)


def _given(key: jax.Array | None) -> jax.Array:
    """A key that must be there: None means a constant only where a source says so."""
    if key is None:
        raise TypeError("key: expected a typed key such as jax.random.key(0), got None.")
    return key
