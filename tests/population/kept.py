"""A small population that is kept in a folder, and ways to disturb it.

Run as a program it trains a part of it and then waits to be killed.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.population import plan, saver
from jaxnets.population.folder import STATE
from jaxnets.population.identity import members as identities
from jaxnets.population.piece import PieceRun
from jaxnets.population.program import Compiled
from jaxnets.population.rows import Layout, Rows
from jaxnets.population.store import Store
from tests.small import DATA, LOSS, ROOT

NET = jn.nn.MLP([4], outputs=3, dropout_rate=0.2, norm="batch")
RATES = (0.05, 1e30)
ONE = jax.local_devices()[:1]
"""One worker trains one piece after the other: what comes when can be counted."""
EPOCHS, EVERY = 7, 2


def members(seeds: int = 2, rates: tuple[float, ...] = RATES, network: Any = NET) -> list[Any]:
    """Of each seed one member that learns and one that diverges."""
    return jn.grid(network=network, seed=range(seeds), learning_rate=list(rates))


def train(out: Path | None = None, who: Any = None, **options: Any) -> jn.Runs:
    """Momentum, dropout, batch normalisation, early stopping; a chunk is two epochs long."""
    given = {
        "loss": LOSS, "optimizer": "momentum", "batch_size": 4, "epochs": EPOCHS,
        "history_every": EVERY, "patience": 5, "save_every": 0.0, "devices": ONE,
    } | options  # fmt: skip
    if out is None:
        del given["save_every"]
    else:
        given["out"] = out
    return jn.fit(ROOT, DATA, members() if who is None else who, **given)


def states(out: Path, runs: jn.Runs) -> list[Rows]:
    """All that is saved of the members of every program."""
    store, spec, found = Store(out / STATE, pytest.fail), runs.plan.spec, []
    for program in runs.plan.programs:
        places = store.find(identities(spec, program), spec.epochs, spec.history_every)
        assert all(place is not None and place.done(spec.epochs) for place in places)
        rows = store.load(Layout(spec, program), places, list(range(len(places))))
        found.append(rows)
    return found


def bits(tree: Any) -> list[bytes]:
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def check_same(found: jn.Runs, expected: jn.Runs) -> None:
    """Weights and histories, bit for bit."""
    for a, b in zip(found.groups, expected.groups, strict=True):
        ours, theirs = (
            (g.kept, g.epochs, g.best_epoch, g.steps, g.fault, dict(g.history)) for g in (a, b)
        )
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        assert bits(ours) == bits(theirs)
    assert found.history.identical(expected.history)


def check_same_states(found: list[Rows], expected: list[Rows]) -> None:
    """Everything that training would go on from, bit for bit."""
    for a, b in zip(found, expected, strict=True):
        assert a.run.train.opt_state is not None
        assert bits(a.run) == bits(b.run)
        assert jax.tree.structure(a.run) == jax.tree.structure(b.run)


def small_chunks(patch: Any, turns: int = 2) -> None:
    """Look after every record, and save whenever it is looked; few members in each piece."""
    patch.setattr(plan, "CHUNK_STEPS", 1)
    patch.setattr(plan, "TURNS", turns)
    patch.setattr(saver, "SHARE", 0)


def save_every_chunk(patch: Any) -> None:
    """Wait for each save before the next chunk."""
    patch.setattr(saver.Saver, "due", lambda self: self._settle() or True)


def never_leaving(patch: Any) -> None:
    """The members of a piece stay together to the end."""
    train = PieceRun.train
    patch.setattr(PieceRun, "train", lambda self, others=False: train(self))


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def at_dispatch(patch: Any, number: int, act: Callable[[], Any]) -> list[int]:
    """Do something as the chunk of this number, from 1, is dispatched.

    Returns:
        A list that counts the chunks, and the epochs of all members in them.
    """
    count, call, mutex = [0, 0], Compiled.__call__, threading.Lock()

    def counted(self: Compiled, run: Any, lanes: Any, span: Any) -> Any:
        with mutex:  # of several workers
            count[0] += 1
            count[1] += int(np.sum(span.last - span.first))
            mine = count[0]
        if mine == number:
            act()
        return call(self, run, lanes, span)

    patch.setattr(Compiled, "__call__", counted)
    return count


def slowly(patch: pytest.MonkeyPatch, asked: threading.Event) -> None:
    """After a signal every chunk takes so long that the main thread hears of it."""
    call = Compiled.__call__

    def dispatch(self: Compiled, *arguments: Any) -> Any:
        if asked.is_set():
            threading.Event().wait(0.3)
        return call(self, *arguments)

    patch.setattr(Compiled, "__call__", dispatch)


SETTINGS = {"JAX_NUM_CPU_DEVICES": "2", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
"""What `conftest.py` sets, for another process."""


def wait_to_be_killed() -> None:
    """Say what the members are called here, then wait."""
    spec = jn.make_spec(ROOT, DATA, members(), epochs=EPOCHS, loss=LOSS, optimizer="momentum",
                        batch_size=4, history_every=EVERY, patience=5)  # fmt: skip
    names = [identities(spec, program) for program in jn.make_plan(spec).programs]
    print(*names[0], flush=True)
    time.sleep(600)


if __name__ == "__main__":
    patching = pytest.MonkeyPatch()
    small_chunks(patching)
    save_every_chunk(patching)
    at_dispatch(patching, int(sys.argv[2]), wait_to_be_killed)
    signal.alarm(300)
    train(Path(sys.argv[1]))
