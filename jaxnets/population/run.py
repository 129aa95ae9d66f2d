"""Train what a plan says: compile ahead in threads, train piece after piece, report as it goes."""

import gc
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import jax

from jaxnets import files
from jaxnets.devices import cores
from jaxnets.population import memory
from jaxnets.population.crew import Crew, Event
from jaxnets.population.engine import Engine
from jaxnets.population.group import Keep, Known, look
from jaxnets.population.group_result import GroupResult
from jaxnets.population.lanes import Data, place
from jaxnets.population.piece import Piece
from jaxnets.population.plan import Plan, Program
from jaxnets.population.progress import Progress, Tally
from jaxnets.population.saver import Finished, Saver
from jaxnets.population.stopping import Stopped
from jaxnets.population.training import Compiling, Training
from jaxnets.population.ways import way_of
from jaxnets.settings import carried


def execute(
    plan: Plan,
    progress: Progress | None = None,
    keep: Keep | None = None,
    *,
    compile_first: bool = False,
) -> Iterator[GroupResult]:
    """Train all groups, and yield them in the order of the plan, each when it is done.

    All programs are compiled at once in threads; the group whose members take longest begins as
    soon as its own is ready. A group of which everything is saved is read, and not compiled. Where
    a device has no memory for a program, the program is halved and its group begun again (what is
    saved is kept).

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
    pool = ThreadPoolExecutor(max(1, min(len(groups), cores())), thread_name_prefix="compile")
    crew, count = None, _workers(groups)
    savers = [] if keep is None else _savers(keep, count)
    complete = save = False
    try:
        _check_room(groups, keep)
        data = _placed(plan) if any(known.missing.size for known in groups) else None

        def begin(known: Known) -> Training:
            tally = None if progress is None else Tally(progress, known.program)
            return Training(known, _begin(pool, known, data), tally, keep)

        trainings = {place: begin(groups[place]) for place in _long_first(groups)}
        if compile_first:
            for training in trainings.values():
                training.wait()
        for place in range(len(groups)):
            while not trainings[place].complete:
                if crew is None:
                    crew = Crew(list(trainings.values()), savers or [None] * count)
                    crew.begin()
                refused = _refused([crew.hear()])
                if refused:
                    refused |= _refused(crew.end(soon=False))
                    crew = None
                    for saver in savers:
                        saver.flush()
                    for at, training in trainings.items():
                        if training in refused:
                            smaller = _smaller(training, refused[training], progress, keep)
                            trainings[at] = begin(smaller)
            yield trainings[place].result()
        complete = save = True
    except Stopped:
        save = True
        if crew is not None and keep is not None:
            crew.end()  # the others have come to this, too
            saved = [saver.flush() for saver in savers]
            keep.stop.raise_if_made(keep.store.folder.parent, all(saved))
        raise
    except (Exception, GeneratorExit):
        save = True  # what is done is saved, whatever has gone wrong with the rest
        raise
    finally:
        if crew is not None:
            crew.end()
        for saver in savers:
            saver.close(save)
        # Compilation cannot be interrupted: what is under way ends by itself.
        pool.shutdown(wait=complete, cancel_futures=True)


def _savers(keep: Keep, count: int) -> list[Saver]:
    finished = Finished(keep.store)
    return [Saver(keep.store, keep.save_every, finished) for _ in range(count)]


def _workers(groups: Sequence[Known]) -> int:
    """As many as have something to do."""
    programs = [known.program for known in groups if known.missing.size]
    most = max((program.workers for program in programs), default=1)
    return max(1, min(most, sum(program.pieces for program in programs)))


def _long_first(groups: Sequence[Known]) -> list[int]:
    """The places of groups in the order in which they are begun: what takes longest is not to be
    last, when nothing is left that could be done beside it (Graham 1969).
    """
    return sorted(range(len(groups)), key=lambda place: -groups[place].program.member_flops)


def _refused(events: Sequence[Event]) -> dict[Training, str]:
    """What workers say: members that have come to their end are added. The groups for which a
    device has no memory, and what it said: its error itself ends here, and with it what it holds.
    """
    found = {}
    for training, what in events:
        if isinstance(what, Piece):
            training.add(what)
            continue
        reason = memory.refusal(what) if isinstance(what, jax.errors.JaxRuntimeError) else None
        if reason is None:
            raise what
        if memory.halved(training.known.program) is None:
            raise memory.advice(training.known.program, reason) from what
        found[training] = reason
    return found


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


def _smaller(
    training: Training, reason: str, progress: Progress | None, keep: Keep | None
) -> Known:
    """The same members in a program of half the size; everybody is told."""
    gc.collect()  # an error's frames hold on to what is on the device
    known = training.known
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
    now = known.again(program, keep)
    if progress is not None and training.tally is not None:
        training.tally.undo()
        done = len(now.done) - len(known.done)
        progress.skip(program, done, now.behind - known.behind)
    return now


def _compile(plan: Plan, program: Program, data: Data) -> tuple[Engine, float]:
    start = perf_counter()
    engine = way_of(plan.spec.data).engine(plan.spec, program, data)
    return engine, perf_counter() - start
