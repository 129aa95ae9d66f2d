"""Questions answered by populations: shapes of equal size, statistics over seeds, a study.

==================  =================================================================
file                what is in it
==================  =================================================================
shapes              widths at which networks of different depths are equally large
statistics          means with Student's intervals, paired differences, epochs to a goal
question            the question, as numbers and names
selection           the learning rate of each shape, chosen on validation
depth_width         data, plan, training, continuing
summarize           from trained members to numbers
report, tables      from numbers to tables and sentences
figures             the figure
session             one sitting: what the folder holds, what is trained, what is written
measure             accuracy or squared error, and data made ready for it
==================  =================================================================
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnets.study.depth_width import Study, prepare, run
    from jaxnets.study.question import DepthWidth
    from jaxnets.study.report import Report
    from jaxnets.study.shapes import equal_parameters, mlp_parameters
    from jaxnets.study.statistics import Estimate, epochs_to, mean_interval, paired_difference

# Nothing is imported before it is used: the command line writes down a question without JAX.
_NAMES = {
    "DepthWidth": "question",
    "Estimate": "statistics",
    "Report": "report",
    "Study": "depth_width",
    "epochs_to": "statistics",
    "equal_parameters": "shapes",
    "mean_interval": "statistics",
    "mlp_parameters": "shapes",
    "paired_difference": "statistics",
    "prepare": "depth_width",
    "run": "depth_width",
}

__all__ = [
    "DepthWidth",
    "Estimate",
    "Report",
    "Study",
    "epochs_to",
    "equal_parameters",
    "mean_interval",
    "mlp_parameters",
    "paired_difference",
    "prepare",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
