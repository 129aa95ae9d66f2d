"""Law 4: killed, stopped, extended: the bits of a run that nothing has disturbed."""

import functools
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from jaxnets.population import segments
from jaxnets.population.folder import STATE
from jaxnets.verify import problem
from jaxnets.verify.child import wait_until
from jaxnets.verify.comparison import Comparison, Outcome, compare_all
from jaxnets.verify.context import Context
from jaxnets.verify.finding import Finding, of_law

LONG, TRIES = 2500, 4
"""Epochs of a run that is to be interrupted, which are some chunks of every member; where that is
over before it can be interrupted they are doubled, so often."""

SIGINT_STATUS = 130


def continuation(context: Context) -> Finding:
    """Law 4: a run that is stopped or killed goes on, and a finished one is extended, as if
    nothing had happened.

    A run is stopped by the signal of Ctrl-C; another is killed in a process of its own (SIGKILL);
    both are continued by the same call. A finished run is given more members and more epochs, and
    read again.
    """
    ways: dict[str, Callable[[Context, Path, int], bool]] = {}
    notes = []
    if context.alone:
        notes.append(f"nothing was killed: {context.alone}")
    else:
        ways["killed"] = _killed
    if threading.current_thread() is threading.main_thread():
        ways["stopped"] = _stopped
    else:
        notes.append("nothing was stopped: signals reach the main thread alone")
    found = _extended(context)
    undisturbed = functools.cache(lambda n: context.outcomes(context.members, epochs=n))
    for name, way in ways.items():
        found += _interrupted(name, context, way, undisturbed)
    return of_law("4 continuation", context.counts, found, note="; ".join(notes))


def saved(out: Path) -> int:
    """How many states a folder holds."""
    state = out / STATE
    if not state.is_dir():
        return 0
    return sum(segments.generation_of(path) is not None for path in state.iterdir())


def _interrupted(
    name: str,
    context: Context,
    interrupt: Callable[[Context, Path, int], bool],
    undisturbed: Callable[[int], list[Outcome]],
) -> Comparison:
    """Interrupt a run, continue it, and compare it with one of so many epochs left alone."""
    everyone, epochs = context.members, LONG
    for _ in range(TRIES):
        out = _folder(context)
        if interrupt(context, out, epochs):
            continued = context.outcomes(everyone, epochs=epochs, out=out)
            what = f"{name} and continued"
            return compare_all(what, context.names, continued, undisturbed(epochs))
        if not saved(out):
            raise RuntimeError("nothing was saved in `out`")
        epochs *= 2
    raise RuntimeError(f"no run could be {name}: even {epochs // 2} epochs were over too soon")


def _killed(context: Context, out: Path, epochs: int) -> bool:
    """Kill a process as soon as it has saved something; whether it was at work."""
    process = context.process
    try:
        answer = process.ask({"epochs": epochs, "out": str(out), "save_every": 0.0})

        def begun() -> bool:
            return saved(out) > 0 or answer.exists() or not process.running

        if not wait_until(begun, context.timeout):
            raise RuntimeError(f"a run had saved nothing after {context.timeout:g} s")
        failed = not process.running
    finally:
        context.end_process()
    if failed:
        raise RuntimeError(f"a process of its own failed: {process.last_words()}")
    return not answer.exists()


def _stopped(context: Context, out: Path, epochs: int) -> bool:
    """Send the signal of Ctrl-C as soon as something is saved; whether that stopped the run."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if saved(out):
                signal.raise_signal(signal.SIGINT)
                return
            over.wait(0.002)

    watcher = threading.Thread(target=watch, daemon=True)
    # A signal that comes when the run is over already is to do nothing.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        watcher.start()
        context.run(context.members, epochs=epochs, out=out, save_every=0.0)
    except KeyboardInterrupt as stop:
        if getattr(stop, "status", SIGINT_STATUS) != SIGINT_STATUS:
            raise  # somebody else's wish
        return True
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    return False


def _extended(context: Context) -> Comparison:
    """More members and more epochs in the folder of a finished run; and the same call again."""
    half, out = problem.EPOCHS // 2, _folder(context)
    few = problem.members(context.networks, range(2))
    names = [problem.describe(one) for one in few]
    finished = context.outcomes(few, epochs=half, out=out)
    undisturbed = context.outcomes(context.members)
    found = compare_all(
        "a finished run, after more epochs",
        names,
        [_curves(one, half) for one in finished],
        [_curves(undisturbed[context.names.index(name)], half) for name in names],
    )
    for what in ("extended by members and epochs", "extended, and read again"):
        extended = context.outcomes(context.members, out=out)
        found += compare_all(what, context.names, extended, undisturbed)
    return found


def _curves(outcome: Outcome, epochs: int) -> Outcome:
    return {
        name: array[:epochs]
        for name, array in outcome.items()
        if name.startswith(("history/train_", "history/valid_"))
    }


def _folder(context: Context) -> Path:
    return Path(mkdtemp(dir=context.folder, prefix="out-"))
