"""Every way of computing a convolution and its gradients: measured beside what the model estimates.

    python -m benchmarks.convolutions [--layers LeNet_1 ResNet_16 ...] [--rounds 5] [--write]

Measured as `jaxnets.nn.conv_measured.measure` says: inside a compiled loop, in time of the cores,
in turns. Ways that the model takes for ten times slower than the best one are left out. The last
column says how far what was chosen is from the fastest.
"""

import argparse
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.record import write
from jaxnets.devices import traced_for
from jaxnets.nn.conv_cost import Sizes, candidates, choose, estimate
from jaxnets.nn.conv_measured import Question, measure
from jaxnets.nn.geometry import Geometry
from jaxnets.nn.trilinear import ROLES


def _image(size: int, window: int, stride: int, pad: int) -> Geometry:
    return Geometry(
        (size, size), (window, window), (stride, stride), ((pad, pad), (pad, pad)), (1, 1)
    )


def _signal(size: int, window: int, stride: int, pad: int) -> Geometry:
    return Geometry((1, size), (1, window), (1, stride), ((0, 0), (pad, pad)), (1, 1))


LAYERS: dict[str, tuple[Geometry, Sizes]] = {
    "LeNet_1": (_image(32, 5, 1, 0), Sizes(32, 1, 6)),
    "LeNet_2": (_image(14, 5, 1, 0), Sizes(32, 6, 16)),
    "MNIST-1D_1": (_signal(40, 5, 2, 1), Sizes(100, 1, 25)),
    "MNIST-1D_2": (_signal(19, 3, 2, 1), Sizes(100, 25, 25)),
    "MNIST-1D_3": (_signal(10, 3, 2, 1), Sizes(100, 25, 25)),
    "ResNet_3": (_image(32, 3, 1, 1), Sizes(128, 3, 16)),
    "ResNet_16": (_image(32, 3, 1, 1), Sizes(128, 16, 16)),
    "ResNet_16_32": (_image(32, 3, 2, 1), Sizes(128, 16, 32)),
    "ResNet_32": (_image(16, 3, 1, 1), Sizes(128, 32, 32)),
    "ResNet_32_64": (_image(16, 3, 2, 1), Sizes(128, 32, 64)),
    "ResNet_64": (_image(8, 3, 1, 1), Sizes(128, 64, 64)),
}
"""The convolutions of LeNet at batch 32, of the MNIST-1D paper's network at 100, of ResNet-20 at
128."""


USES: dict[str, dict[str, int]] = {
    "lenet": {"LeNet_1": 1, "LeNet_2": 1},
    "mnist1d-cnn": {"MNIST-1D_1": 1, "MNIST-1D_2": 1, "MNIST-1D_3": 1},
    "resnet20": {
        "ResNet_3": 1, "ResNet_16": 6, "ResNet_16_32": 1, "ResNet_32": 5, "ResNet_32_64": 1,
        "ResNet_64": 5,
    },
}  # fmt: skip
"""How often a step of a case has each; the input of the first needs no gradient."""


def milliseconds(case: str, result: dict[str, Any]) -> float:
    """What the convolutions of one step of a case and their gradients take of the cores, each in
    the way that is chosen for it.

    Args:
        case: one of `USES`.
        result: what was stored.
    """
    found = {
        (row["layer"], row["wanted"]): row["measured_ms"] for row in result["rows"] if row["chosen"]
    }
    first = next(iter(USES[case]))
    return sum(
        times * found[layer, role]
        for layer, times in USES[case].items()
        for role in ROLES
        if (layer, role) != (first, "input")
    )


def measured(layers: list[str], rounds: int) -> tuple[Table, list[dict[str, Any]]]:
    """The ways of these layers, as a table and as rows."""
    table = Table(title="Milliseconds of the cores per call: estimated, measured")
    for column in ("layer", "wanted", "chosen", "all, measured (estimated)", "chosen / best"):
        table.add_column(column, overflow="fold")
    rows = []
    for layer in layers:
        g, sizes = LAYERS[layer]
        for role in ROLES:
            guesses = {m: estimate(role, m, g, sizes) for m in candidates(g)}
            chosen, least = choose(role, g, sizes), min(guesses.values())
            near = [m for m, guess in guesses.items() if guess < 10 * least]
            found = measure(Question(role, g, sizes), near, rounds)
            best = min(found.values())
            ways = sorted(found.items(), key=lambda pair: pair[1])
            table.add_row(
                layer, role, str(chosen),
                ", ".join(f"{m} {ms:.3g} ({guesses[m]:.3g})" for m, ms in ways),
                f"{found[chosen] / best:.2f}",
            )  # fmt: skip
            rows += [
                {
                    "layer": layer,
                    "wanted": role,
                    "method": str(m),
                    "chosen": m == chosen,
                    "estimated_ms": guesses[m],
                    "measured_ms": ms,
                }
                for m, ms in ways
            ]
    return table, rows


def main() -> None:
    """Measure, print a table, and store the result if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), choices=list(LAYERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="store the result as JSON")
    arguments = parser.parse_args()
    if arguments.write and len(arguments.layers) < len(LAYERS):
        parser.error("--write: only whole results are kept, without --layers.")
    with traced_for("cpu"):  # what a population may use
        table, rows = measured(arguments.layers, arguments.rounds)
    Console(width=130).print(table)
    if arguments.write:
        command = f"python -m benchmarks.convolutions --rounds {arguments.rounds}"
        print(write("convolutions", {"command": command, "rounds": arguments.rounds, "rows": rows}))


if __name__ == "__main__":
    main()
