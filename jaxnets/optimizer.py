"""What one optimizer is. The optimizers themselves are in :mod:`jaxnets.optim`."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import jax
import optax

from jaxnets import clipping, errors, hyper
from jaxnets.hyper import DECAY, NON_NEGATIVE, POSITIVE
from jaxnets.penalties import kernel_mask
from jaxnets.schedule import Schedule, as_schedule, merge

Numbers = Mapping[str, jax.Array]
Rule = Callable[[Numbers], optax.GradientTransformation]


class Options(TypedDict, total=False):
    """What every optimizer takes by keyword; None, the default, leaves a part out."""

    clip_value: float | None
    clip_norm: float | None
    clip_adaptive: float | None
    schedule: Schedule | Callable[..., Any] | None


class DecayOptions(Options, total=False):
    """Options of the optimizers whose weight decay is part of the gradient."""

    weight_decay: float | None


BOUNDS: dict[str, hyper.Interval] = {
    "learning_rate": NON_NEGATIVE,
    "momentum": DECAY,
    "decay": DECAY,
    "b1": DECAY,
    "b2": DECAY,
    "eps": NON_NEGATIVE,
    "eps_root": NON_NEGATIVE,
    "initial_accumulator_value": NON_NEGATIVE,
    "initial_scale": NON_NEGATIVE,
    "weight_decay": NON_NEGATIVE,
    "clip_value": POSITIVE,
    "clip_norm": POSITIVE,
    "clip_adaptive": POSITIVE,
}


# The optional parts in the order in which they act.
PARTS: dict[str, Callable[[jax.Array], optax.GradientTransformation]] = {
    "clip_value": optax.clip,
    "clip_norm": clipping.by_norm,
    "clip_adaptive": clipping.adaptive,
    "weight_decay": lambda factor: optax.add_decayed_weights(factor, mask=kernel_mask),
}


@dataclass(frozen=True)
class Optimizer:
    """A gradient transformation that is still a function of its numbers.

    Attributes:
        name: for messages and tables.
        structure: what the program looks like, the numbers left out; hashable. Members whose
            optimizers have equal structure share a compilation, whatever their numbers.
        defaults: names and values of all numbers.
        build: ``(**numbers) -> GradientTransformation``, given every number.
        bounds: the values that a number may take.
        label: what results call it: its name, and that of its schedule.

    Example:
        >>> from jaxnets import optim
        >>> optim.adam(clip_norm=1.0).structure == optim.adam(clip_norm=2.0).structure
        True
        >>> optim.adam(clip_norm=1.0) == optim.adam(clip_norm=2.0)
        False
        >>> transformation = optim.adam()(learning_rate=0.01)
    """

    name: str
    structure: Hashable
    defaults: tuple[tuple[str, float], ...]
    build: Callable[..., optax.GradientTransformation] = field(compare=False, repr=False)
    bounds: Mapping[str, hyper.Interval] = field(compare=False, repr=False, default_factory=dict)
    label: str = field(compare=False, repr=False, default="")

    def __post_init__(self) -> None:
        """Be called by the name, unless something better is known."""
        object.__setattr__(self, "label", self.label or self.name)

    def __call__(self, **numbers: Any) -> optax.GradientTransformation:
        """The gradient transformation for one member's numbers.

        Args:
            **numbers: scalars, traced or not; those left out have their defaults.

        Returns:
            What ``build`` makes of them: a pair of pure functions (init, update).

        Raises:
            TypeError: a value is neither a number nor an array.
            ValueError: an unknown name, a number out of bounds, an array that is not a scalar.
        """
        return self.build(**hyper.fill(self.name, dict(self.defaults), self.bounds, numbers))

    def check(self, numbers: Mapping[str, object], where: str = "") -> dict[str, float]:
        """Check concrete numbers, for example one member's, before compilation.

        Args:
            numbers: names and values.
            where: put before the message, for example ``"member 3: "``.

        Returns:
            The numbers as floats.

        Raises:
            TypeError: a value is not one concrete real number.
            ValueError: an unknown name or a value out of bounds.
        """
        return hyper.check_numbers(self.name, dict(self.defaults), self.bounds, numbers, where)


def from_optax(
    transformation: optax.GradientTransformation | Callable[..., Any], **defaults: float
) -> Optimizer:
    """An optimizer from any transformation of Optax's, or from a function that makes one, which is
    then run in at least float32.

    Args:
        transformation: a ready transformation, which then has no numbers; or a function whose
            arguments with numeric defaults are its numbers. It must accept traced scalars. Other
            arguments keep their own defaults.
        **defaults: defaults for the function's arguments that have none, or others for those that
            have.

    Returns:
        The optimizer. Only the same object with the same numbers has the same structure.

    Raises:
        TypeError: neither of the two; an argument without a default; a default that is no number.
        ValueError: a default for an argument that the function does not have.

    Example:
        >>> from_optax(optax.sgd(0.1)).defaults
        ()
        >>> from_optax(lambda learning_rate=1e-3: optax.lion(learning_rate)).defaults
        (('learning_rate', 0.001),)
        >>> from_optax(optax.lion, learning_rate=1e-4).defaults[:2]
        (('learning_rate', 0.0001), ('b1', 0.9))
    """
    if isinstance(transformation, optax.GradientTransformation):
        ready = transformation
        hyper.check_numbers("a ready transformation", {}, {}, defaults)
        return Optimizer("from_optax", ("from_optax", ready), (), lambda: ready)
    if not callable(transformation):
        raise TypeError(
            "optimizer: expected an optax.GradientTransformation or a function that makes one, "
            f"got {transformation!r:.80}."
        )
    factory, name = transformation, hyper.label(transformation)
    numbers = hyper.signature_numbers(factory, defaults)

    def build(**values: jax.Array) -> optax.GradientTransformation:
        made = factory(**values)
        if not isinstance(made, optax.GradientTransformation):
            raise TypeError(
                f"optimizer: {name} should make an optax.GradientTransformation, made {made!r:.80}."
            )
        return clipping.in_float32(made)

    structure = ("from_optax", factory, tuple(numbers))  # the program has these, and no others
    return Optimizer(name, structure, tuple(numbers.items()), build)


def assemble(
    name: str, rule: Rule, numbers: Mapping[str, float], options: Mapping[str, Any]
) -> Optimizer:
    """An optimizer from a rule and the options that all rules share.

    The order is clip_value, clip_norm, clip_adaptive, weight decay as L2, the rule, and last the
    scheduled learning rate with its sign. An option that is None is not in the program at all; one
    that is a number is in it, and the number is traced.

    Args:
        name: also the structure's, so equal only if ``rule`` is the same.
        rule: what to do with a clipped gradient; gets all numbers by name, as scalar arrays.
        numbers: the rule's own, ``learning_rate`` among them; each has its interval in ``BOUNDS``.
        options: see :class:`DecayOptions`.

    Returns:
        The optimizer.

    Raises:
        TypeError: a value is not a number, or the schedule not a function.
        ValueError: an unknown option, a number out of bounds, a name that the schedule has too.

    Example:
        >>> signs = assemble(
        ...     "signs", lambda h: optax.scale_by_sign(), {"learning_rate": 0.1}, {"clip_norm": 1}
        ... )
        >>> signs.defaults
        (('learning_rate', 0.1), ('clip_norm', 1.0))
    """
    for option in options:
        errors.lookup(f"option of {name}", option, dict.fromkeys((*PARTS, "schedule")))
    present = tuple(part for part in PARTS if options.get(part) is not None)
    given = {**numbers, **{part: options[part] for part in present}}
    bounds = {k: BOUNDS[k] for k in given}
    own = {k: hyper.check_number(k, v, bounds[k]) for k, v in given.items()}
    wanted = options.get("schedule")
    factor = None if wanted is None else as_schedule(wanted)

    def build(**h: jax.Array) -> optax.GradientTransformation:
        parts = [PARTS[part](h[part]) for part in present]
        rate = h["learning_rate"]
        if factor is None:
            last = optax.scale(-rate)
        else:
            scheduled = {k: h[k] for k, _ in factor.defaults}
            last = optax.scale_by_schedule(lambda step: -rate * factor(step, **scheduled))
        return clipping.in_float32(optax.chain(*parts, rule(h), last))

    if factor is None:
        return Optimizer(name, (name, present, None), tuple(own.items()), build, bounds)
    merged = merge(name, own, factor)
    structure = (name, present, factor.structure)
    bounds, label = {**bounds, **factor.bounds}, f"{name}, {factor.name}"
    return Optimizer(name, structure, tuple(merged.items()), build, bounds, label)
