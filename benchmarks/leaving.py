"""What it saves that members leave lanes side by side for others: ``python -m benchmarks.leaving``.

Half of the members diverge in their first steps. On an accelerator lanes are side by side; here
they are put side by side, with one turn and a look after every epoch, as there. Also: whether
bits depend on it, and how far those of a smaller program, with half as many lanes, are away.
"""

import argparse
from statistics import median
from unittest.mock import patch

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

import jaxnets as jn
from jaxnets.population import plan
from jaxnets.population.piece import PieceRun

LANES, MEMBERS, EPOCHS = 16, 320, 16
NETWORK = jn.nn.MLP([64, 64], 10)
WAYS = ("leaving", "waiting for each other")
LEAVE = PieceRun.train


def wait_for_each_other(self: PieceRun, others: bool = False) -> object:
    """As if nobody ever waited for a place."""
    return LEAVE(self, others=False)


def train(data: jn.data.Dataset, members: int, lost: bool, lanes: int = LANES) -> jn.Runs:
    """One population."""
    rates = [1e-3, 1e30] if lost else [1e-3]
    who = jn.grid(network=NETWORK, seed=range(members // len(rates)), learning_rate=rates)
    return jn.fit(
        jax.random.key(0), data, who, loss="softmax_cross_entropy", epochs=EPOCHS, metrics=[],
        lanes=lanes,
    )  # fmt: skip


def weights(runs: jn.Runs) -> list[np.ndarray]:
    """Everything that was kept."""
    return [leaf for group in runs.groups for leaf in jax.tree.leaves(group.kept)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    jn.use_all_cores()
    plan.TURNS, plan.CHUNK_STEPS = 1, 1
    data = jn.data.mnist1d(valid=0)
    cases = [(way, lost) for lost in (True, False) for way in WAYS]
    seconds: dict[tuple[str, bool], list[float]] = {case: [] for case in cases}
    found = {}
    for number in range(rounds):
        for case in cases[:: -1 if number % 2 else 1]:
            way, lost = case
            with patch.object(PieceRun, "train", LEAVE if way == WAYS[0] else wait_for_each_other):
                found[case] = train(data, MEMBERS, lost)
            seconds[case].append(found[case].groups[0].run_seconds)
    table = Table(
        title=f"{MEMBERS} members, 40-64-64-10, {EPOCHS} epochs, {LANES} lanes a device: seconds",
        title_justify="left",
    )
    for column in ("of the members", *WAYS, "ratio"):
        table.add_column(column, justify="right")
    for lost, text in ((True, "half diverge at once"), (False, "none diverges")):
        first, second = (median(seconds[way, lost]) for way in WAYS)
        table.add_row(text, f"{first:.2f}", f"{second:.2f}", f"{first / second:.2f}")
    console = Console(width=100)
    console.print(table)
    pairs = zip(*(weights(found[way, True]) for way in WAYS), strict=True)
    console.print(f"the same bits: {all(np.array_equal(a, b) for a, b in pairs)}")
    before, smaller = (weights(train(data, LANES, False, lanes)) for lanes in (LANES, LANES // 2))
    most = max(np.abs(leaf).max() for leaf in before)
    apart = max(np.abs(a - b).max() for a, b in zip(before, smaller, strict=True))
    console.print(f"with {LANES // 2} lanes a device: weights at most {apart / most:.1e} away")


if __name__ == "__main__":
    main()
