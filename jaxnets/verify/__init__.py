"""The laws, checked on the machine at hand: what ``jaxnets verify`` does.

==================  =================================================================
file                what is in it
==================  =================================================================
finding             what a check found
comparison          everything that came out for a member, and how far two of them are apart
problem             the small population that is trained over and over
context             on which devices, with which training function
child               the same training in a fresh process
plain               a loop written with Flax and Optax alone
laws                laws 1, 2, 3 and 5, and what holds between numbers of devices
continuation        law 4: killed, stopped, extended
checks              all of them, on one number of devices after the other
report              the table, and the file
command             the command line
==================  =================================================================

Every check takes the training function as an argument: `jaxnets.fit`, or one with a defect, which
is how the tests know that the checks would find one.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnets.verify.checks import LAWS, device_counts, verify
    from jaxnets.verify.command import Verify
    from jaxnets.verify.comparison import Comparison, Outcome, compare, outcomes
    from jaxnets.verify.context import Context
    from jaxnets.verify.finding import Finding

# Nothing is imported before it is used: the command line shows its help without JAX.
_NAMES = {
    "LAWS": "checks",
    "Comparison": "comparison",
    "Context": "context",
    "Finding": "finding",
    "Outcome": "comparison",
    "Verify": "command",
    "compare": "comparison",
    "device_counts": "checks",
    "outcomes": "comparison",
    "verify": "checks",
}

__all__ = [
    "LAWS",
    "Comparison",
    "Context",
    "Finding",
    "Outcome",
    "Verify",
    "compare",
    "device_counts",
    "outcomes",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
