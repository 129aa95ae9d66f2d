"""Train what a plan says: compile ahead in threads, run piece after piece, report as it goes."""

import gc
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import jax

from jaxnets.population import memory
from jaxnets.population.blocks import Blocks
from jaxnets.population.folder import keeping, shared_settings
from jaxnets.population.group import Keep, Known, look, run_group
from jaxnets.population.plan import Plan, Program, make_plan
from jaxnets.population.program import Compiled, Data, place
from jaxnets.population.progress import Progress, make_progress
from jaxnets.population.results import GroupResult, Runs
from jaxnets.population.saver import SAVE_EVERY, Saver
from jaxnets.population.spec import make_spec
from jaxnets.population.stopping import Stopped


def fit(
    key: jax.Array,
    data: Any,
    members: object,
    *,
    loss: Any,
    epochs: int,
    optimizer: Any = "adam",
    batch_size: int = 32,
    lanes: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: bool | None = None,
    out: str | Path | None = None,
    save_every: float = SAVE_EVERY,
    **options: Any,
) -> Runs:
    """Train a population; a single network is a population of one.

    A member's result is a function of the root key, its own seeds and its own settings: not of
    the other members, their number or their order (see the laws in the README).

    Args:
        key: the root key, ``jax.random.key(...)``.
        data: a `jaxnets.data.Dataset`. If it has a validation part, each member keeps the weights
            that were best on it. Training rows may stay on the disk (`jaxnets.data.from_memmap`,
            `jaxnets.data.from_source`); then a run is saved and continued within an epoch, too.
        members: a list of members (`jaxnets.grid`, `jaxnets.member`), or one network.
        loss: a name of `jaxnets.losses.LOSSES` or ``(outputs, batch, **numbers) -> (batch,)``.
        epochs: passes over the training part.
        optimizer: a name, `jaxnets.optim.adam(...)`, any ``optax.GradientTransformation``, or a
            function of named numbers that returns one.
        batch_size: examples per step; the last batch of an epoch is smaller where it must be.
        lanes: members side by side on each device, see `make_plan`.
        devices: where to run; ``None``: every local device.
        progress: show a progress bar; ``None``: if standard error is a terminal.
        out: a folder in which what has been reached is saved and found again: the same call
            continues where it was stopped or killed, and ends in the same bits. A call for more
            members or more epochs trains only what is new. Everything else must stay the same;
            of your own functions their code is compared, see `jaxnets.population.identity`. The
            first Ctrl-C or SIGTERM finishes the chunk and saves.
        save_every: seconds between two saves; more where saving would take over 3 % of the time.
            0: whenever it is possible, whatever it takes.
        **options: ``metrics``, ``shuffle``, ``augment``, ``keep``, ``monitor``, ``patience``,
            ``unroll`` (see `jaxnets.train.Recipe`), ``history_every`` (epochs between two
            records) and ``precision`` of matrix products (``"highest"``).

    Returns:
        The trained members with their history.

    Raises:
        ValueError, TypeError: before anything is compiled, naming member and argument; or
            ``out`` holds something else, naming the first difference.
        OSError: ``out`` cannot be written to, or another process is at work there.
        KeyboardInterrupt: stopped; with ``out``, saved, and the text says how to go on.

    Warns:
        RuntimeWarning: a saved state is damaged and not used, or could not be written.

    Example:
        >>> import jax, jaxnets as jn
        >>> x = jax.random.normal(jax.random.key(1), (60, 2))
        >>> data = jn.data.from_arrays(x, (x[:, 0] > 0).astype("int32"), key=jax.random.key(2))
        >>> network = jn.nn.MLP([8], outputs=2)
        >>> members = jn.grid(network=network, learning_rate=[0.01, 0.1], seed=range(2))
        >>> runs = fit(jax.random.key(0), data, members, loss="softmax_cross_entropy", epochs=3)
        >>> dict(runs.history.sizes)
        {'member': 4, 'epoch': 3}
    """
    spec = make_spec(
        key, data, members, epochs=epochs, loss=loss, optimizer=optimizer, batch_size=batch_size,
        **options,
    )  # fmt: skip
    plan = make_plan(spec, lanes=lanes, devices=devices)
    if out is None:
        with make_progress(plan, progress) as bar:
            return runs_of(plan, execute(plan, bar))
    settings = shared_settings(
        spec, loss=loss, optimizer=optimizer, batch_size=batch_size, lanes=lanes, **options
    )
    with (
        keeping(Path(out), plan, settings, save_every=save_every) as keep,
        make_progress(plan, progress) as bar,
    ):
        return runs_of(plan, execute(plan, bar, keep))


