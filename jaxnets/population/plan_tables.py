"""A plan in words: what runs, what it takes, and how its convolutions are computed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from jaxnets.devices import traced_for
from jaxnets.nn.conv_choices import explain_convolutions
from jaxnets.nn.padded import PaddedMLP
from jaxnets.population.spec import Group

if TYPE_CHECKING:
    from jaxnets.population.plan import Plan

PIECE = (
    "A piece is what one call of a program trains: so many members at once, over all devices, "
    "and so many times that in turn."
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
        f"per device {_binary(plan.device_bytes)}B of data and states; "
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
            f"{p.lanes * len(p.devices)}",
            f"{p.turns}",
            f"{p.pieces}",
            f"{p.parameters:,}",
            _si(p.step_flops),
            _binary(p.state_bytes),
            f"{steps:,}",
        )
    return table


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


def both_tables(plan: "Plan") -> str:
    """As text, 100 columns wide."""
    console = Console(width=100, color_system=None)
    tables = [programs_table(plan), convolutions_table(plan)]
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
