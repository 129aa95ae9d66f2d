"""``python -m benchmarks [case ...] [--rounds 5] [--write] [--quick]``."""

import argparse
import sys
import time

from rich.console import Console

from benchmarks.cases import CASES
from benchmarks.cases.settings import Settings
from benchmarks.record import environment_elsewhere, load, write
from benchmarks.systems import SYSTEMS

ROUNDS = 5


def parser() -> argparse.ArgumentParser:
    """The command line."""
    it = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure jaxnets beside its peers: one process per system, turn by turn.",
        epilog="Tables and figures of what was written: python -m benchmarks.page",
    )
    names = ", ".join(CASES)
    it.add_argument("case", nargs="*", help=f"{names}; without one, all of them")
    it.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of every row ({ROUNDS})")
    it.add_argument("--system", nargs="+", default=(), help=f"only these: {', '.join(SYSTEMS)}")
    it.add_argument("--write", action="store_true", help="keep the results as JSON")
    it.add_argument("--quick", action="store_true", help="tiny sizes: does everything work?")
    return it


def main() -> None:
    """Run what is named, print a table of each, keep the numbers if asked."""
    it = parser()
    arguments = it.parse_args()
    for name in arguments.case:
        if name not in CASES:
            it.error(f"case: expected one of {', '.join(CASES)}, got {name!r}.")
    for name in arguments.system:
        if name not in SYSTEMS:
            it.error(f"--system: expected some of {', '.join(SYSTEMS)}, got {name!r}.")
    if arguments.rounds < 1:
        it.error(f"--rounds: expected at least 1, got {arguments.rounds}.")
    if arguments.write and (arguments.quick or arguments.system or arguments.rounds < ROUNDS):
        it.error(
            f"--write: only whole results are kept, without --quick and --system, of {ROUNDS} "
            "rounds or more."
        )
    rounds = "" if arguments.rounds == ROUNDS else f" --rounds {arguments.rounds}"
    said = Console(stderr=True)
    failed: list[str] = []
    for name in arguments.case or CASES:
        settings = Settings(
            rounds=arguments.rounds,
            quick=arguments.quick,
            systems=tuple(arguments.system),
            tell=lambda text: said.print(text, style="dim", highlight=False, markup=False),
        )
        said.print(f"[bold]{name}[/bold]: {CASES[name].title}")
        before, start = load(), time.perf_counter()
        try:
            result = CASES[name].run(settings)
        except Exception as error:  # the other cases are worth having
            failed.append(name)
            said.print(f"{name}: {type(error).__name__}: {error}", style="red", markup=False)
            continue
        seconds = time.perf_counter() - start
        Console(width=None if sys.stdout.isatty() else 130).print(CASES[name].table(result))
        if arguments.write:
            surroundings = {
                "environment": environment_elsewhere(),
                "command": f"python -m benchmarks {name}{rounds} --write",
                "load_before": before,
                "took_seconds": round(seconds, 1),
            }
            said.print(write(name, {**surroundings, **result}))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
