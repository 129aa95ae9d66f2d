"""Laws 1, 2, 3 and 5, and what holds between numbers of devices."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxnets.population import Member, Runs
from jaxnets.verify import plain, problem
from jaxnets.verify.child import read
from jaxnets.verify.comparison import NOTHING, Outcome, compare, compare_all, outcomes
from jaxnets.verify.context import Context
from jaxnets.verify.finding import Finding, of_law

EQUIVALENCE = 1e-4
"""Of law 3, after twelve steps: relative to the largest weight, statistic or loss."""

DRAWS, BETWEEN = 1e-6, 1e-3
"""Between numbers of devices: weights that were drawn and what follows from them without a step
of the optimizer; and networks that were trained, in which rounding has had time to grow."""


def purity(context: Context) -> Finding:
    """Law 1: the same again, compiled again, and in a fresh process."""
    everyone, names = context.members, context.names
    answer, why_not = None, context.alone
    if not why_not:
        context.end_process()  # a fresh one
        answer = context.process.ask({})
    first = context.outcomes(everyone)
    found = compare_all("the second time", names, context.outcomes(everyone), first)
    context.forget()
    found += compare_all("compiled again", names, context.outcomes(everyone), first)
    note = f"no fresh process: {why_not}"
    if answer is not None:
        context.process.wait(answer, context.timeout)
        found, note = found + compare_all("in a fresh process", names, read(answer), first), ""
    return of_law("1 purity", context.counts, found, note=note)


def independence(context: Context) -> Finding:
    """Law 2: other places, neighbours and numbers of members; one member alone; a replay."""
    everyone, names = context.members, context.names
    runs = context.run(everyone)
    first, count = outcomes(runs), len(everyone)
    found = NOTHING

    def check(what: str, places: Sequence[int], more: Sequence[Member] = ()) -> None:
        nonlocal found
        others = context.outcomes([*(everyone[i] for i in places), *more])[: len(places)]
        picked = [names[i] for i in places], others, [first[i] for i in places]
        found += compare_all(what, *picked)

    check("every member one place further", [(i + 1) % count for i in range(count)])
    check("in reverse order", range(count)[::-1])
    check("without every third member", [i for i in range(count) if i % 3])
    check("with more members", range(count), problem.members(context.networks, [101, 102]))
    for i in one_each(everyone):
        check("alone", [i])
        last = outcomes(runs.replay(i + 1))
        found += compare_all("replayed", [names[i + 1]], last, [first[i + 1]])
    return of_law("2 independence", context.counts, found)


def equivalence(context: Context) -> Finding:
    """Law 3: what a loop that was written by hand with Flax and Optax gives."""
    everyone = context.members
    ours = context.outcomes(everyone)
    found = NOTHING
    for i, one in enumerate(everyone):
        if one.seeds["seed"] < 2:  # one of every rate
            theirs = plain.train(one)
            mine = {k: v for k, v in ours[i].items() if k in theirs or not k.startswith("history/")}
            found += compare(problem.describe(one), mine, theirs, relative=True)
    return of_law("3 equivalence", context.counts, found, tolerance=EQUIVALENCE)


def isolation(context: Context) -> Finding:
    """Law 5: a member of every network diverges; it is named and frozen, and nobody else notices.

    The others are compared with a run in which the same places are taken by healthy members, so
    that nothing differs but the divergence.
    """
    healthy, names = context.members, context.names
    places = [i + 1 for i in one_each(healthy)]
    absurd = list(healthy)
    for i in places:
        numbers = {**healthy[i].numbers, "learning_rate": problem.ABSURD}
        absurd[i] = dataclasses.replace(healthy[i], numbers=numbers)
    without, runs = context.outcomes(healthy), context.run(absurd)
    after = outcomes(runs)
    others = [i for i in range(len(healthy)) if i not in places]
    found = compare_all(
        "beside a member that diverged",
        [names[i] for i in others],
        [after[i] for i in others],
        [without[i] for i in others],
    )
    problems = [*_naming(runs, places), *(f for i in places for f in _frozen(after[i], absurd[i]))]
    return of_law("5 isolation", context.counts, found, problems=problems)


class Sample(NamedTuple):
    """What is compared between numbers of devices.

    Attributes:
        devices: how many.
        members: the members.
        still: outcomes of members whose learning rate is zero.
        trained: outcomes of members that were trained.
    """

    devices: int
    members: list[Member]
    still: list[Outcome]
    trained: list[Outcome]


def sample(context: Context) -> Sample:
    """Train what is to be compared with the same on another number of devices."""
    everyone = problem.members(context.networks, range(3))
    still = problem.members(context.networks, range(3), learning_rate=0.0)
    found = context.outcomes(still + everyone)
    return Sample(len(context.devices), everyone, found[: len(still)], found[len(still) :])


def agreement(samples: Sequence[Sample]) -> Finding:
    """Between numbers of devices: the same members and draws, and nearly the same results.

    Members whose learning rate is zero show what was drawn (weights, order, dropout): their
    weights and losses must agree to `DRAWS`, where any other draw would change a loss by
    percents. The trained ones must agree to `BETWEEN`.
    """
    base = samples[0]
    names, draws, trained = [problem.describe(m) for m in base.members], NOTHING, NOTHING
    for other in samples[1:]:
        what = f"{other.devices} devices against {base.devices}"
        draws += compare_all(f"{what}, untrained", names, other.still, base.still, relative=True)
        trained += compare_all(what, names, other.trained, base.trained, relative=True)
    problems = []
    if not draws.largest <= DRAWS:
        problems.append(f"another draw: {draws.where} differs by {draws.largest:.1e}")
    counts = tuple(one.devices for one in samples)
    both = draws + trained
    return of_law("between devices", counts, both, tolerance=BETWEEN, problems=problems)


def one_each(members: Sequence[Member]) -> list[int]:
    """The place of the first member of every network."""
    found: dict[str, int] = {}
    for i, one in enumerate(members):
        found.setdefault(problem.candidate_of(one), i)
    return list(found.values())


def _naming(runs: Runs, places: Sequence[int]) -> list[str]:
    named = [row for row, _, _ in runs.diverged]
    if named != sorted(places):
        return [f"members {sorted(places)} were to diverge, {named} are named"]
    return [
        f"member {row}: {quantity!r} at step {at} is no quantity"
        for row, at, quantity in runs.diverged
        if quantity not in ("loss", "gradient", "update") or at < 0
    ]


def _frozen(outcome: Outcome, one: Member) -> list[str]:
    """Whether a diverged member has the last state that was finite, by a loop of one's own."""
    who, at = problem.describe(one), int(outcome["history/fault_step"])
    if at < 0:
        return []  # it did not diverge, which is said elsewhere
    kept = {k: v for k, v in outcome.items() if not k.startswith("history/")}
    if not all(np.isfinite(array).all() for array in kept.values()):
        return [f"{who}: what was kept is not finite"]
    before, after = itertools.islice(plain.steps(one), at, at + 2)
    found = compare(f"{who}, frozen", kept, plain.weights(before.state), relative=True)
    if not found.largest <= EQUIVALENCE:
        return [f"{found.where} differs by {found.largest:.1e} from the state before step {at}"]
    state = [np.asarray(before.loss), *plain.weights(after.state).values()]
    if all(np.isfinite(array).all() for array in state):
        return [f"{who}: step {at} would have been finite"]
    return []
