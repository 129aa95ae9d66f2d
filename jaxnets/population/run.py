"""Train what a plan says: compile ahead in threads, run piece after piece, report as it goes."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import jax
import numpy as np

from jaxnets.population.plan import Plan, Program, make_plan
from jaxnets.population.program import Compiled, Data, Span, place
from jaxnets.population.progress import Progress, make_progress
from jaxnets.population.results import GroupResult, Runs
from jaxnets.population.spec import make_spec
from jaxnets.train import Run


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
    **options: Any,
) -> Runs:
    """Train a population; a single network is a population of one.

    A member's result is a function of the root key, its own seeds and its own settings: not of
    the other members, their number or their order (see the laws in the README).

    Args:
        key: the root key, ``jax.random.key(...)``.
        data: a `jaxnets.data.Dataset`. If it has a validation part, each member keeps the weights
            that were best on it.
        members: a list of members (`jaxnets.grid`, `jaxnets.member`), or one network.
        loss: a name of `jaxnets.losses.LOSSES` or ``(outputs, batch, **numbers) -> (batch,)``.
        epochs: passes over the training part.
        optimizer: a name, `jaxnets.optim.adam(...)`, any ``optax.GradientTransformation``, or a
            function of named numbers that returns one.
        batch_size: examples per step; the last batch of an epoch is smaller where it must be.
        lanes: members side by side on each device, see `make_plan`.
        devices: where to run; ``None``: every local device.
        progress: show a progress bar; ``None``: if standard error is a terminal.
        **options: ``metrics``, ``shuffle``, ``augment``, ``keep``, ``monitor``, ``patience``,
            ``unroll`` (see `jaxnets.train.Recipe`), ``history_every`` (epochs between two
            records) and ``precision`` of matrix products (``"highest"``).

    Returns:
        The trained members with their history.

    Raises:
        ValueError, TypeError: before anything is compiled, naming member and argument.

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
    with make_progress(plan, progress) as bar:
        return Runs(plan, tuple(execute(plan, bar)))


def execute(plan: Plan, progress: Progress | None = None) -> Iterator[GroupResult]:
    """Train group after group, in the order of the plan, and yield each when it is done.

    All programs are compiled at once in threads; the first group begins as soon as its own is
    ready.

    Args:
        plan: what to run.
        progress: told of compilation and of every chunk.

    Yields:
        One result per program.
    """
    workers = max(1, min(len(plan.programs), os.cpu_count() or 1))
    with ThreadPoolExecutor(workers, thread_name_prefix="compile") as pool:
        placed: dict[tuple[jax.Device, ...], Data] = {}
        compiling: list[Future[tuple[Compiled, float]]] = []
        for program in plan.programs:
            if program.devices not in placed:
                placed[program.devices] = place(plan.spec.data, program)
            compiling.append(pool.submit(_compile, plan, program, placed[program.devices]))
        try:
            for future in compiling:
                compiled, seconds = future.result()
                yield _run_group(plan, compiled, seconds, progress)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _compile(plan: Plan, program: Program, data: Data) -> tuple[Compiled, float]:
    start = perf_counter()
    compiled = Compiled(plan.spec, program, data)
    return compiled, perf_counter() - start


@dataclass
class _Piece:
    """The members of one dispatch after their last chunk, on the host; padding is gone."""

    kept: tuple[Any, Any]
    epochs: np.ndarray
    best_epoch: np.ndarray
    steps: np.ndarray
    fault: np.ndarray
    history: dict[str, np.ndarray]


def _run_group(
    plan: Plan, compiled: Compiled, compile_seconds: float, progress: Progress | None
) -> GroupResult:
    program, start = compiled.program, perf_counter()
    count = len(program.group.rows)
    pieces = []
    for first in range(0, count, program.width):
        places = np.arange(first, first + program.width)
        real = int(min(program.width, count - first))
        # Padding repeats the last member: work that is thrown away, and cannot be told from real
        # work by the program.
        lanes = compiled.lanes(np.minimum(places, count - 1))
        run, history = _run_piece(plan, compiled, lanes, real, progress)
        pieces.append(_collect(run, history, real))
    return GroupResult.from_pieces(
        program=program,
        pieces=pieces,
        compile_seconds=compile_seconds,
        run_seconds=perf_counter() - start,
    )


def _run_piece(
    plan: Plan, compiled: Compiled, lanes: Any, real: int, progress: Progress | None
) -> tuple[Run, dict[str, np.ndarray]]:
    epochs, run = plan.spec.epochs, compiled.begin(lanes)
    chunk = compiled.program.chunk_epochs
    parts: list[dict[str, np.ndarray]] = []
    waiting: tuple[Any, Any, int, int] | None = None
    for start in range(0, epochs, chunk):
        stop = min(start + chunk, epochs)
        run, history = compiled(run, lanes, Span(np.int32(start), np.int32(stop)))
        # Looking at a chunk waits for it, so the next one is under way before the last is looked
        # at. `active` is a new array: the state itself is given away to the next chunk.
        active = _still_active(run)
        if waiting is not None and not _look(plan, compiled, waiting, parts, real, progress):
            waiting = (history, active, start, stop)
            break
        waiting = (history, active, start, stop)
    if waiting is not None:
        _look(plan, compiled, waiting, parts, real, progress)
    done = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    if progress is not None:
        progress.finish_piece(compiled.program, real)
    return run, done


def _still_active(run: Run) -> Any:
    return _ACTIVE(run.train.fault, run.stopped)


_ACTIVE = jax.jit(lambda fault, stopped: (fault == 0) & ~stopped)


def _look(
    plan: Plan,
    compiled: Compiled,
    waiting: tuple[Any, Any, int, int],
    parts: list[dict[str, np.ndarray]],
    real: int,
    progress: Progress | None,
) -> bool:
    """Take one chunk's history to the host; whether any member still trains."""
    history, active, start, stop = waiting
    periods = -(-(stop - start) // plan.spec.history_every)
    parts.append({name: np.array(values)[:real, :periods] for name, values in history.items()})
    if progress is not None:
        progress.advance(compiled.program, real, stop - start, stop)
    return bool(np.asarray(active)[:real].any())


def _collect(run: Run, history: dict[str, np.ndarray], real: int) -> _Piece:
    def host(tree: Any) -> Any:
        # A copy: on a CPU the array would share memory with a buffer that the next piece reuses.
        return jax.tree.map(lambda a: np.array(a[:real]), jax.device_get(tree))

    return _Piece(
        kept=host(run.kept),
        epochs=host(run.epoch),
        best_epoch=host(run.kept_epoch),
        steps=host(run.train.step),
        fault=host(run.train.fault),
        history=history,
    )
