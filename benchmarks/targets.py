"""What was aimed at, and by how much it is met or missed: computed from the recorded numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.cases import cold_start
from benchmarks.cases.scale import own_mib
from benchmarks.convolutions import milliseconds

Results = dict[str, dict[str, Any]]
"""What was recorded on one machine, by case; beside the cases, `benchmarks.convolutions`."""

THROUGHPUT = ("small-mlp", "mnist1d-mlp", "lenet", "mnist1d-cnn", "resnet20")
TORCH = ("torch", "torch-compile", "torch-func")
OWN = ("jaxnets", "jaxnets-lanes")


@dataclass(frozen=True)
class Target:
    """One aim.

    Attributes:
        text: what is compared.
        wanted: the bound.
        found: what was measured, or None if a row that it needs is missing or void.
        least: whether ``wanted`` is a lower bound; else it is an upper one.
        unit: of both numbers.
        limit: what stands in the way, where something does.
        note: what is to be known of the number.
    """

    text: str
    wanted: float
    found: float | None
    least: bool = True
    unit: str = "x"
    limit: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether it is reached; None if that is not known."""
        if self.found is None:
            return None
        return self.found >= self.wanted if self.least else self.found <= self.wanted

    @property
    def verdict(self) -> str:
        """In words, with the distance."""
        if self.found is None or self.met is None:
            return "not measured"
        if self.unit == "programs":
            return "met" if self.met else f"missed by {self.found - self.wanted:.0f}"
        ratio = self.found / self.wanted
        if self.met:
            return "met"
        missing = 100 * abs(1 - ratio)
        return f"missed by {missing:.0f} %" if missing >= 1 else f"missed by {missing:.1f} %"


LIMITS = {
    "ceiling": (
        "A step also reads and writes the optimizer's state and the activations, element by "
        "element, between products of a few microseconds each; the ceiling does only the products. "
        "Operation by operation: `python -m benchmarks.profile small-mlp --epochs 40`."
    ),
    "convolution": (
        "Convolutions and their gradients inside a compiled loop on a CPU{share}; "
        "`python -m benchmarks.convolutions` has them one by one."
    ),
    "one": (
        "One member uses one device, on which only large operations are shared among the cores; "
        "the peers may use all of them throughout."
    ),
}
"""What limits, by kind of target: shown where one is missed."""


def targets(results: Results) -> list[Target]:
    """All aims of which at least the case has been recorded."""
    found: list[Target] = []
    for name, make in MAKERS.items():
        if name in results:
            found += make(name, results)
    return found


def rates(result: dict[str, Any], **wanted: Any) -> list[float]:
    """The rates of the rows that match; none at all if one of them does not count: nobody gains by
    a row that is void.

    Args:
        result: of one case.
        **wanted: fields of a row: equal to these, or one of them if a tuple is given.
    """
    rows = [
        row
        for row in result["rows"]
        if all(_matches(row[name], value) for name, value in wanted.items())
    ]
    if any(row["void"] or not row["rate"] for row in rows):
        return []
    return [float(row["rate"]) for row in rows]


def rate(result: dict[str, Any], **wanted: Any) -> float | None:
    """The highest of `rates`; None without one."""
    return max(rates(result, **wanted), default=None)


def _matches(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, tuple) else bool(value == wanted)


def ratio(a: float | None, b: float | None) -> float | None:
    """Their quotient, if both are known."""
    return None if a is None or b is None else a / b


def _mlp(name: str, results: Results) -> Iterator[Target]:
    result = results[name]
    population = rate(result, system=OWN, members=32)
    by_itself = rate(result, system="jaxnets", members=32)
    ceiling = rate(result, ceiling=True)
    products = rate(result, system="ceiling")
    for system, label, wanted in (
        ("torch", "torch eager", 20.0),
        ("keras", "Keras", 20.0),
        ("flax-loop", "the Flax loop", 8.0),
        ("torch-func", "torch.func at its best size", 4.0),
    ):
        peer = rate(result, system=system)
        bare = ratio(products, peer)
        yield Target(
            f"{name}: 32 members, against {label}",
            wanted,
            ratio(population, peer),
            limit="" if bare is None else _of_products(bare, wanted),
        )
    yield Target(
        f"{name}: 32 members, of the batched-matmul ceiling",
        0.7,
        ratio(population, ceiling),
        unit="of it",
        limit=LIMITS["ceiling"],
    )
    if name == "small-mlp":
        many = rate(result, system="jaxnets", members=10_000)
        yield Target(
            f"{name}: 10,000 members against 32", 0.8, ratio(many, by_itself),
            limit="They train for fewer epochs each: beginning them and reading them back counts.",
        )  # fmt: skip
    yield from _alone(name, result, LIMITS["one"])


def _of_products(bare: float, wanted: float) -> str:
    """What a peer leaves room for."""
    reach = f"XLA's products at these shapes, and nothing else, would be at {bare:.1f} x"
    return f"{reach}." if bare < wanted else f"{reach}. {LIMITS['ceiling']}"


