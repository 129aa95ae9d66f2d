"""The fields that many modules have in common, checked in one place."""

from collections.abc import Callable, Iterable

from flax import linen as nn

from jaxnets.nn import checks
from jaxnets.nn.activations import ACTIVATIONS
from jaxnets.nn.conv_cost import METHODS
from jaxnets.nn.initializers import BIAS_INITIALIZERS, KERNEL_INITIALIZERS
from jaxnets.nn.norm import NORMS

NAMES_OR_FUNCTIONS: dict[str, Iterable[str]] = {
    "activation": ACTIVATIONS,
    "code_activation": ACTIVATIONS,
    "output_activation": ACTIVATIONS,
    "kernel_init": KERNEL_INITIALIZERS,
    "bias_init": BIAS_INITIALIZERS,
}
"""Fields that are a name or a function, and the names they know."""

NAMES: dict[str, Iterable[str | None]] = {"norm": NORMS, "method": METHODS}
"""Fields that are a name, and the names they know."""

YES_OR_NO = ("preactivation", "use_bias")
"""Fields that are true or false; any text would be true."""

NORMAL_FORMS: dict[str, Callable[[str, object], object]] = {
    "dropout_rate": checks.rate,
    "dropconnect_rate": checks.rate,
    "branch_scale": checks.number,
    "noise_scale": lambda argument, value: checks.number(argument, value, minimum=0.0),
    "dtype": checks.dtype,
}
"""Fields with a normal form, and what checks them and gives it."""


def check_fields(module: nn.Module) -> None:
    """Checks those of the common fields that ``module`` has, and gives them their normal form.

    For ``__post_init__`` of the modules of this package, before Linen's own; it may be called
    any number of times.

    Args:
        module: a module that Linen has not yet initialised; it is changed in place.

    Raises:
        TypeError: a field of the wrong type.
        ValueError: a field out of range, or an unknown name.

    Example:
        >>> from jaxnets.nn.dense import Dense
        >>> Dense(3, kernel_init="he_norml")
        Traceback (most recent call last):
        ...
        ValueError: kernel_init: unknown name 'he_norml'. Did you mean 'he_normal'? Known: ...
    """
    for field, names in NAMES_OR_FUNCTIONS.items():
        if hasattr(module, field) and not callable(getattr(module, field)):
            checks.name(field, getattr(module, field), names)
    for field, known in NAMES.items():
        if hasattr(module, field):
            checks.name(field, getattr(module, field), known)
    for field in YES_OR_NO:
        if hasattr(module, field) and not isinstance(getattr(module, field), bool):
            raise TypeError(f"{field}: expected True or False, got {getattr(module, field)!r}.")
    for field, check in NORMAL_FORMS.items():
        if hasattr(module, field):
            object.__setattr__(module, field, check(field, getattr(module, field)))
