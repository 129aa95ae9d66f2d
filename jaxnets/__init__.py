"""Train a whole population of neural networks as one pure function of one key.

>>> import jaxnets as jn
>>> members = jn.grid(network=jn.nn.MLP([8], outputs=2), learning_rate=[1e-3, 1e-2], seed=range(4))
>>> len(members)
8
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnets import data, losses, metrics, nn, optim, penalties, rng, schedules, study, train
    from jaxnets.compilation import use_compilation_cache
    from jaxnets.devices import use_all_cores
    from jaxnets.network import Network, as_network, from_linen
    from jaxnets.population import (
        Member,
        Plan,
        Runs,
        Trained,
        fit,
        grid,
        make_plan,
        make_spec,
        member,
    )
    from jaxnets.train import make_train

__version__ = "0.1.0"

# Nothing is imported before it is used: the command line can show its help, and configure the
# devices, before JAX is loaded.
_MODULES = (
    "data", "losses", "metrics", "nn", "optim", "penalties", "population", "rng", "schedules",
    "study", "train",
)  # fmt: skip
_NAMES = {
    "Member": "population",
    "Network": "network",
    "Plan": "population",
    "Runs": "population",
    "Trained": "population",
    "as_network": "network",
    "fit": "population",
    "from_linen": "network",
    "grid": "population",
    "make_plan": "population",
    "make_spec": "population",
    "make_train": "train",
    "member": "population",
    "use_all_cores": "devices",
    "use_compilation_cache": "compilation",
}

__all__ = [
    "Member",
    "Network",
    "Plan",
    "Runs",
    "Trained",
    "as_network",
    "data",
    "fit",
    "from_linen",
    "grid",
    "losses",
    "make_plan",
    "make_spec",
    "make_train",
    "member",
    "metrics",
    "nn",
    "optim",
    "penalties",
    "rng",
    "schedules",
    "study",
    "train",
    "use_all_cores",
    "use_compilation_cache",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"jaxnets.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"jaxnets.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jaxnets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
