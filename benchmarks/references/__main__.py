"""``python -m benchmarks.references [experiment ...] [--full] [--write]``."""

import argparse
import functools
from collections.abc import Callable
from time import perf_counter

import jaxnets as jn
from benchmarks.references import double_descent, learned_rate, mnist1d, random_labels
from benchmarks.references.record import RESULTS, Line, keep, show


def main() -> None:
    """Run what is named and print a table of each."""
    quick = ("mnist1d", "learned-rate", "random-labels")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.references", description=__doc__)
    more = f"{', '.join(quick)} (the default, minutes) or double-descent"
    parser.add_argument("experiment", nargs="*", default=quick, help=more)
    full = "random-labels as published: up to an hour on two cores"
    parser.add_argument("--full", action="store_true", help=full)
    widths = "double-descent: the seven widths that are published, or all of the sweep"
    parser.add_argument("--widths", type=int, choices=(7, 19), default=7, help=widths)
    parser.add_argument("--seeds", type=int, default=5, help="double-descent: networks per width")
    parser.add_argument("--write", action="store_true", help="store the numbers as JSON")
    arguments = parser.parse_args()
    experiments: dict[str, Callable[[], list[Line]]] = {
        "mnist1d": mnist1d.experiment,
        "learned-rate": learned_rate.experiment,
        "random-labels": functools.partial(random_labels.experiment, full=arguments.full),
        "double-descent": functools.partial(
            double_descent.experiment, seeds=arguments.seeds, widths=arguments.widths
        ),
    }
    for name in arguments.experiment:
        if name not in experiments:
            parser.error(f"experiment: expected one of {', '.join(experiments)}, got {name!r}.")
    jn.use_all_cores()
    for name in arguments.experiment:
        start = perf_counter()
        lines = experiments[name]()
        seconds = perf_counter() - start
        show(name, lines, seconds)
        kept_as = f"{name}-full" if name == "random-labels" and arguments.full else name
        if arguments.write:
            keep(RESULTS, kept_as, lines, seconds)


if __name__ == "__main__":
    main()
