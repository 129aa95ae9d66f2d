"""Folders of IDX files, the format of MNIST and its relatives (Yann LeCun's page describes it).

A header of two zero bytes, a byte for the type, a byte for the rank, the sizes as big-endian
32-bit integers, then the numbers, big-endian.
"""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np
import numpy.typing as npt

from jaxnets.data.dataset import Dataset
from jaxnets.data.numbers import frozen
from jaxnets.data.part import Split
from jaxnets.data.splits import split

DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}

FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Deflate cannot do better than this, so a small file that claims more is refused unread.
_MOST_COMPRESSION = 1032


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read one IDX file, gzipped if its name ends in ``.gz``.

    Args:
        path: the file.

    Returns:
        The array, in the machine's byte order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not an IDX file, or shorter or longer than its header says.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "three-idx1-ubyte"
        ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 6, 7]))
        ...     read_idx(path)
        array([5, 6, 7], dtype=uint8)
    """
    path = Path(path)
    held = path.stat().st_size
    if path.suffix != ".gz":
        with open(path, "rb") as file:
            return _read(file, path, held)
    try:
        with gzip.open(path, "rb") as file:
            return _read(file, path, held * _MOST_COMPRESSION, compressed=True)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file of {held} bytes: {error}") from None


def _read(file: Any, path: Path, most: int, compressed: bool = False) -> npt.NDArray[Any]:
    start = _exactly(file, 4, path, "the first 4 bytes of its header")
    if start[:2] != b"\0\0" or start[2] not in DTYPES:
        raise ValueError(
            f"{path}: not an IDX file: expected two zero bytes and a type among "
            f"{', '.join(f'0x{code:02x}' for code in DTYPES)}, found {start.hex(' ')}."
        )
    dtype, rank = DTYPES[start[2]], start[3]
    if not 1 <= rank <= 8:
        raise ValueError(f"{path}: expected a rank from 1 to 8, found {rank}.")
    sizes = np.frombuffer(_exactly(file, 4 * rank, path, f"{rank} sizes"), ">u4")
    shape = tuple(int(size) for size in sizes)
    header = 4 + 4 * rank
    expected = math.prod(shape) * dtype.itemsize
    about = f"{header + expected} bytes ({header} of header and {dtype.name} numbers {shape})"
    if expected + header > most:
        found = f"at most {most} (compressed {most // _MOST_COMPRESSION})" if compressed else most
        raise ValueError(f"{path}: truncated: expected {about}, found {found} bytes.")
    data = _exactly(file, expected, path, about, before=header)
    if file.read(1):
        found = "more" if compressed else f"{most} bytes"
        raise ValueError(f"{path}: too long: expected {about}, found {found}.")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _exactly(file: BinaryIO, size: int, path: Path, what: str, before: int = 0) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(
            f"{path}: truncated: expected {what}, found {before + len(data)} bytes"
            f"{'' if before else f' of {size}'}."
        )
    return data


def _find(folder: Path, part: str, kind: str, rank: str) -> Path:
    """The file of one part, under any of the names that are about."""
    stems = [f"{part}-{kind}-idx{rank}-ubyte", f"{part}-{kind}.idx{rank}-ubyte"]
    for name in [stem + ending for stem in stems for ending in ("", ".gz")]:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder}: expected a file {stems[0]} or {stems[0]}.gz, found none.")


def is_idx_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds the training images of an IDX data set."""
    try:
        _find(Path(path), "train", "images", "3")
    except FileNotFoundError:
        return False
    return True


def idx_folder(
    path: str | os.PathLike[str],
    *,
    valid: float | None = 0.1,
    key: jax.Array | None = None,
    flatten: bool = False,
    stratify: bool = False,
    classes: tuple[str, ...] | None = None,
) -> Dataset:
    """Images and labels from a folder laid out as MNIST is.

    The folder holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same with
    ``t10k``, each gzipped or not. Debian's package ``dataset-fashion-mnist`` puts Fashion-MNIST
    into ``/usr/share/datasets/fashion-mnist``.

    Args:
        path: the folder.
        valid: fraction or count of the training rows that validate; None or 0 for no such part.
        key: a typed key that draws them; None is the constant ``jax.random.key(0)``.
        flatten: whether ``x`` is ``(n, height * width)`` instead of ``(n, height, width, 1)``.
        stratify: whether the validation part gets every class in proportion.
        classes: names of the classes; those of Fashion-MNIST where the folder is called so.

    Returns:
        A ``Dataset`` with pixels divided by 255.

    Raises:
        FileNotFoundError: the folder or one of its four files is missing.
        ValueError: a file is damaged, or images and labels do not fit.

    Example:
        >>> idx_folder("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: path: no folder '/nowhere'.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"path: no folder {str(folder)!r}.")
    arrays = {}
    for part in ("train", "t10k"):
        images_at = _find(folder, part, "images", "3")
        labels_at = _find(folder, part, "labels", "1")
        images, labels = read_idx(images_at), read_idx(labels_at)
        if images.ndim != 3:
            raise ValueError(f"{images_at}: expected images (n, h, w), found {images.shape}.")
        if labels.ndim != 1 or len(labels) != len(images):
            raise ValueError(
                f"{labels_at}: expected one label for each of {len(images)} images, "
                f"found {labels.shape}."
            )
        arrays[part] = _pixels(images, flatten), labels
    train, validation, _ = split(
        *arrays["train"], key=key, valid=valid, test=None, stratify=stratify
    )
    name = folder.resolve().name
    if classes is None and "fashion" in name.lower() and arrays["train"][1].max() == 9:
        classes = FASHION
    return Dataset(
        Split(*arrays["train"], name="train") if validation is None else train,
        validation,
        Split(*arrays["t10k"], name="test"),
        name=name,
        classes=classes,
        description="Images from IDX files, bytes divided by 255.",
        source=str(folder),
    )


def _pixels(images: npt.NDArray[Any], flatten: bool) -> npt.NDArray[Any]:
    """float32 in [0, 1] from bytes; other numbers as they are."""
    if images.dtype == np.uint8:
        x = np.divide(images, np.float32(255), dtype=np.float32)
    else:
        x = images.astype(np.float32)
    x = frozen(x)  # first, so that the view below need not be copied
    return x.reshape(len(x), -1) if flatten else x[..., None]
