"""Saved training states: folders that are written once, checked before they are read, and named
after what they hold.

A segment is a folder ``00000012-0f3a...``: the number counts the segments of one place, the rest is
the SHA-256 of ``index.json``, which has that of every other file. The arrays are in ``arrays/``:
their bytes one after the other as one Orbax checkpoint of one array (a plain file where several
processes write, each its own), and a table of their names, dtypes and shapes. Nothing in it is
code, and nothing is read before its checksum is right.
"""

import hashlib
import importlib
import json
import logging
import math
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.files import TEMPORARY, sync

INDEX, ARRAYS = "index.json", "arrays"
_TABLE, _BYTES = "table.json", "bytes"
_NAME = re.compile(r"(\d{8})-([0-9a-f]{32})")


class DamagedError(Exception):
    """A segment is not what was written; the text says which file and why.

    Attributes:
        lost: whether it is certain; otherwise the system would not read it this time.
    """

    def __init__(self, text: str, lost: bool = True) -> None:
        super().__init__(text)
        self.lost = lost


@dataclass(frozen=True)
class Segment:
    """One saved state of some members.

    Attributes:
        path: the folder.
        generation: a later one has a larger number.
        members: identities, see `jaxnets.population.identity`.
        reached: how far each member has come, see `jaxnets.population.rows.Rows`.
        active: whether it still trains: neither diverged nor stopped.
        final: whether no member has anything left to do, as far as was asked when it was written.
        about: what else was written down.
        files: SHA-256 of every file by its path in the folder.
    """

    path: Path
    generation: int
    members: tuple[str, ...]
    reached: tuple[int, ...]
    active: tuple[bool, ...]
    final: bool
    about: Mapping[str, Any]
    files: Mapping[str, str]


