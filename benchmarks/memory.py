"""Ten thousand networks on one machine: what the plan says beforehand, and what is used.

    python -m benchmarks.memory [--members 100 1000 10000] [--epochs 1] [--write]

A 40-64-64-10 network, batch 32, Adam, on MNIST-1D. Each population trains in a process of its own,
so that its peak memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
from time import perf_counter

MIB = 2**20


def one(members: int, epochs: int) -> dict[str, float]:
    """Train, and report memory and time of this process."""
    import jax

    import jaxnets as jn

    jn.use_all_cores()
    data = jn.data.mnist1d(valid=0)
    grid = jn.grid(network=jn.nn.MLP([64, 64], 10), seed=range(members))
    before = _peak()
    start = perf_counter()
    runs = jn.fit(jax.random.key(0), data, grid, loss="softmax_cross_entropy", epochs=epochs)
    seconds = perf_counter() - start
    group = runs.groups[0]
    return {
        "members": members,
        "planned_device_mib": runs.plan.device_bytes / MIB,
        "planned_result_mib": runs.plan.result_bytes / MIB,
        "peak_mib": _peak() / MIB,
        "peak_before_fit_mib": before / MIB,
        "seconds": seconds,
        "model_steps_per_second": runs.plan.steps / group.run_seconds,
        "diverged": len(runs.diverged),
    }


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Run every size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, nargs="+", default=[32, 1000, 10_000])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="store the result as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.epochs)))
        return
    rows = []
    for members in arguments.members:
        command = [sys.executable, "-m", "benchmarks.memory", "--one", str(members)]
        command += ["--epochs", str(arguments.epochs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    names = list(rows[0])
    print("  ".join(names))
    for row in rows:
        print("  ".join(f"{row[name]:>{len(name)},.0f}" for name in names))
    if arguments.write:
        from benchmarks.record import write

        print(write("memory", {"command": "python -m benchmarks.memory", "rows": rows}))


if __name__ == "__main__":
    main()
