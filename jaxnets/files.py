"""Files and folders that are written at once or not at all, and say whose they are."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MANIFEST, COPY = "manifest.json", ".manifest.json"
CHECKSUM = "checksum"
FORMAT = 3
"""Of the folder; another number is another way of keeping things in it."""

LOCK = ".lock"
TEMPORARY = ".new-"
"""How names of unfinished files and folders begin."""

RESERVE = 16 * 2**20
"""Bytes that must stay free beside the results, for tables, figures and the manifest."""


def cache_folder() -> Path | None:
    """Where things are kept that can be made again: ``$JAXNETS_CACHE``, else ``~/.cache/jaxnets``.

    ``$XDG_CACHE_HOME`` moves the second. None (nothing is kept) where ``$JAXNETS_CACHE`` is empty
    or there is no home.
    """
    chosen = os.environ.get("JAXNETS_CACHE")
    if chosen is not None:
        return Path(chosen).expanduser() if chosen else None
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "jaxnets"
    except RuntimeError:
        return None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that becomes ``path`` at the end of the block: all of it, or nothing.

    The temporary name keeps the suffix, by which writers tell the format. What was written is on
    the disk, not only in memory, before the name changes.
    """
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write down what the folder holds, twice: without it the states in there are nobody's."""
    text = _manifest_text(manifest)
    for name in (MANIFEST, COPY):  # in this order: a new folder never has the copy alone
        write_text(folder / name, text)


def _manifest_text(manifest: Mapping[str, Any]) -> str:
    """As it is in the file: its entries, and last the checksum of the others."""
    entries = {name: value for name, value in manifest.items() if name != CHECKSUM}
    digest = hashlib.sha256(json.dumps(entries, indent=2).encode()).hexdigest()
    return json.dumps({**entries, CHECKSUM: digest}, indent=2) + "\n"


def now() -> str:
    """The time, as manifests give it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def remove_temporary(folder: Path) -> None:
    """Take away what a process that was killed has left half written."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """No other process is in such a block with the same folder. The lock goes with its process.

    Raises:
        BlockingIOError: another one is.
    """
    import filelock

    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BlockingIOError(
            f"out: another process is at work in {folder}; wait for it, stop it, or choose "
            "another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What the folder says it holds.

    Args:
        folder: need not exist.

    Returns:
        The manifest; ``None`` for a folder that is not there or empty.

    Raises:
        NotADirectoryError: a file has this name.
        ValueError: the folder holds something else, its manifest and the copy of it are damaged,
            or it was written by a version of the package that kept things in another way.

    Warns:
        RuntimeWarning: the manifest is damaged, and its copy is used.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise NotADirectoryError(f"out: {folder} is a file, expected a folder.")
    place, copy = folder / MANIFEST, folder / COPY
    if not place.exists() and not copy.exists():
        other = sorted(entry.name for entry in folder.iterdir() if entry.name[0] != ".")
        if other:
            raise ValueError(
                f"out: {folder} is not empty ({other[0]}) and holds no study; choose another."
            )
        return None
    manifest, whole = _read_checked(place)
    if not whole:
        saved, whole = _read_checked(copy)
        if whole:
            warnings.warn(
                f"{place} is damaged or missing and is not used; its copy {copy.name} is.",
                RuntimeWarning,
                stacklevel=2,
            )
            manifest = saved
    if manifest is not None and manifest.get("format") != FORMAT:
        raise ValueError(
            f"out: {folder} was written by another version of jaxnets (format "
            f"{manifest.get('format')!r}, this one reads {FORMAT}); choose another folder."
        )
    if not whole or manifest is None:
        raise ValueError(
            f"out: {place} is damaged, and so is its copy {copy.name}; choose another folder."
        )
    return manifest


def _read_checked(place: Path) -> tuple[dict[str, Any] | None, bool]:
    """What a manifest says, as far as it can be read, and whether it is what was written."""
    try:
        text = place.read_text(encoding="utf-8")
        manifest = json.loads(text)
    except (FileNotFoundError, ValueError):
        return None, False
    if not isinstance(manifest, dict):
        return None, False
    return manifest, CHECKSUM in manifest and _manifest_text(manifest) == text


def check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to mix two studies in one folder.

    Args:
        folder: for the message.
        found: the identity in the folder's manifest.
        wanted: the identity of the study that is asked for.

    Raises:
        ValueError: they differ; the message names the first difference.
    """
    difference = first_difference(found, json.loads(json.dumps(wanted)))
    if difference is not None:
        name, old, new = difference
        raise ValueError(
            f"out: {folder} holds another study: {name} is {_short(old)} there and {_short(new)} "
            "now; choose another folder."
        )


def first_difference(found: Any, wanted: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first entry in which two nested mappings differ, and both of its values.

    Example:
        >>> first_difference({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}})
        ('b.c', 2, 3)
    """
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key in dict.fromkeys((*wanted, *found)):
            inner = first_difference(
                found.get(key), wanted.get(key), f"{name}.{key}" if name else str(key)
            )
            if inner is not None:
                return inner
        return None
    # As text: a NaN is not equal to itself.
    same = found == wanted or json.dumps(found, sort_keys=True) == json.dumps(
        wanted, sort_keys=True
    )
    return None if same else (name, found, wanted)


def check_writable(folder: Path, needed: int) -> None:
    """Make the folder and find out now, not after training, whether it can take the results.

    Args:
        folder: made if it is not there.
        needed: bytes that the results will take.

    Raises:
        OSError: the folder cannot be made or written to, or the disk is too full.
        ValueError: a path that other programs could not write down.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"out: expected a path that UTF-8 can hold, got {error}") from None
    if folder.is_symlink() and not folder.exists():
        target = os.readlink(folder)
        raise FileNotFoundError(f"out: {folder} is a link to {target}, which is not there.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
            probe.write(bytes(4096))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(error.errno, f"out: {folder} cannot be written to: {reason}") from None
    check_room(folder, needed)


def check_room(folder: Path, needed: int) -> None:
    """Whether the disk of a folder has room for so many bytes more.

    Raises:
        OSError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE:
        raise OSError(
            f"out: the study needs {(needed + RESERVE) / 2**20:,.0f} MiB, but the disk of {folder} "
            f"has {free / 2**20:,.0f} MiB left."
        )


def _umask() -> int:
    """The permissions that new files must not have; the system only tells when it is set."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
