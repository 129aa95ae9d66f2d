"""See `benchmarks.faults`."""

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from rich.console import Console

import jaxnets
from benchmarks import record
from benchmarks.faults import damage, kills, larger, malformed, reruns, saving, soak

CAMPAIGNS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "kills": lambda given: kills.run(given.count or 50, given.workers),
    "damage": lambda given: damage.run(given.count or 200),
    "malformed": lambda given: malformed.run(given.count or 500),
    "reruns": lambda given: reruns.run(given.count or 20, given.workers),
    "saving": lambda given: saving.run(given.count or 5),
    "larger": lambda given: larger.run(given.gib),
    "soak": lambda given: soak.run(given.minutes),
}
LONG = ("each", "samples")
"""What is stored and not printed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run campaigns; status 1 if anything was not as the laws say."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Campaigns that try to break the laws.")
    parser.add_argument("campaigns", nargs="*", choices=[*CAMPAIGNS, []], metavar="campaign")
    parser.add_argument("--count", type=int, help="instead of each campaign's own number")
    parser.add_argument("--minutes", type=float, default=60.0, help="of the soak")
    parser.add_argument("--gib", type=float, help="of the file that is larger than the memory")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    parser.add_argument("--note", help="stored with the results: what a reader should know")
    parser.add_argument("--write", action="store_true", help="store the results as JSON")
    given = parser.parse_args(words)
    jaxnets.use_all_cores()
    console, status = Console(width=100), 0
    for name in given.campaigns or CAMPAIGNS:
        made = {
            "command": shlex.join(["python", "-m", "benchmarks.faults", *words]),
            **({"note": given.note} if given.note else {}),
        }
        began = perf_counter()
        found = CAMPAIGNS[name](given)
        found["wall seconds"] = round(perf_counter() - began, 1)
        console.print(f"{name}:", {k: v for k, v in found.items() if k not in LONG})
        status |= bool(found["wrong"])
        if given.write:
            store(name, {**made, "environment": record.environment(), **found})
    return status


def store(name: str, result: dict[str, Any]) -> None:
    """Put a campaign's result beside those of the others, each with where it was made."""
    path = record.RESULTS / "faults.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    others = {key: value for key, value in stored.items() if key in CAMPAIGNS}
    path.write_text(json.dumps({**others, name: result}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
