"""Truncated files, flipped bits, missing files: over every file of a half-done study."""

import random
import shutil
import signal
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import jax
import numpy as np

import jaxnets as jn
from jaxnets.files import LOCK
from jaxnets.population import plan, segments
from jaxnets.population.folder import STATE
from jaxnets.population.saver import Saver
from jaxnets.population.segments import DamagedError, Segment
from jaxnets.population.stopping import Stopped
from jaxnets.population.store import Store

KINDS = ("truncated", "a bit flipped", "missing")
EPOCHS = 30

NEEDED = ("manifest", "final", "newest")
"""Kinds of files that are read whenever a study goes on: damage to them must be told. Of an older
state only the index is looked at, as long as the newest is good."""


def train(out: Path | None, epochs: int = EPOCHS) -> jn.Runs:
    """A small population with everything that a state can hold; saved at every chunk. On one device
    its 18 members are three dispatches.
    """
    network = jn.nn.MLP([12], outputs=10, norm="batch", dropout_rate=0.2)
    members = jn.grid(network=network, learning_rate=[0.003, 0.01], seed=range(9))
    kept: dict[str, Any] = {} if out is None else {"out": out, "save_every": 0.0}
    return jn.fit(
        jax.random.key(3), _data(), members, loss="softmax_cross_entropy", epochs=epochs,
        optimizer="momentum", batch_size=1, patience=20, devices=jax.local_devices()[:1], **kept,
    )  # fmt: skip


def _data() -> jn.data.Dataset:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 6)).astype(np.float32)
    return jn.data.from_arrays(x, (x[:, 0] > 0).astype(np.int32), key=jax.random.key(1))


def bits(runs: jn.Runs) -> list[bytes]:
    """Everything that came out."""
    leaves = [np.asarray(leaf) for group in runs.groups for leaf in jax.tree.leaves(group.kept)]
    curves = [runs.history[name].values for name in sorted(map(str, runs.history.data_vars))]
    return [np.ascontiguousarray(a).tobytes() for a in leaves + curves if a.dtype.kind != "U"]


def run(count: int) -> dict[str, Any]:
    """Damage ``count`` copies, one file each, and go on from each."""
    outcomes: dict[str, Counter[str]] = {}
    wrong: dict[str, str] = {}
    # An epoch is a chunk, so that so small a study has something to continue.
    with TemporaryDirectory() as place, mock.patch.object(plan, "CHUNK_STEPS", 210):
        half = Path(place, "half")
        segments.prepare()  # saving begins with the first chunk
        expected = bits(train(None))
        stop_half_way(half)
        files = kinds_of(half)
        for number in range(count):
            draw = random.Random(number)
            name = list(files)[number % len(files)]
            damage = draw.choice(KINDS)
            copy = Path(place, "copy")
            shutil.copytree(half, copy)
            _damage(copy / name, damage, draw)
            outcome = outcome_of(copy, name, files[name], expected)
            outcomes.setdefault(files[name], Counter())[outcome] += 1
            if outcome.startswith("WRONG"):
                wrong[f"{number}: {name} {damage}"] = outcome
            shutil.rmtree(copy)
    return {
        "damaged": count,
        "files": dict(Counter(files.values())),
        "outcomes": {kind: dict(counted) for kind, counted in outcomes.items()},
        "wrong": wrong,
    }


def look(folder: Path, whole: bool = True) -> list[Segment]:
    """The states in a folder that are as they were written, in their order; unless ``whole``, those
    of which the index is.
    """
    found = []
    for path in sorted((folder / STATE).glob("[!.]*")):
        try:
            segment = segments.look(path)
            if whole:
                segments.check(segment)
        except DamagedError:  # or taken away in this moment
            continue
        found.append(segment)
    return found


def stop_half_way(folder: Path) -> None:
    """Leave a folder with finished members and members on their way, of which there are two states.
    Every chunk waits for the save before it, so that there are such states however slow the disk.

    Raises:
        RuntimeError: the study was over before there was such a moment.
    """

    def enough() -> bool:
        finals = [segment.final for segment in look(folder, whole=False)]
        return finals.count(False) >= 2 and any(finals)

    def due(saver: Saver) -> bool:
        saver.flush()
        if enough():
            signal.raise_signal(signal.SIGTERM)
        return True

    with mock.patch.object(Saver, "due", due):
        try:
            train(folder)
        except Stopped:
            if enough():
                return
    raise RuntimeError("the study was over before it could be stopped; give it more epochs.")


def kinds_of(folder: Path) -> dict[Path, str]:
    """Every file of a half-done study, and what it is."""
    found = look(folder)
    newest = max(segment.generation for segment in found if not segment.final)
    kinds = {
        segment.path.name: "final" if segment.final
        else "newest" if segment.generation == newest else "older"
        for segment in found
    }  # fmt: skip
    files = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    names = {}
    for path in files:
        if path.parts[0] == STATE:
            part = "index" if path.name == segments.INDEX else "arrays"
            names[path] = f"{kinds[path.parts[1]]} state: {part}"
        elif path.name == LOCK:
            names[path] = "lock"
        else:
            names[path] = "copy of the manifest" if path.name[0] == "." else "manifest"
    return names


def _damage(path: Path, damage: str, draw: random.Random) -> None:
    if damage == "missing":
        path.unlink()
        return
    content = bytearray(path.read_bytes())
    if damage == "truncated" or not content:
        content = content[: draw.randrange(max(1, len(content)))]
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def outcome_of(folder: Path, name: Path, kind: str, expected: list[bytes]) -> str:
    """Go on in a folder of which one file is damaged."""
    found, last = _begins_at(folder), _last_good(folder)
    if found != last:
        return f"WRONG: goes on from {sum(found.values())} epochs, {sum(last.values())} are good"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            result = bits(train(folder))
        except Exception as error:
            return f"WRONG: {type(error).__name__}: {error}"
    if result != expected:
        return "WRONG: other bits"
    damaged = str(Path(*name.parts[:2]))
    texts = [str(warning.message) for warning in said]
    if any(damaged in text and "damaged" in text for text in texts):
        return "told, and the bits are the same"
    if kind.startswith(NEEDED) or kind.endswith("index"):
        return "WRONG: nothing was said"
    return "not needed, and the bits are the same"


def _last_good(folder: Path) -> dict[str, int]:
    """The epochs that each member has behind it in the furthest state that is as it was written."""
    best: dict[str, int] = {}
    for segment in look(folder):
        for member, reached in zip(segment.members, segment.reached, strict=True):
            best[member] = max(reached, best.get(member, 0))
    return best


def _begins_at(folder: Path) -> dict[str, int]:
    """The same of the states from which `jaxnets.fit` goes on."""
    members = sorted({name for found in look(folder, whole=False) for name in found.members})
    found = Store(folder / STATE, lambda _: None).find(members, EPOCHS, 1)
    return {m: one.reached for m, one in zip(members, found, strict=True) if one is not None}