def _alone(name: str, result: dict[str, Any], limit: str) -> Iterator[Target]:
    one = rate(result, system="jaxnets", members=1)
    peers = tuple({row["system"] for row in result["rows"] if not row["ceiling"]} - {*OWN})
    best = rate(result, system=peers, members=1)
    yield Target(
        f"{name}: one member alone, against the best peer", 1.0, ratio(one, best), limit=limit
    )


def _convolutions(name: str, results: Results) -> Iterator[Target]:
    result = results[name]
    best = rate(result, system=TORCH)
    own = rates(result, system="jaxnets")
    wanted = 2.5 if name == "lenet" else 1.0
    slow = LIMITS["convolution"].format(share=_share(name, results, max(own, default=None)))
    limit = f"{LIMITS['one']} {slow}"
    text = "a population, against torch's best"
    several = ratio(max(own, default=None), best)
    yield Target(f"{name}: {text}", wanted, several, limit=slow)
    yield Target(
        f"{name}: any number of members, against torch's best",
        1.0,
        ratio(min(own, default=None), best),
        limit=limit,
    )
    yield from _alone(name, result, limit)


def _share(name: str, results: Results, rate: float | None) -> str:
    """Of all processor time of a step at the highest rate, that of its convolutions."""
    result = results.get("convolutions")
    if rate is None or result is None:
        return ""
    cores = result["environment"]["cores"]
    share = milliseconds(name, result) * 1e-3 * rate / cores
    return f", which are {share:.0%} of a step's processor time"


def _sweep(name: str, results: Results) -> Iterator[Target]:
    result = results[name]
    alone = f"The products of the true widths alone take {result['products_seconds']:.0f} s here."
    yield Target(
        "sweep of 19 widths, cold", 60.0, result["seconds"], least=False, unit="s", limit=alone
    )
    yield Target(
        "sweep: training programs", 4, result["programs"], least=False, unit="programs",
        limit="Widths that are far apart share no program: padded, they would cost more.",
        note=f"{result['compilations']} compilations with evaluation and helpers",
    )  # fmt: skip


def _roofline(name: str, results: Results) -> Iterator[Target]:
    """The shape and batch at which we are furthest behind."""
    result = results[name]
    behind: list[tuple[float, str]] = []
    void = any(row["void"] for row in result["rows"] if row["system"] in ("jaxnets", "torch"))
    for own in result["rows"]:
        same = {"widths": own["widths"], "batch": own["batch"]}
        against = ratio(
            rate(result, system="jaxnets", **same), rate(result, system="torch", **same)
        )
        if against is not None:
            text = f"{len(own['widths'])} x {own['widths'][0]}, batch {own['batch']}"
            behind.append((against, text))
    least, where = (None, "") if void else min(behind, default=(None, ""))
    yield Target(
        "depth-width: 8 members of any shape and batch, against one of torch", 1.0, least,
        limit=f"The furthest behind: {where}." if where else "",
    )  # fmt: skip


def _cold(name: str, results: Results) -> Iterator[Target]:
    result = results[name]
    seconds = {row["name"]: row["seconds"] for row in result["rows"] if not row["void"]}
    own, others = seconds.get(cold_start.WITH), seconds.get(cold_start.WITHOUT)
    beyond = None if own is None or others is None else own - others
    yield Target(
        "importing, beyond jax, flax and optax", 2.0, beyond, least=False, unit="s",
        limit="All of jaxnets counts, with what its studies draw figures and write tables with "
        "(matplotlib, pandas, xarray); a training imports none of these.",
    )  # fmt: skip
    yield Target("jaxnets --help", 1.0, seconds.get("jaxnets --help"), least=False, unit="s")


def _scale(name: str, results: Results) -> Iterator[Target]:
    result = results[name]
    rows = {(row["members"], row["epochs"]): row for row in result["rows"] if not row["diverged"]}
    lost = next((row["run_seconds"] for row in result["rows"] if row["diverged"]), None)
    whole = rows.get((320, 16), {}).get("run_seconds")

    def per_step(members: int, epochs: int) -> float | None:
        row = rows.get((members, epochs))
        return None if row is None else 1 / row["model_steps_per_second"]

    def own(members: int) -> float | None:
        row = rows.get((members, 1))
        return None if row is None else own_mib(row)

    yield Target(
        "time per model-step, 10,000 members against 1,000", 1.1,
        ratio(per_step(10_000, 1), per_step(1000, 1)), least=False,
    )  # fmt: skip
    yield Target(
        "time per model-step, 16 epochs against 1 (320 members)", 1.1,
        ratio(per_step(320, 16), per_step(320, 1)), least=False,
    )  # fmt: skip
    yield Target(
        "peak memory beyond the results, 10,000 members against 32", 1.2,
        ratio(own(10_000), own(32)), least=False,
    )  # fmt: skip
    yield Target(
        "time of 320 members, of which half diverge at once, against none", 0.6,
        ratio(lost, whole), least=False,
    )  # fmt: skip


MAKERS: dict[str, Callable[[str, Results], Iterator[Target]]] = {
    "small-mlp": _mlp,
    "mnist1d-mlp": _mlp,
    "lenet": _convolutions,
    "mnist1d-cnn": _convolutions,
    "resnet20": _convolutions,
    "sweep": _sweep,
    "depth-width": _roofline,
    "cold-start": _cold,
    "scale": _scale,
}
