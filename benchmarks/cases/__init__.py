"""The cases by name. Each has ``title``, ``run(settings) -> result`` and ``table(result)``."""

from typing import Any, Protocol

from rich.table import Table

from benchmarks.cases import cold_start, comparisons, roofline, scale, sweep
from benchmarks.cases.settings import Settings


class Case(Protocol):
    """What a case is."""

    @property
    def title(self) -> str:
        """One line."""

    def run(self, settings: Settings) -> dict[str, Any]:
        """Measure; the result as JSON knows it."""

    def table(self, result: dict[str, Any]) -> Table:
        """For a terminal."""


CASES: dict[str, Case] = {
    "small-mlp": comparisons.SMALL_MLP,
    "mnist1d-mlp": comparisons.MNIST1D_MLP,
    "lenet": comparisons.LENET,
    "mnist1d-cnn": comparisons.CNN1D,
    "resnet20": comparisons.RESNET20,
    "sweep": sweep.Sweep(),
    "depth-width": roofline.Roofline(),
    "cold-start": cold_start.ColdStart(),
    "scale": scale.Scale(),
}
