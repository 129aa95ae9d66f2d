"""Checked copies of generated arrays in the user's cache folder; never a reason to fail."""

import contextlib
import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnets.files import cache_folder

DAMAGED = (
    OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error
)  # fmt: skip
"""What reading a damaged npz or npy file raises: the disk; a wrong header, or Python objects; an
empty file; an encrypted entry; one packed in an unknown way; an archive cut off, or whose checksum
is wrong; packed bytes that do not unpack."""


def read(name: str) -> dict[str, Any] | None:
    """The arrays kept under ``name``, or None where there are none or they are damaged."""
    place = cache_folder()
    if place is None:
        return None
    try:
        # Opened here: NumPy leaves a damaged file open. Nothing is unpickled: these are numbers.
        with (
            open(place / f"{name}.npz", "rb") as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            arrays = {key: archive[key] for key in archive.files}
        expected = str(arrays.pop("sha256"))
    except (KeyError, *DAMAGED):
        return None
    return arrays if expected == _checksum(arrays) else None


def write(name: str, arrays: Mapping[str, Any]) -> bool:
    """Keep arrays under ``name``, all or nothing.

    Returns:
        Whether it worked. A folder that cannot be written, or a full disk, only means that the
        arrays are made again next time.
    """
    place = cache_folder()
    if place is None:
        return False
    temporary = None
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place, suffix=".part", delete=False) as file:
            temporary = file.name
            np.savez(file, sha256=np.array(_checksum(arrays)), **arrays)
        os.replace(temporary, place / f"{name}.npz")
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return False
    return True


def _checksum(arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
