"""A plan in words: what runs, what it takes, what was chosen and why."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from jaxnets.devices import traced_for
from jaxnets.nn.conv_choices import explain_convolutions
from jaxnets.nn.padded import PaddedMLP
from jaxnets.population.spec import Group

if TYPE_CHECKING:
    from jaxnets.population.plan import Plan

PIECE = (
    "A piece is what one call of a program trains: so many members at once, and so many times that "
    "in turn. On a CPU every device has calls of its own, elsewhere one is for all devices."
)
"""What the columns say."""

SHOWN = 24
"""How many widths of one program a plan lists."""


def programs_table(plan: "Plan") -> Table:
    """One row per program."""
    devices = plan.devices
    table = Table(
        title=f"{_count(len(plan.spec.members), 'member')}, "
        f"{_count(len(plan.programs), 'program')}, "
        f"{plan.spec.epochs} epochs on {len(devices)} x {devices[0].device_kind}",
        caption=f"{plan.steps:,} member-steps, {_si(plan.flops)}FLOP; "
        f"{_binary(plan.device_bytes)}B of data and states{each_device(plan)}; "
        f"results {_binary(plan.result_bytes)}B on the host"
        + (f"; {plan.remark}" if plan.remark else "")
        + f"\n{PIECE}",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("network", overflow="fold")
    for name in (
        "members",
        "at\nonce",
        "in\nturn",
        "pieces",
        "parameters",
        "FLOP/step",
        "bytes",
        "steps",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for p in plan.programs:
        steps = p.steps_per_epoch * plan.spec.epochs
        table.add_row(
            _label(p.group, p.wasted),
            f"{len(p.group.rows)}",
            f"{p.lanes * len(p.mesh)}",
            f"{p.turns}",
            f"{p.pieces}",
            f"{p.parameters:,}",
            _si(p.step_flops),
            _binary(p.state_bytes),
            f"{steps:,}",
        )
    return table


def each_device(plan: "Plan") -> str:
    """What is said of what every device of a call has."""
    return " on each device" if len(plan.programs[0].mesh) > 1 else ""


def choices_table(plan: "Plan") -> Table:
    """One row per choice: its value, the reason, and what changes it."""
    table = Table(title="choices", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("what", "is", "because", "otherwise"):
        table.add_column(name, overflow="fold")
    on_cpu = plan.devices[0].platform == "cpu"
    padded = plan.spec.widths == "padded"
    table.add_row(
        "programs", f"{len(plan.programs)}",
        "networks of similar widths share one" if padded
        else "one for each network, optimizer, loss and batch size",
        f'widths="{"exact" if padded else "padded"}"',
    )  # fmt: skip
    table.add_row(
        "devices", f"{len(plan.devices)}",
        "as given" if "devices" in plan.given else "all that there are",
        "devices=[...]" + ", use_all_cores()" * on_cpu,
    )  # fmt: skip
    alone = "a member alone is fastest so; small dense networks gain by more"
    table.add_row(
        "at once on a device", _values(p.lanes for p in plan.programs),
        "as given" if "lanes" in plan.given
        else alone if on_cpu else "as many as fit, up to what keeps the device busy",
        f"lanes={8 if on_cpu else 32}",
    )  # fmt: skip
    table.add_row(
        "in turn", _values(p.turns for p in plan.programs),
        "short trainings share what a call costs" if any(p.turns > 1 for p in plan.programs)
        else "a call is long enough",
    )  # fmt: skip
    table.add_row(
        "epochs in a call", _values(min(p.chunk_epochs, plan.spec.epochs) for p in plan.programs),
        "long enough to cost little, short enough to stop, save and show", "history_every=...",
    )  # fmt: skip
    table.add_row(
        "steps unrolled", _values(p.group.recipe.unroll for p in plan.programs),
        "one step is compiled and repeated: more take longer to compile", "unroll=4",
    )  # fmt: skip
    return table


def _values(numbers: Iterable[int]) -> str:
    """One, or the range."""
    found = sorted(set(numbers))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def convolutions_table(plan: "Plan") -> Table | None:
    """Three rows per convolution, or one; ``None`` if there are none."""
    recipes = [program.group.recipe for program in plan.programs]
    networks = dict.fromkeys((recipe.network, recipe.batch_size) for recipe in recipes)
    with traced_for(plan.devices[0].platform):
        rows = [
            (f"{network.name}, batch {batch}", row)
            for network, batch in networks
            for row in explain_convolutions(network, plan.spec.data.input_shape, batch)
        ]
    if not rows:
        return None
    table = Table(title="convolutions", title_justify="left")
    for name in ("layer", "what", "input", "kernel", "method", "because"):
        table.add_column(name, overflow="fold")
    before = ""
    for name, row in rows:
        if name != before and len(networks) > 1:
            table.add_section()
            table.add_row(name)
        before = name
        table.add_row(
            row.layer, row.part, _shape(row.input), _shape(row.kernel), row.method, row.reason
        )
    return table


def all_tables(plan: "Plan") -> str:
    """As text, 100 columns wide."""
    console = Console(width=100, color_system=None)
    tables = [programs_table(plan), choices_table(plan), convolutions_table(plan)]
    with console.capture() as capture:
        for table in tables:
            if table is not None:
                console.print(table)
    return capture.get().rstrip()


def _label(group: Group, wasted: float) -> str:
    """What a plan calls a group: its network, and the widths that share it or why none do."""
    network = group.recipe.network
    if group.unpadded:
        return f"{network.name}; not padded: {group.unpadded}"
    if not isinstance(network.identity, PaddedMLP):
        return network.name
    columns = [group.numbers[name].astype(int).tolist() for name in network.numbers_at_init]
    widths = [
        str(units[0]) if len(set(units)) == 1 else "-".join(map(str, units))
        for units in sorted(set(zip(*columns, strict=True)))
    ]
    shown = widths if len(widths) <= SHOWN else [*widths[: SHOWN - 1], "...", widths[-1]]
    return f"{network.name} for widths {', '.join(shown)}; {wasted:.0%} of it padding"


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _si(value: float) -> str:
    return _scaled(value, 1000.0, ("", "k", "M", "G", "T", "P", "E"))


def _binary(value: float) -> str:
    return _scaled(value, 1024.0, ("", "Ki", "Mi", "Gi", "Ti"))


def _scaled(value: float, base: float, prefixes: tuple[str, ...]) -> str:
    for prefix in prefixes[:-1]:
        if abs(value) < base:
            return f"{value:.3g} {prefix}"
        value /= base
    return f"{value:.3g} {prefixes[-1]}"