def runs_of(plan: Plan, results: Iterable[GroupResult]) -> Runs:
    """The trained members, with the plan as it was carried out: a program that a device had no
    memory for was made smaller.
    """
    groups = tuple(results)
    return Runs(replace(plan, programs=tuple(group.program for group in groups)), groups)


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
        MemoryError: a device has no memory for a single member.

    Warns:
        RuntimeWarning: a program was halved (with ``keep``, its store tells).
    """
    if keep is not None and keep.processes is not None:
        keep = _train_share(plan, progress, keep, compile_first)
    groups = [look(plan, program, keep) for program in plan.programs]
    if progress is not None:
        for known in groups:
            progress.skip(known.program, len(known.done), known.behind)
    yield from _execute(plan, groups, progress, keep, compile_first)


def _train_share(plan: Plan, progress: Progress | None, keep: Keep, compile_first: bool) -> Keep:
    """Train this process's share of the members, and wait until the others have trained theirs:
    then everything is in the folder.
    """
    processes = keep.processes
    assert processes is not None
    known = [look(plan, program, keep) for program in plan.programs]
    mine = [group.share(processes.index, processes.count) for group in known]
    mine = [group for group in mine if group.missing.size]
    for _ in _execute(plan, mine, progress, keep, compile_first):
        pass
    processes.meet("trained")
    return keep._replace(store=keep.store.again(), processes=None)


def _execute(
    plan: Plan,
    groups: Sequence[Known],
    progress: Progress | None,
    keep: Keep | None,
    compile_first: bool,
) -> Iterator[GroupResult]:
    workers = max(1, min(len(groups), os.cpu_count() or 1))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="compile")
    saver = None if keep is None else Saver(keep.store, keep.save_every)
    complete = save = False
    try:
        placed: dict[tuple[jax.Device, ...], Data] = {}
        compiling: list[Future[tuple[Compiled | Blocks, float]] | None] = []
        for known in groups:
            if not known.missing.size:
                compiling.append(None)
                continue
            devices = known.program.devices
            if devices not in placed:
                placed[devices] = place(plan.spec.data, known.program)
            compiling.append(pool.submit(_compile, plan, known.program, placed[devices]))
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
                if progress is not None and here is not None:
                    progress.back(here)
                known = _smaller(known, result, keep)
                data, future = placed[known.program.devices], None
                if known.missing.size:
                    future = pool.submit(_compile, plan, known.program, data)
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


def _attempt(
    known: Known,
    future: Future[tuple[Compiled | Blocks, float]] | None,
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
        return run_group(known, compiled, seconds, progress, keep, saver)
    except (RuntimeError, MemoryError) as error:
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
        if keep.halved is not None:
            keep.halved.append({
                "network": before.group.recipe.network.name,
                "lanes": [before.lanes, program.lanes],
                "turns": [before.turns, program.turns],
            })  # fmt: skip
    return known.again(program, keep)


def _compile(plan: Plan, program: Program, data: Data) -> tuple[Compiled | Blocks, float]:
    start = perf_counter()
    kind = Compiled if plan.spec.data.train.in_memory else Blocks
    compiled = kind(plan.spec, program, data)
    return compiled, perf_counter() - start


def _wait(future: Future[tuple[Compiled | Blocks, float]] | None, keep: Keep | None) -> None:
    """Until it is compiled; a request to stop is heard meanwhile."""
    if future is None:
        return
    while keep is not None and not future.done():
        keep.stop.raise_if_made(keep.store.folder.parent)
        wait([future], timeout=0.2)
    wait([future])
