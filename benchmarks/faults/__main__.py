"""See `benchmarks.faults`."""

import argparse
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from rich.console import Console

from benchmarks.faults import damage, kills, malformed, reruns, soak
from benchmarks.record import read, write

CAMPAIGNS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "kills": lambda given: kills.run(given.count or 50, given.workers),
    "damage": lambda given: damage.run(given.count or 200),
    "malformed": lambda given: malformed.run(given.count or 500),
    "reruns": lambda given: reruns.run(given.count or 20, given.workers),
    "soak": lambda given: soak.run(given.minutes),
}


def main() -> int:
    """Run campaigns; status 1 if anything was not as the laws say."""
    parser = argparse.ArgumentParser(description="Campaigns that try to break the laws.")
    parser.add_argument("campaigns", nargs="*", choices=[*CAMPAIGNS, []], metavar="campaign")
    parser.add_argument("--count", type=int, help="instead of each campaign's own number")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the soak")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    parser.add_argument("--write", action="store_true", help="store the results as JSON")
    given = parser.parse_args()
    console, status = Console(width=100), 0
    for name in given.campaigns or CAMPAIGNS:
        began = perf_counter()
        found = CAMPAIGNS[name](given)
        found["wall seconds"] = round(perf_counter() - began, 1)
        console.print(f"{name}:", {k: v for k, v in found.items() if k != "samples"})
        status |= bool(found["wrong"])
        if given.write:
            stored = {k: v for k, v in (read("faults") or {}).items() if k != "environment"}
            command = f"python -m benchmarks.faults {name}"
            write("faults", {**stored, name: {"command": command, **found}})
    return status


if __name__ == "__main__":
    sys.exit(main())
