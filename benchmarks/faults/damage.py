"""Truncated files, flipped bits, missing files: over every file of a half-done study."""

import os
import random
import shutil
import signal
import threading
import warnings
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np

import jaxnets as jn
from jaxnets.population import plan, segments
from jaxnets.population.stopping import Stopped

KINDS = ("truncated", "a bit flipped", "missing")
EPOCHS = 30


def train(out: Path | None, epochs: int = EPOCHS) -> jn.Runs:
    """A small population with everything that a state can hold; saved at every chunk."""
    network = jn.nn.MLP([12], outputs=10, norm="batch", dropout_rate=0.2)
    members = jn.grid(network=network, learning_rate=[0.003, 0.01], seed=range(9))
    kept = {} if out is None else {"out": out, "save_every": 0.0}
    return jn.fit(
        jax.random.key(3), _data(), members, loss="softmax_cross_entropy", epochs=epochs,
        optimizer="momentum", batch_size=1, patience=20, **kept,
    )  # fmt: skip


def _data() -> jn.data.Dataset:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 6)).astype(np.float32)
    return jn.data.from_arrays(x, (x[:, 0] > 0).astype(np.int32), key=jax.random.key(1))


def bits(runs: jn.Runs) -> list[bytes]:
    """Everything that came out."""
    leaves = [np.asarray(leaf) for group in runs.groups for leaf in jax.tree.leaves(group.kept)]
    curves = [runs.history[name].values for name in sorted(runs.history.data_vars)]
    return [np.ascontiguousarray(a).tobytes() for a in leaves + curves if a.dtype.kind != "U"]


def run(count: int) -> dict[str, Any]:
    """Damage ``count`` copies, one file each, and go on from each."""
    jn.use_all_cores()
    plan.CHUNK_STEPS = 210  # an epoch, so that so small a study has something to continue
    outcomes: Counter[str] = Counter()
    wrong: dict[str, str] = {}
    with TemporaryDirectory() as place:
        half = Path(place, "half")
        segments.prepare()  # saving begins with the first chunk
        expected = bits(train(None))
        _stop_half_way(half)
        files = sorted(p.relative_to(half) for p in half.rglob("*") if p.is_file())
        for number in range(count):
            draw = random.Random(number)
            name, kind = files[number % len(files)], draw.choice(KINDS)
            copy = Path(place, "copy")
            shutil.copytree(half, copy)
            _damage(copy / name, kind, draw)
            outcome = _outcome(copy, expected)
            outcomes[outcome] += 1
            if outcome.startswith("WRONG"):
                wrong[f"{number}: {name} {kind}"] = outcome
            shutil.rmtree(copy)
    return {"damaged": count, "files": len(files), "outcomes": dict(outcomes), "wrong": wrong}


def _stop_half_way(folder: Path) -> None:
    """A folder with finished members and members on their way, several states of them."""

    def stop() -> None:
        while len([p for p in folder.glob("state/*") if p.name[0] != "."]) < 1:
            threading.Event().wait(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    try:
        train(folder)
    except Stopped:
        return
    raise RuntimeError("the study was over before it could be stopped; give it more epochs.")


def _damage(path: Path, kind: str, draw: random.Random) -> None:
    if kind == "missing":
        path.unlink()
        return
    content = bytearray(path.read_bytes())
    if kind == "truncated" or not content:
        content = content[: draw.randrange(max(1, len(content)))]
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def _outcome(folder: Path, expected: list[bytes]) -> str:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = bits(train(folder))
        except (ValueError, TypeError, OSError) as error:
            if "out:" in str(error):
                return "refused, by name"
            return f"WRONG: {type(error).__name__}: {error}"
        except Exception as error:
            return f"WRONG: {type(error).__name__}: {error}"
    if found != expected:
        return "WRONG: other bits"
    told = any("damaged" in str(warning.message) for warning in said)
    return "told, and the bits are the same" if told else "not needed, and the bits are the same"
