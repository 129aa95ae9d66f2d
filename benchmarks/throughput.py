"""Model-steps per second beside a hand-written Flax loop and torch, in one process.

    python -m benchmarks.throughput [--members 1 32 128] [--rounds 7] [--write]

A 40-64-64-10 network, batch 32, Adam: small enough that everything around the arithmetic counts.
All systems do the same work: the same rows of the same data, shuffled anew in every epoch, a loss
with the gradient of all layers, one update of Adam. They take turns, round after round, so that
a busy machine slows all of them; medians over the rounds. Compilation is left out: every system
runs once before the clock starts. A system whose training loss after the same number of steps is
not that of the others is not measuring the same thing: its row says so.
"""

import argparse
import statistics
from collections.abc import Callable
from time import perf_counter

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console
from rich.table import Table

import jaxnets as jn
from benchmarks.record import write

WIDTHS, BATCH, RATE, EPOCHS = (64, 64), 32, 1e-3, 8
System = Callable[[], tuple[int, float]]
"""Trains once: member-steps done, and the mean training loss of the last epoch."""


def jaxnets_population(data: jn.data.Dataset, members: int, epochs: int, unroll: int) -> System:
    """The toolkit, without its planning: what a long run spends its time on."""
    from jaxnets.population import execute

    spec = jn.make_spec(
        jax.random.key(0), data, jn.grid(network=jn.nn.MLP(WIDTHS, 10), seed=range(members)),
        loss="softmax_cross_entropy", optimizer=jn.optim.adam(learning_rate=RATE),
        batch_size=BATCH, epochs=epochs, metrics=[], unroll=unroll,
    )  # fmt: skip
    plan = jn.make_plan(spec)

    def run() -> tuple[int, float]:
        (group,) = execute(plan)
        return plan.steps, float(np.median(group.history["train_loss"][:, -1]))

    return run


class Net(nn.Module):
    """What somebody writes who wants one network."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in WIDTHS:
            x = nn.relu(nn.Dense(width, kernel_init=nn.initializers.he_normal())(x))
        return nn.Dense(10, kernel_init=nn.initializers.he_normal())(x)


def flax_loop(data: jn.data.Dataset, epochs: int) -> System:
    """A loop over a jitted step with donated state, data on the device, loss fetched once."""
    net, optimizer = Net(), optax.adam(RATE)
    x, y = jnp.asarray(data.train.x), jnp.asarray(data.train.y)
    n = len(data.train)

    def step(params, opt_state, rows):
        def loss(params):
            logits = net.apply({"params": params}, x[rows])
            return optax.softmax_cross_entropy_with_integer_labels(logits, y[rows]).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    update = jax.jit(step, donate_argnums=(0, 1))

    def run() -> tuple[int, float]:
        generator = np.random.default_rng(0)
        params = net.init(jax.random.key(0), x[:1])["params"]
        opt_state = optimizer.init(params)
        for _ in range(epochs):
            order, losses = generator.permutation(n), []
            for start in range(0, n, BATCH):
                params, opt_state, value = update(params, opt_state, order[start : start + BATCH])
                losses.append(value)
        jax.block_until_ready(params)
        return epochs * -(-n // BATCH), float(np.mean(jax.device_get(losses)))

    return run


def torch_loop(data: jn.data.Dataset, epochs: int, threads: int, fused: bool) -> System:
    """Eager torch."""
    import torch

    x, y = torch.tensor(data.train.x), torch.tensor(data.train.y, dtype=torch.long)
    n = len(x)

    def run() -> tuple[int, float]:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        layers: list[torch.nn.Module] = []
        for a, b in ((40, 64), (64, 64)):
            layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
        net = torch.nn.Sequential(*layers, torch.nn.Linear(64, 10))
        for layer in net:
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.kaiming_normal_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
        optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=fused)
        criterion = torch.nn.CrossEntropyLoss()
        for _ in range(epochs):
            order, losses = torch.randperm(n), []
            for start in range(0, n, BATCH):
                rows = order[start : start + BATCH]
                optimizer.zero_grad(set_to_none=True)
                loss = criterion(net(x[rows]), y[rows])
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
        return epochs * -(-n // BATCH), float(torch.stack(losses).mean())

    return run


def measure(systems: dict[str, System], rounds: int) -> dict[str, dict[str, float]]:
    """Let all systems take turns; median rates and losses."""
    for run in systems.values():
        run()
    rates: dict[str, list[float]] = {name: [] for name in systems}
    losses: dict[str, float] = {}
    for _ in range(rounds):
        for name, run in systems.items():
            start = perf_counter()
            steps, losses[name] = run()
            rates[name].append(steps / (perf_counter() - start))
    return {
        name: {
            "rate": statistics.median(values),
            "lowest": min(values),
            "highest": max(values),
            "loss": losses[name],
        }
        for name, values in rates.items()
    }


def main() -> None:
    """Measure, print a table, and store the result if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--unroll", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="store the result as JSON")
    arguments = parser.parse_args()
    jn.use_all_cores()
    data = jn.data.mnist1d(valid=0)
    epochs = arguments.epochs
    systems: dict[str, System] = {"Flax, hand-written loop": flax_loop(data, epochs)}
    try:
        for threads in (1, 2):
            for fused in (False, True):
                name = f"torch, {threads} thread{'s' * (threads > 1)}{', fused Adam' * fused}"
                systems[name] = torch_loop(data, epochs, threads, fused)
    except ImportError:
        print("torch is not installed: its rows are left out (pip install 'jaxnets[bench]').")
    for count in arguments.members:
        systems[f"jaxnets, {count} member{'s' * (count > 1)}"] = jaxnets_population(
            data, count, epochs, arguments.unroll
        )
    rows = measure(systems, arguments.rounds)
    loop = rows["Flax, hand-written loop"]
    torch_best = max((r["rate"] for name, r in rows.items() if name.startswith("torch")), default=0)
    table = Table(title=f"40-64-64-10, batch 32, Adam: medians of {arguments.rounds} rounds")
    for column in ("system", "model-steps/s", "lowest", "highest", "/ loop", "/ torch", "loss"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for name, row in rows.items():
        row["ratio_to_loop"] = row["rate"] / loop["rate"]
        row["ratio_to_torch"] = row["rate"] / torch_best if torch_best else float("nan")
        void = "" if abs(row["loss"] / loop["loss"] - 1) < 0.15 else " VOID"
        table.add_row(
            name, f"{row['rate']:,.0f}", f"{row['lowest']:,.0f}", f"{row['highest']:,.0f}",
            f"{row['ratio_to_loop']:.2f}", f"{row['ratio_to_torch']:.2f}",
            f"{row['loss']:.3f}{void}",
        )  # fmt: skip
    Console(width=100).print(table)
    if arguments.write:
        command = "python -m benchmarks.throughput"
        print(write("throughput", {"command": command, "rounds": arguments.rounds, "rows": rows}))


if __name__ == "__main__":
    main()