def write(
    place: Path,
    generation: int,
    arrays: Mapping[str, np.ndarray],
    *,
    members: Sequence[str],
    reached: Sequence[int],
    active: Sequence[bool],
    final: bool,
    about: Mapping[str, Any],
) -> Segment:
    """Write a segment, all of it or nothing; when this returns it is on the disk.

    Args:
        place: the folder of segments.
        generation: its number.
        arrays: by name; none may be empty.
        members: see `Segment`, as for all that follow.
        reached: see there.
        active: see there.
        final: see there.
        about: see there.

    Returns:
        The segment.

    Raises:
        OSError: the disk is full, or something else that the system refuses.
    """
    temporary = place / f"{TEMPORARY}{uuid.uuid4().hex}"  # other machines may write here, too
    temporary.mkdir()
    try:
        _save(temporary / ARRAYS, arrays)
        files = {}
        for path in sorted(p for p in temporary.rglob("*") if p.is_file()):
            files[path.relative_to(temporary).as_posix()] = _sha256(path)
            sync(path)
        index = {
            "members": list(members),
            "reached": [int(epoch) for epoch in reached],
            "active": [bool(one) for one in active],
            "final": bool(final),
            "about": dict(about),
            "files": files,
        }
        text = (json.dumps(index, indent=1) + "\n").encode()
        (temporary / INDEX).write_bytes(text)
        sync(temporary / INDEX)
        for folder in (*(p for p in temporary.rglob("*") if p.is_dir()), temporary):
            sync(folder)
        path = place / f"{generation:08d}-{hashlib.sha256(text).hexdigest()[:32]}"
        os.rename(temporary, path)
        sync(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return look(path)


def generation_of(path: Path) -> int | None:
    """The number of a segment, or ``None`` if the folder's name is not that of one.

    Example:
        >>> generation_of(Path("state/00000012-" + 32 * "a")), generation_of(Path("state/other"))
        (12, None)
    """
    match = _NAME.fullmatch(path.name)
    return int(match.group(1)) if match else None


def look(path: Path) -> Segment:
    """What a segment says of itself; its index is checked, its arrays are not (see `check`).

    Raises:
        DamagedError: the index is missing or is not the one that was written.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DamagedError("not the name of a segment")
    try:
        text = (path / INDEX).read_bytes()
    except OSError as error:
        raise _unreadable(INDEX, error) from None
    if hashlib.sha256(text).hexdigest()[:32] != match.group(2):
        raise DamagedError(f"{INDEX}: wrong checksum")
    index = json.loads(text)
    return Segment(
        path=path,
        generation=int(match.group(1)),
        members=tuple(index["members"]),
        reached=tuple(index["reached"]),
        active=tuple(index["active"]),
        final=index["final"],
        about=index["about"],
        files=index["files"],
    )


def check(segment: Segment) -> None:
    """Whether every file is what was written.

    Raises:
        DamagedError: the first that is not.
    """
    for name, expected in segment.files.items():
        inside = PurePosixPath(name)
        path = segment.path / inside
        if inside.is_absolute() or ".." in inside.parts or path.is_symlink():
            raise DamagedError(f"{name}: not a file of this folder")
        try:
            found = _sha256(path)
        except OSError as error:
            raise _unreadable(name, error) from None
        if found != expected:
            raise DamagedError(f"{name}: wrong checksum")


def read(segment: Segment) -> dict[str, np.ndarray]:
    """The arrays; call `check` before.

    Orbax understands more files than the ones it wrote, and goes by what it finds; so if there are
    others, what was checked is read from a copy without them.
    """
    found = segment.path.rglob("*")
    if {p.relative_to(segment.path).as_posix() for p in found if not p.is_dir()} <= {
        INDEX,
        *segment.files,
    }:
        return _restore(segment.path / ARRAYS)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=segment.path.parent) as clean:
        for name in segment.files:
            copy = Path(clean, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(segment.path / name, copy)
        return _restore(Path(clean, ARRAYS))


def remove(segment: Segment) -> None:
    """Take a segment away: the name first, so that no half of it is ever found."""
    temporary = segment.path.with_name(f"{TEMPORARY}{segment.path.name}")
    try:
        os.rename(segment.path, temporary)
    except OSError:
        return
    shutil.rmtree(temporary, ignore_errors=True)


def _unreadable(name: str, error: OSError) -> DamagedError:
    lost = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    return DamagedError(f"{name}: {error.strerror}", lost)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """All arrays as one, and a table of names, dtypes and shapes: Orbax spends time, files and
    (for good) some kilobytes of memory on each array that it saves, and a state has dozens.
    """
    path.mkdir()
    table = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
    (path / _TABLE).write_text(json.dumps(table))
    content = b"".join(array.tobytes() for array in arrays.values())
    if jax.process_count() > 1:  # Orbax would have all processes write one checkpoint together
        (path / _BYTES).write_bytes(content)
        return
    with _checkpointer() as checkpointer:
        checkpointer.save((path / _BYTES).absolute(), {_BYTES: np.frombuffer(content, np.uint8)})


def _restore(path: Path) -> dict[str, np.ndarray]:
    content, found, start = _restored_bytes((path / _BYTES).absolute()), {}, 0
    for name, (dtype, shape) in json.loads((path / _TABLE).read_text()).items():
        array = np.frombuffer(content, jnp.dtype(dtype), math.prod(shape), start)
        found[name] = array.reshape(shape).copy()
        start += array.nbytes
    return found


def _restored_bytes(path: Path) -> Any:
    if path.is_file():
        return path.read_bytes()
    with _checkpointer() as checkpointer:
        return np.ascontiguousarray(checkpointer.restore(path)[_BYTES])


def _checkpointer() -> Any:
    import orbax.checkpoint as ocp  # slow to import, and only needed by who saves

    logging.getLogger("absl").addFilter(_unexpected)
    own = jax.process_index()  # other processes have no part in this
    alone = ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own})
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _unexpected(record: logging.LogRecord) -> bool:
    """Orbax warns that an array saved alone is not one of many to be merged."""
    return "Skipping merge of OCDBT checkpoints" not in record.getMessage()


def prepare() -> None:
    """Import what writing needs: it takes a second, in which training can go on."""
    importlib.import_module("orbax.checkpoint")
