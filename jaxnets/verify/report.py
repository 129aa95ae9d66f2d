"""The table, and the file."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from jaxnets.verify.finding import Finding

HOLDS, FAILS = "holds", "FAILS"


def table(findings: Sequence[Finding]) -> Table:
    """The findings, one line each, in 80 columns.

    Example:
        >>> from rich.console import Console
        >>> Console(width=80).print(table([Finding("1 purity", (2,), 12, 90, 0.0, 0.0, True)]))
        <BLANKLINE>
                                                     largest
         law        devices   members   arrays   difference   allowed
         ────────────────────────────────────────────────────────────────────
         1 purity         2        12       90            0         0   holds
        <BLANKLINE>
    """
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    shown.add_column("law", no_wrap=True)
    for name in ("devices", "members", "arrays", "largest\ndifference", "\nallowed"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("")
    for one, after in zip(findings, [*findings[1:], None], strict=True):
        shown.add_row(
            one.law,
            ", ".join(map(str, one.devices)),
            f"{one.compared}",
            f"{one.arrays:,}",
            number(one.largest),
            number(one.tolerance),
            HOLDS if one.passed else f"[bold red]{FAILS}[/]",
            end_section=after is not None and after.devices != one.devices,
        )
    return shown


def number(value: float) -> str:
    """A difference in a few characters.

    Example:
        >>> number(0.0), number(1e-4), number(4.37e-7), number(float("inf"))
        ('0', '1e-04', '4.4e-07', 'infinite')
    """
    if not math.isfinite(value):
        return "infinite"
    text = f"{value:.1e}" if value else "0"
    return text.replace(".0e", "e")


def details(findings: Sequence[Finding]) -> list[str]:
    """What is to be said besides: of every law that failed, and where something was left out.

    Example:
        >>> details([Finding("1 purity", (2,), 1, 9, 0.5, 0.0, False, "params/w differs by 0.5")])
        ['1 purity FAILS on 2 devices: params/w differs by 0.5.']
    """
    return [
        f"{one.law} {HOLDS if one.passed else FAILS} {on_devices(one.devices)}: "
        f"{one.detail.rstrip('.')}."
        for one in findings
        if one.detail
    ]


def on_devices(counts: Sequence[int]) -> str:
    """In words.

    Example:
        >>> on_devices([1]), on_devices([1, 2, 4])
        ('on 1 device', 'on 1, 2 and 4 devices')
    """
    *others, last = map(str, counts)
    text = f"{', '.join(others)} and {last}" if others else last
    return f"on {text} device{'' if text == '1' else 's'}"


def verdict(findings: Sequence[Finding], seconds: float) -> str:
    """The last line.

    Example:
        >>> verdict([Finding("1 purity", (2,), 1, 9, 0.5, 0.0, False)], 12.3)
        '1 of 1 checks FAILED (12 s): do not trust the numbers that this machine gives.'
    """
    failed = sum(not one.passed for one in findings)
    if failed:
        return (
            f"{failed} of {len(findings)} checks FAILED ({seconds:.0f} s): do not trust the "
            "numbers that this machine gives."
        )
    return f"All laws hold on this machine ({seconds:.0f} s)."


def save(path: Path, findings: Sequence[Finding], about: dict[str, Any]) -> None:
    """Write everything down.

    Args:
        path: of a JSON file, written over.
        findings: what was found.
        about: what else is to be known: versions, machine, seconds.

    Raises:
        OSError: it cannot be written.
    """
    content = {
        "passed": all(one.passed for one in findings),
        **about,
        "findings": [one.to_json() for one in findings],
    }
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    path.write_text(text, encoding="utf-8")
