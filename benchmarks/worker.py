"""One system in a process of its own: makes itself ready, then trains whenever it is told to.

Started by `benchmarks.turns`, with one JSON line of jobs on standard input.
"""

import json
import os
import resource
import sys
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, TextIO

from benchmarks.protocol import Job, Moments, Outcome, Variant, line
from benchmarks.systems import SYSTEMS

TUNING_SECONDS = 0.4
"""How long each variant may show its speed, at least one training after its first."""

HOPELESS = 4.0
"""A variant whose first training takes so many times that of the best one gets no second: threads
that wait for each other on a busy machine can be a hundred times slower.
"""


FINALISTS = 2
"""So many variants of a job take turns; a short trial does not tell the fastest from the next."""

CHANCE = 0.5
"""A variant that was slower than so much of the fastest one is no finalist."""


class Finalist(NamedTuple):
    """A variant that works, with its first training done."""

    variant: Variant
    first_seconds: float
    rate: float


@dataclass
class Ready:
    """A job whose fastest variants have been found and compiled, the fastest first."""

    finalists: list[Finalist]
    tried: dict[str, float | str]


def timed(variant: Variant, seed: int, least: float) -> tuple[float, list[Outcome]]:
    """Train until ``least`` seconds are over, once at least; how long it took."""
    outcomes: list[Outcome] = []
    start = perf_counter()
    while not outcomes or perf_counter() - start < least:
        outcomes.append(variant.train(seed + len(outcomes)))
    return perf_counter() - start, outcomes


def prepare(job: Job, tuning_seconds: float) -> Ready:
    """Try all variants of a job and keep the fastest that work."""
    working: list[Finalist] = []
    tried: dict[str, float | str] = {}
    variants = list(SYSTEMS[job.system].variants(job))
    for variant in variants:
        try:
            start = perf_counter()
            outcomes = [variant.train(0)]
            seconds = first = perf_counter() - start
            fastest = min((it.first_seconds for it in working), default=first)
            if len(variants) > 1 and first <= HOPELESS * fastest:
                seconds, outcomes = timed(variant, 1, tuning_seconds)
        except Exception as error:  # a variant that does not work here is reported, not fatal
            tried[variant.label] = _reason(error)
            continue
        rate = sum(outcome.updates for outcome in outcomes) * job.members / seconds
        tried[variant.label] = rate
        working.append(Finalist(variant, first, rate))
    if not working:
        raise RuntimeError("; ".join(f"{label or 'it'}: {why}" for label, why in tried.items()))
    working.sort(key=lambda it: -it.rate)
    finalists = [it for it in working[:FINALISTS] if it.rate >= CHANCE * working[0].rate]
    return Ready(finalists, tried)


def turn(variant: Variant, seed: int, least: float) -> dict[str, Any]:
    """One turn on the clock."""
    seconds, outcomes = timed(variant, seed, least)
    moments = Moments(0, [], [])
    for outcome in outcomes:
        moments = moments.joined(Moments.of(outcome.losses))
    return {
        "seconds": seconds,
        "trainings": len(outcomes),
        "losses": moments,
        "updates": outcomes[-1].updates,
        "parameters": outcomes[-1].parameters,
    }


def peak_bytes() -> int:
    """The most memory that this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _reason(error: BaseException) -> str:
    text = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {text[0]}"[:300]


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer every request; the first one brings the jobs."""

    def answer(message: dict[str, Any]) -> None:
        answers.write(line(message))
        answers.flush()

    opening = json.loads(requests.readline())
    ready: list[Ready | None] = []
    for fields in opening["jobs"]:
        job = Job.from_json(fields)
        try:
            ready.append(prepare(job, opening["tuning_seconds"]))
        except Exception as error:
            ready.append(None)
            answer({"failed": _reason(error)})
        else:
            it = ready[-1]
            assert it is not None
            finalists = [[f.variant.label, f.first_seconds] for f in it.finalists]
            answer({"finalists": finalists, "tried": it.tried})
    for request in requests:
        wanted = json.loads(request)
        it = ready[wanted["job"]]
        assert it is not None
        try:
            variant = it.finalists[wanted["finalist"]].variant
            answer(turn(variant, wanted["seed"], wanted["least_seconds"]))
        except Exception as error:
            answer({"failed": _reason(error)})


def main() -> None:
    """Keep standard output for the answers; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
