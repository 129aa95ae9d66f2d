"""The gradient of a dense kernel in its two forms: ``python -m benchmarks.products``.

``x^T gy`` as XLA takes it, and with ``x`` transposed beforehand: where `jaxnets.nn.product` changes
from one to the other. On one device, inside a compiled loop, in turns; microseconds on the wall.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from rich.console import Console
from rich.table import Table

from jaxnets.nn.product import SMALL

SIZES = (
    (32, 40, 64), (32, 64, 64), (32, 64, 10), (100, 40, 100), (100, 100, 100), (128, 128, 128),
    (128, 256, 256), (256, 512, 512), (1024, 512, 512), (4096, 512, 512),
)  # fmt: skip
"""Examples, inputs, features."""

FLOPS = 1e9
"""About so many in one measurement."""

FORMS: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "as it is": lambda x, gy: x.T @ gy,
    "transposed beforehand": lambda x, gy: lax.optimization_barrier(x.T) @ gy,
}


def compiled(
    form: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, gy: jax.Array
) -> Callable[[int], None]:
    """So many products, one after the other, of an ``x`` that is computed anew for each."""

    @jax.jit
    def run(count: int) -> jax.Array:
        def body(_: jax.Array, made: jax.Array) -> jax.Array:
            return form(x * (1 + 1e-9 * made[0, 0]), gy)

        return lax.fori_loop(0, count, body, jnp.zeros((x.shape[1], gy.shape[1])))

    def wait(count: int) -> None:
        run(count).block_until_ready()

    wait(1)
    return wait


def measure(rounds: int) -> list[list[str]]:
    """One row per size."""
    rows = []
    for examples, inputs, features in SIZES:
        generator = np.random.default_rng(0)
        x, gy = (
            jnp.asarray(generator.standard_normal((examples, units)), jnp.float32)
            for units in (inputs, features)
        )
        work = examples * inputs * features
        count = max(3, int(FLOPS / (2 * work)))
        ways = {name: compiled(form, x, gy) for name, form in FORMS.items()}
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way(count)
                spent[name].append((time.perf_counter() - start) / count * 1e6)
        first, second = (median(found) for found in spent.values())
        rows.append([
            f"{examples} x {inputs} x {features}", f"{first:,.1f}", f"{second:,.1f}",
            f"{second / first:.2f}", "transposed beforehand" if work <= SMALL else "as it is",
        ])  # fmt: skip
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    table = Table(title="x^T gy: µs per product", title_justify="left")
    for column in ("examples x inputs x features", *FORMS, "ratio", "taken"):
        table.add_column(column, justify="right")
    for row in measure(parser.parse_args().rounds):
        table.add_row(*row)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
