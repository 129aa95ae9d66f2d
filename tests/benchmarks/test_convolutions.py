"""What the cost model takes for the fastest way, beside what was recorded."""

import sys
from collections import defaultdict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks.convolutions import LAYERS, USES, milliseconds
from benchmarks.record import read
from jaxnets.devices import traced_for
from jaxnets.nn import conv_onednn
from jaxnets.nn.conv_cost import choose

Ways = dict[str, float]


RECORDED = {
    name: found["convolutions"] for name, found in read().items() if "convolutions" in found
}


def recorded(machine: str) -> dict[tuple[str, str], Ways]:
    """Milliseconds of every way that was measured, by layer and by what was computed."""
    found: dict[tuple[str, str], Ways] = defaultdict(dict)
    for row in RECORDED[machine]["rows"]:
        found[row["layer"], row["wanted"]][row["method"]] = row["measured_ms"]
    return found


@pytest.mark.parametrize("machine", RECORDED)
@pytest.mark.parametrize("network", ["LeNet", "MNIST-1D", "ResNet"])
def test_the_choices_are_nearly_the_fastest_that_were_measured(machine, network, monkeypatch):
    """Among the ways that there were when it was measured."""
    chosen = best = 0.0
    found = recorded(machine)
    if not any("onednn" in ways for ways in found.values()):
        monkeypatch.setattr(conv_onednn, "missing", lambda: "measured without it")
    else:
        monkeypatch.setattr(conv_onednn, "missing", lambda: "")
    for (layer, wanted), ways in found.items():
        if layer.startswith(network):
            with traced_for("cpu"):
                chosen += ways[str(choose(wanted, *LAYERS[layer]))]
            best += min(ways.values())
    assert best > 0 and chosen < 1.15 * best


@pytest.mark.parametrize("machine", RECORDED)
def test_every_layer_was_measured(machine):
    found = recorded(machine)
    assert {layer for layer, _ in found} == set(LAYERS)
    assert len(found) == 3 * len(LAYERS)


def test_the_convolutions_of_a_step_are_added_up():
    """Each in the chosen way, as often as a step has it; the first needs no gradient of inputs."""
    rows = [
        {"layer": layer, "wanted": role, "chosen": chosen, "measured_ms": ms * factor}
        for layer, ms in (("LeNet_1", 1.0), ("LeNet_2", 10.0))
        for role in ("input", "kernel", "output")
        for chosen, factor in ((True, 1.0), (False, 0.1))
    ]
    assert milliseconds("lenet", {"rows": rows}) == 2 * 1.0 + 3 * 10.0
    assert sum(USES["resnet20"].values()) == 19
