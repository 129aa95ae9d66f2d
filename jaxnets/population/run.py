"""Train what a plan says: compile ahead in threads, run piece after piece, report as it goes."""

import gc
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from time import perf_counter

import jax

from jaxnets import files
from jaxnets.devices import cores
from jaxnets.population import memory
from jaxnets.population.engine import Engine
from jaxnets.population.group import Keep, Known, look, run_group
from jaxnets.population.group_result import GroupResult
from jaxnets.population.lanes import Data, place
from jaxnets.population.plan import Plan, Program
from jaxnets.population.progress import Progress
from jaxnets.population.saver import Saver
from jaxnets.population.stopping import Stopped
from jaxnets.population.ways import way_of
from jaxnets.settings import carried, with_nans

Compiling = Future[tuple[Engine, float]]


def execute(
    plan: Plan,
    progress: Progress | None = None,
    keep: Keep | None = None,
    *,
    compile_first: bool = False,
) -> Iterator[GroupResult]:
    """Train group after group, in the order of the plan, and yield each when it is done.

    All programs are compiled at once in threads; the first group begins as soon as its own is
    ready. A group of which everything is saved is read, and not compiled. Where a device has no
    memory for a program, the program is halved and its group begun again (what is saved is kept).

    Args:
        plan: what to run.
        progress: told of compilation and of every chunk.
        keep: where progress is kept and found; ``None``: nowhere.
        compile_first: compile everything before anything runs: a program that shares the cores
            with the compilation of another looks slower than it is.

    Yields:
        One result per program.

    Raises:
        Stopped: somebody has asked to stop, and everything is saved.
        MemoryError: a device has no memory for the data, or for a single member.
        OSError: the disk has no room for the states of the members that are missing.

    Warns:
        RuntimeWarning: a program was halved (with ``keep``, its store tells).
    """
    if keep is not None and keep.processes is not None:
        # All of its progress is made there: the others' members count as done from the beginning.
        keep, progress = _train_share(plan, progress, keep, compile_first), None
    groups = [look(plan, program, keep) for program in plan.programs]
    _skip(progress, groups)
    yield from _execute(plan, groups, progress, keep, compile_first)


def _train_share(plan: Plan, progress: Progress | None, keep: Keep, compile_first: bool) -> Keep:
    """Train this process's share of the members, and wait until the others have trained theirs:
    then everything is in the folder.
    """
    processes = keep.processes
    assert processes is not None
    known = [look(plan, program, keep) for program in plan.programs]
    mine = [group.share(processes.index, processes.count) for group in known]
    _skip(progress, mine)
    mine = [group for group in mine if group.missing.size]
    for _ in _execute(plan, mine, progress, keep, compile_first):
        pass
    processes.meet("trained")
    return keep._replace(store=keep.store.again(), processes=None)


def _skip(progress: Progress | None, groups: Sequence[Known]) -> None:
    """All that is not to be trained here is behind us."""
    if progress is not None:
        for known in groups:
            others = len(known.found) - len(known.missing)
            epochs = known.behind + known.plan.spec.epochs * (others - len(known.done))
            progress.skip(known.program, others, epochs)


def _execute(
    plan: Plan,
    groups: Sequence[Known],
    progress: Progress | None,
    keep: Keep | None,
    compile_first: bool,
) -> Iterator[GroupResult]:
    workers = max(1, min(len(groups), cores()))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="compile")
    saver = None if keep is None else Saver(keep.store, keep.save_every)
    complete = save = False
    try:
        _check_room(groups, keep)
        data = _placed(plan) if any(known.missing.size for known in groups) else None
        compiling = [_begin(pool, known, data) for known in groups]
        if compile_first:
            for future in compiling:
                _wait(future, keep)
        for known, future in zip(groups, compiling, strict=True):
            here = None if progress is None else progress.here()
            while True:
                result = _attempt(known, future, progress, keep, saver)
                if isinstance(result, GroupResult):
                    break
                if saver is not None:
                    saver.flush()
                before, known = known, _smaller(known, result, keep)
                if progress is not None and here is not None:
                    progress.back(here)
                    done = len(known.done) - len(before.done)
                    progress.skip(known.program, done, known.behind - before.behind)
                    here = progress.here()
                future = _begin(pool, known, data)
            yield result
        complete = save = True
    except (Exception, GeneratorExit, Stopped):
        save = True  # what is done is saved, whatever has gone wrong with the rest
        raise
    finally:
        if saver is not None:
            saver.close(save)
        # Compilation cannot be interrupted: what is under way ends by itself.
        pool.shutdown(wait=complete, cancel_futures=True)


def _check_room(groups: Sequence[Known], keep: Keep | None) -> None:
    """A disk without room for those that are missing is found before they are trained."""
    needed = sum(
        known.missing.size * known.program.saved_bytes(len(known.plan.spec.records))
        for known in groups
    )
    if keep is not None and needed:
        files.check_room(keep.store.folder.parent, needed)


def _placed(plan: Plan) -> Data:
    """The data on the devices, which are those of every program."""
    try:
        return jax.block_until_ready(place(plan.spec.data, plan.programs[0]))
    except jax.errors.JaxRuntimeError as error:
        reason = memory.refusal(error)
        if reason is None:
            raise
        raise memory.no_room(plan, reason) from error


def _begin(pool: ThreadPoolExecutor, known: Known, data: Data | None) -> Compiling | None:
    """Compile what is needed for the missing members, if there are any."""
    if data is None or not known.missing.size:
        return None
    return pool.submit(carried(_compile), known.plan, known.program, data)


def _attempt(
    known: Known,
    future: Compiling | None,
    progress: Progress | None,
    keep: Keep | None,
    saver: Saver | None,
) -> GroupResult | str:
    """Train a group, or say what the device said that had no memory for it. The error itself ends
    here, and with it what it holds on the device.
    """
    try:
        _wait(future, keep)
        compiled, seconds = (None, 0.0) if future is None else future.result()
        with with_nans():
            return run_group(known, compiled, seconds, progress, keep, saver)
    except jax.errors.JaxRuntimeError as error:
        reason = memory.refusal(error)
        if reason is None:
            raise
        if memory.halved(known.program) is None:
            raise memory.advice(known.program, reason) from error
        return reason


def _smaller(known: Known, reason: str, keep: Keep | None) -> Known:
    """The same members in a program of half the size; everybody is told."""
    gc.collect()  # an error's frames hold on to what is on the device
    before, program = known.program, memory.halved(known.program)
    assert program is not None
    text = memory.said(before, program, reason)
    if keep is None:
        warnings.warn(text, RuntimeWarning, stacklevel=4)
    else:
        keep.store.tell(text)
        keep.halved.append({
            "network": before.group.recipe.network.name,
            "lanes": [before.lanes, program.lanes],
            "turns": [before.turns, program.turns],
        })  # fmt: skip
    return known.again(program, keep)


def _compile(plan: Plan, program: Program, data: Data) -> tuple[Engine, float]:
    start = perf_counter()
    engine = way_of(plan.spec.data).engine(plan.spec, program, data)
    return engine, perf_counter() - start


def _wait(future: Compiling | None, keep: Keep | None) -> None:
    """Until it is compiled; a request to stop is heard meanwhile."""
    if future is None:
        return
    while keep is not None and not future.done():
        keep.stop.raise_if_made(keep.store.folder.parent)
        wait([future], timeout=0.2)
    wait([future])
