"""The folder of a population: whose it is, and that it is nobody else's while it is used."""

import contextlib
import hashlib
import inspect
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import jax

from jaxnets import environment, files
from jaxnets.hyper import check_number
from jaxnets.population.group import Keep
from jaxnets.population.plan import Plan
from jaxnets.population.saver import SAVE_EVERY
from jaxnets.population.spec import Spec
from jaxnets.population.stopping import stop_on_signals
from jaxnets.population.store import Store, Tell
from jaxnets.population.words import describe
from jaxnets.processes import Processes
from jaxnets.train import make_recipe

STATE = "state"

Words = dict[str, Any]


def shared_settings(
    spec: Spec, *, loss: Any, optimizer: Any, batch_size: int, lanes: int | None, **options: Any
) -> Words:
    """What all members of a folder have in common by the user's choice, in words for JSON."""
    # Members may have losses of their own: what is monitored need not be there with this one.
    selects = ("monitor", "mode")
    selection = {k: options[k] for k in selects if options.get(k) is not None}
    given = {k: v for k, v in options.items() if k in _RECIPE and k not in selects}
    given["keep"] = spec.groups[0].recipe.keep
    recipe = make_recipe(
        spec.members[0].network, loss=loss, optimizer=optimizer, batch_size=batch_size, **given
    )
    names = (
        "loss", "batch_size", "metrics", "shuffle", "augment", "keep", "monitor", "mode",
        "patience", "unroll",
    )  # fmt: skip
    common = {name: getattr(recipe, name) for name in names} | selection
    return {
        "optimizer": describe(recipe.optimizer.structure),
        **describe(common),
        "lanes": None if lanes is None else int(lanes),  # JSON knows no integers of NumPy's
        "widths": spec.widths,
    }


_RECIPE = frozenset(inspect.signature(make_recipe).parameters)


def identity(plan: Plan, settings: Words) -> Words:
    """All that decides the numbers of a member but the member itself; a folder has one.

    Args:
        plan: of the population.
        settings: what the members have in common besides.

    Returns:
        Words for JSON, in the order in which differences are looked for.
    """
    spec = plan.spec
    return {
        "key": {
            "data": jax.random.key_data(spec.key).tolist(),
            "impl": str(jax.random.key_impl(spec.key)),
        },
        "data": {
            "fingerprint": spec.data.fingerprint(),
            "rows": {name: len(part) for name, part in spec.data.parts().items()},
        },
        **settings,
        "history_every": spec.history_every,
        "precision": spec.precision,
        **environment.identity(plan.devices),
    }


def state_bytes(plan: Plan) -> int:
    """About what the saved states of all members take."""
    spec = plan.spec
    records = len(spec.records)
    return sum(len(p.group.rows) * p.saved_bytes(records) for p in plan.programs)


@contextlib.contextmanager
def opened(
    out: Path,
    owner: Words,
    new: Callable[[], Words],
    *,
    needed: int,
    tell: Tell,
    save_every: float,
) -> Iterator[tuple[Keep, Words]]:
    """A folder for this process alone while the block runs, and signals that stop softly.

    Args:
        out: the folder; made if need be.
        owner: whose it must be, see `identity`.
        new: the manifest of a new folder, without format and owner.
        needed: bytes that the states of all members take.
        tell: called with a sentence where something is wrong.
        save_every: least number of seconds between two saves.

    Yields:
        Where progress is kept, and the manifest.

    Raises:
        ValueError: the folder holds something else.
        OSError: it cannot be written to, or another process is at work there.
    """
    save_every = check_save_every(save_every)
    is_new = check_owner(out, owner) is None
    files.check_writable(out, needed if is_new else 0)  # what an old one lacks is not known yet
    processes = Processes.current()
    if processes is not None:
        # Before anybody writes: what one has written is another study to who asks for another.
        text = json.dumps(owner, sort_keys=True)
        processes.agree(OWNER, hashlib.sha256(text.encode()).hexdigest())
    if processes is None or processes.leads:
        with files.alone_in(out), stop_on_signals() as stop:
            files.remove_temporary(out)
            manifest = check_owner(out, owner)
            if manifest is None:
                manifest = {"format": files.FORMAT, "identity": owner, **new()}
                files.write_manifest(out, manifest)
            store = Store(out / STATE, tell)
            if processes is not None:
                processes.say(READY)
                processes.meet(LOOKED)
            yield Keep(store, stop, [], save_every, processes), manifest
    else:
        processes.hear(READY, 0)
        with stop_on_signals() as stop:
            store = Store(out / STATE, tell)
            processes.meet(LOOKED)  # what is saved from now on is none of its business
            yield Keep(store, stop, [], save_every, processes), check_owner(out, owner) or {}


OWNER, READY, LOOKED = "owner", "ready", "looked"
"""What processes tell each other of a folder: whose it is to be, that it is prepared, and that they
have looked at what it holds.
"""


def check_save_every(value: object) -> float:
    """Seconds between two saves.

    Raises:
        TypeError: not a number.
        ValueError: not finite, or less than 0.
    """
    seconds = check_number("save_every", value)
    if seconds < 0:
        raise ValueError(f"save_every: expected at least 0 seconds, got {seconds}.")
    return seconds


def check_owner(out: Path, owner: Words) -> Words | None:
    """The manifest of a folder that is this owner's; ``None`` if there is none yet.

    Raises:
        ValueError: the folder holds something else; the first difference is named.
    """
    manifest = files.read_manifest(out)
    if manifest is not None:
        files.check_same(out, manifest["identity"], owner)
    return manifest


@contextlib.contextmanager
def keeping(
    out: Path, plan: Plan, settings: Words, *, save_every: float = SAVE_EVERY
) -> Iterator[Keep]:
    """Where `jaxnets.fit` keeps its progress while the block runs; see `opened`."""
    started = perf_counter()
    with opened(
        out,
        identity(plan, settings),
        lambda: {"surroundings": environment.surroundings(), "started": files.now(),
                 "sessions": []},
        needed=state_bytes(plan),
        tell=_warn,
        save_every=save_every,
    ) as (keep, manifest):  # fmt: skip
        yield keep
        if keep.processes is not None and not keep.processes.leads:
            return
        keep.store.tidy()
        seconds = round(perf_counter() - started, 3)
        manifest["sessions"] += [
            {"finished": files.now(), "members": len(plan.spec.members),
             "epochs": plan.spec.epochs, "seconds": seconds,
             **({"halved": keep.halved} if keep.halved else {})}
        ]  # fmt: skip
        files.write_manifest(out, manifest)


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)
