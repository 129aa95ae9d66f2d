"""IDX files written here, byte by byte, and read back; damaged ones refused."""

import gzip
import struct

import jax
import numpy as np
import pytest

from jaxnets.data import idx_folder, load, read_idx
from jaxnets.data.sources.idx import DTYPES, FASHION

RNG = np.random.default_rng(1)


def encoded(array, code=8):
    """The bytes of an IDX file, by the format's description."""
    head = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    letter = {8: "B", 9: "b", 11: "h", 12: "i", 13: "f", 14: "d"}[code]
    return head + struct.pack(f">{array.size}{letter}", *array.ravel().tolist())


def write(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def images(n):
    return RNG.integers(0, 256, (n, 4, 5), dtype=np.uint8)


def labels(n):
    return (np.arange(n) % 10).astype(np.uint8)


def folder(path, ending="", train=40, test=10, **changed):
    path.mkdir(exist_ok=True)
    arrays = {
        "train-images-idx3-ubyte": images(train),
        "train-labels-idx1-ubyte": labels(train),
        "t10k-images-idx3-ubyte": images(test),
        "t10k-labels-idx1-ubyte": labels(test),
    }
    for name, array in arrays.items():
        write(path / (name + ending), encoded(changed.get(name, array)))
    return path, arrays


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("code", DTYPES)
@pytest.mark.parametrize("shape", [(7,), (3, 2), (2, 3, 4), (1, 2, 1, 3)])
def test_round_trip(tmp_path, ending, code, shape):
    limits = (0, 255) if code == 8 else (-128, 128)
    array = RNG.integers(*limits, shape).astype(DTYPES[code].newbyteorder("="))
    if array.dtype.kind == "f":
        array += RNG.normal(size=shape).astype(array.dtype)
    found = read_idx(write(tmp_path / f"a{ending}", encoded(array, code)))
    assert found.dtype == array.dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, array)


GOOD = encoded(np.arange(12, dtype=np.uint8).reshape(3, 4))
BAD = {
    "empty": (b"", "truncated: .*first 4 bytes.* found 0 bytes of 4"),
    "magic": (b"\x01" + GOOD[1:], "not an IDX file.* found 01 00 08 02"),
    "a picture": (b"\x89PNG" + GOOD, "not an IDX file.* found 89 50 4e 47"),
    "type": (b"\0\0\x0a\x02" + GOOD[4:], "not an IDX file.*0x0e"),
    "rank 0": (b"\0\0\x08\0" + GOOD[4:], "rank from 1 to 8, found 0"),
    "rank 200": (b"\0\0\x08\xc8" + GOOD[4:], "rank from 1 to 8, found 200"),
    "sizes": (GOOD[:7], "truncated: expected 2 sizes, found 3 bytes of 8"),
    "one byte short": (GOOD[:-1], r"truncated: expected 24 bytes.*\(3, 4\)\), found"),
    "one byte long": (GOOD + b"x", r"too long: expected 24 bytes.*\(3, 4\)\), found"),
    "a bomb": (b"\0\0\x08\x02" + b"\xff" * 8, "truncated: expected 18446744065119617037 bytes"),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("case", BAD)
def test_bad_files(tmp_path, case, ending):
    content, words = BAD[case]
    path = write(tmp_path / f"bad{ending}", content)
    with pytest.raises(ValueError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_found_bytes_are_named(tmp_path):
    with pytest.raises(ValueError, match="found 23 bytes"):
        read_idx(write(tmp_path / "short", GOOD[:-1]))
    with pytest.raises(ValueError, match="found 23 bytes"):
        read_idx(write(tmp_path / "short.gz", GOOD[:-1]))
    with pytest.raises(ValueError, match="found 25 bytes"):
        read_idx(write(tmp_path / "long", GOOD + b"x"))


@pytest.mark.parametrize("damage", ["cut", "flip", "plain", "empty"])
def test_damaged_gzip(tmp_path, damage):
    whole = gzip.compress(encoded(images(50)))
    middle = len(whole) // 2
    content = {
        "cut": whole[:middle],
        "flip": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
        "plain": GOOD,
        "empty": b"",
    }[damage]
    path = tmp_path / "bad.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad.gz: (damaged gzip|truncated|too long)"):
        read_idx(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_folder(tmp_path, ending):
    path, arrays = folder(tmp_path / "fashion-mnist", ending)
    data = idx_folder(path, valid=8)
    assert [len(part) for part in data.parts().values()] == [32, 8, 10]
    assert data.input_shape == (4, 5, 1) and data.classes == FASHION
    expected = arrays["t10k-images-idx3-ubyte"].astype(np.float64) / 255
    np.testing.assert_array_equal(data.test.x[..., 0], expected.astype(np.float32))
    np.testing.assert_array_equal(data.test.y, arrays["t10k-labels-idx1-ubyte"])
    whole = idx_folder(path, valid=None, flatten=True)
    assert whole.valid is None and whole.input_shape == (20,)
    np.testing.assert_array_equal(whole.train.y, arrays["train-labels-idx1-ubyte"])
    assert load(path, valid=8).fingerprint() == data.fingerprint()
    assert idx_folder(path, key=jax.random.key(1), valid=8).fingerprint() != data.fingerprint()


def test_folder_of_another_name_has_no_class_names(tmp_path):
    path, _ = folder(tmp_path / "mnist")
    assert idx_folder(path).classes is None and idx_folder(path).num_classes == 10


def test_bad_folders(tmp_path):
    path, _ = folder(tmp_path / "a", **{"t10k-labels-idx1-ubyte": labels(9)})
    with pytest.raises(ValueError, match=r"t10k-labels.*each of 10 images, found \(9,\)"):
        idx_folder(path)
    path, _ = folder(tmp_path / "b", **{"train-images-idx3-ubyte": images(40)[0]})
    with pytest.raises(ValueError, match=r"train-images.*\(n, h, w\), found \(4, 5\)"):
        idx_folder(path)
    path, _ = folder(tmp_path / "c")
    (path / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match=r"t10k-images-idx3-ubyte or .*\.gz, found none"):
        idx_folder(path)
    with pytest.raises(TypeError, match=r"key: .*jax\.random\.key\(0\)"):
        idx_folder(folder(tmp_path / "d")[0], key=1)
