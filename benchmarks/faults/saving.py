"""What it costs to save: the same training with a folder and without one, in turns."""

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import jax

import jaxnets as jn

LIMIT = 1.03
"""How much longer a run with a folder may take, in the middle of all rounds."""

MEMBERS, EPOCHS = 32, 400


def run(rounds: int, epochs: int = EPOCHS) -> dict[str, Any]:
    """Train with and without a folder, at the default of ``save_every``, once each per round.

    The first round, in which everything is compiled and loaded, does not count.
    """
    each = [_round(number, epochs) for number in range(rounds + 1)][1:]
    ratios = [one["saving"][0] / one["plain"][0] for one in each]
    work = [one["saving"][1] / one["plain"][1] for one in each]
    middle = round(statistics.median(ratios), 4)
    return {
        "rounds": rounds,
        "members": MEMBERS,
        "epochs": epochs,
        "seconds without": round(statistics.median(one["plain"][0] for one in each), 2),
        "seconds with": round(statistics.median(one["saving"][0] for one in each), 2),
        "times as long": middle,
        "times as much processor time": round(statistics.median(work), 4),
        "saves": statistics.median_low(one["saves"] for one in each),
        "each": [round(ratio, 4) for ratio in ratios],
        "wrong": {} if middle <= LIMIT else {"slower": f"{middle:.3f}, more than {LIMIT}"},
    }


def _round(number: int, epochs: int) -> dict[str, Any]:
    """Wall and processor seconds of both; which comes first changes from round to round."""
    data = jn.data.mnist1d()
    members = jn.grid(network=jn.nn.MLP([64, 64], outputs=10), seed=range(MEMBERS))
    found: dict[str, Any] = {}
    with TemporaryDirectory() as place:
        folder = Path(place, "out")
        for name in ("plain", "saving") if number % 2 else ("saving", "plain"):
            wall, work = perf_counter(), process_time()
            jn.fit(
                jax.random.key(0), data, members, loss="softmax_cross_entropy", epochs=epochs,
                history_every=10, out=folder if name == "saving" else None,
            )  # fmt: skip
            found[name] = perf_counter() - wall, process_time() - work
        # Generations are numbered; what is superfluous is gone by now.
        found["saves"] = max(int(path.name.split("-")[0]) for path in folder.glob("state/*"))
    return found
