"""All checks, on one number of devices after the other."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import jax

from jaxnets.population import fit
from jaxnets.verify import continuation, laws, problem
from jaxnets.verify.context import Context, Train
from jaxnets.verify.finding import Finding

T = TypeVar("T")
Law = Callable[[Context], Finding]

LAWS: dict[str, Law] = {
    "1 purity": laws.purity,
    "2 independence": laws.independence,
    "3 equivalence": laws.equivalence,
    "4 continuation": continuation.continuation,
    "5 isolation": laws.isolation,
}
"""What is checked on every number of devices."""

NETWORKS = tuple(problem.CANDIDATES)
BETWEEN = "between devices"


def device_counts(available: int) -> tuple[int, ...]:
    """The numbers of devices that are looked at: at most four, up to all of them.

    Example:
        >>> [device_counts(n) for n in (1, 2, 3, 4, 8, 64)]
        [(1,), (1, 2), (1, 2, 3), (1, 2, 4), (1, 2, 4, 8), (1, 2, 32, 64)]
    """
    wanted = {1, min(2, available), max(1, available // 2), available}
    return tuple(sorted(wanted))


def verify(
    devices: Sequence[int],
    *,
    train: Train = fit,
    networks: Sequence[str] = NETWORKS,
    names: Sequence[str] = tuple(LAWS),
    processes: bool = True,
    started: Callable[[str, tuple[int, ...]], Any] = lambda law, devices: None,
) -> Iterator[Finding]:
    """Check laws, and yield each finding as soon as it is there.

    Args:
        devices: numbers of devices, of `jax.local_devices`.
        train: `jaxnets.fit`, or what takes and returns the same.
        networks: of `jaxnets.verify.problem.CANDIDATES`.
        names: of `LAWS`.
        processes: see `jaxnets.verify.Context`.
        started: told of every check before it begins.

    Yields:
        The findings, number of devices by number of devices; what holds between them comes last.

    Raises:
        ValueError: a number of devices that there is not.
    """
    there = jax.local_devices()
    for count in devices:
        if not 1 <= count <= len(there):
            raise ValueError(f"devices: expected 1 to {len(there)}, got {count}.")
    with contextlib.ExitStack() as stack:
        scratch = TemporaryDirectory(prefix="jaxnets-verify-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(scratch))
        contexts = [
            Context(tuple(there[:count]), folder, train, tuple(networks), processes)
            for count in sorted(set(devices))
        ]
        for context in contexts:
            stack.callback(context.end_process)
        samples = []
        for context in contexts:
            for name in names:
                started(name, context.counts)
                yield _safely(name, context.counts, functools.partial(LAWS[name], context))
            if len(contexts) > 1:  # now, while its programs are still remembered
                samples.append(_attempt(functools.partial(laws.sample, context)))
            context.end_process()
        if len(contexts) > 1:
            counts = tuple(len(context.devices) for context in contexts)
            started(BETWEEN, counts)
            yield _safely(BETWEEN, counts, lambda: laws.agreement([one() for one in samples]))


def _attempt(function: Callable[[], T]) -> Callable[[], T]:
    """Call it now, and give its result or raise its error later."""
    future: Future[T] = Future()
    try:
        future.set_result(function())
    except Exception as error:
        future.set_exception(error)
    return future.result


def _safely(name: str, devices: tuple[int, ...], check: Callable[[], Finding]) -> Finding:
    """A check that breaks is a law that was not seen to hold."""
    try:
        return check()
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Finding(name, devices, 0, 0, float("inf"), 0.0, False, text)
