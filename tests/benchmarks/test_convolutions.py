"""What the cost model takes for the fastest way, beside what was recorded."""

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks.convolutions import LAYERS
from benchmarks.record import RESULTS
from jaxnets.nn.conv_cost import choose

Ways = dict[str, float]


@pytest.fixture(scope="module")
def recorded() -> dict[tuple[str, str], Ways]:
    """Milliseconds of every way that was measured, by layer and by what was computed."""
    rows = json.loads((RESULTS / "convolutions.json").read_text())["rows"]
    found: dict[tuple[str, str], Ways] = defaultdict(dict)
    for row in rows:
        found[row["layer"], row["wanted"]][row["method"]] = row["measured_ms"]
    return found


@pytest.mark.parametrize("network", ["LeNet", "MNIST-1D", "ResNet"])
def test_the_choices_are_nearly_the_fastest_that_were_measured(recorded, network):
    chosen = best = 0.0
    for (layer, wanted), ways in recorded.items():
        if layer.startswith(network):
            chosen += ways[str(choose(wanted, *LAYERS[layer]))]
            best += min(ways.values())
    assert best > 0 and chosen < 1.15 * best


def test_every_layer_was_measured(recorded):
    assert {layer for layer, _ in recorded} == set(LAYERS)
    assert len(recorded) == 3 * len(LAYERS)
