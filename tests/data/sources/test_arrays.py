"""npz, npy and CSV: what is read equals what was written; nothing is unpickled or guessed."""

import numpy as np
import pytest

from jaxnets.data import csv, from_memmap, load, npy_folder, npz

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = np.arange(20) % 4
OTHER = {"x_test": X[:5] + 1, "y_test": Y[:5], "x_valid": X[:4] - 1, "y_valid": Y[:4]}
BOTH = pytest.mark.parametrize("kind", ["npz", "npy"])


def written(path, kind, **arrays):
    if kind == "npz":
        np.savez(path / "own.npz", **arrays)
        return path / "own.npz"
    (path / "own").mkdir()
    for name, array in arrays.items():
        np.save(path / "own" / f"{name}.npy", array)
    return path / "own"


def read(kind, path, **arguments):
    return {"npz": npz, "npy": npy_folder}[kind](path, **arguments)


@BOTH
def test_own_parts(tmp_path, kind):
    path = written(tmp_path, kind, x=X, y=Y, **OTHER)
    data = read(kind, path)
    np.testing.assert_array_equal(data.train.x, X)
    np.testing.assert_array_equal(data.valid.x, X[:4] - 1)
    np.testing.assert_array_equal(data.test.y, Y[:5])
    assert data.name == "own" and load(str(path)).fingerprint() == data.fingerprint()


@BOTH
def test_drawn_parts(tmp_path, kind):
    path = written(tmp_path, kind, x=X, y=Y, x_test=X[:5] + 1, y_test=Y[:5])
    data = read(kind, path, valid=4, test=3)
    assert [len(part) for part in data.parts().values()] == [16, 4, 5]
    np.testing.assert_array_equal(data.test.x, X[:5] + 1)
    assert read(kind, path, valid=None).valid is None


BAD = {
    "objects": ({"x": X.astype(object), "y": Y}, "x.*does not unpickle"),
    "object labels": ({"x": X, "y": np.array([{}] * 20, object)}, "y.*does not unpickle"),
    "no y": ({"x": X}, "expected arrays x and y, y is missing; found x"),
    "nothing": ({}, "x and y is missing; found none"),
    "half a part": ({"x": X, "y": Y, "x_test": X}, "x_test and y_test, y_test is missing"),
    "a slip": ({"x": X, "y": Y, "xtest": X}, "unknown name 'xtest'. Did you mean 'x_test'"),
    "width": ({"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y}, "test: x must be like"),
    "nan": ({"x": X, "y": Y, "x_valid": X * np.nan, "y_valid": Y}, r"valid: x\[0, 0\]"),
}


@BOTH
@pytest.mark.parametrize("case", BAD)
def test_bad_arrays(tmp_path, kind, case):
    arrays, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        read(kind, written(tmp_path, kind, **arrays))


def test_bad_npz_files(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match=r"no file .*a\.npz"):
        npz(path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        npy_folder(path)
    path.write_text("not an archive")
    with pytest.raises(ValueError, match="not an npz file"):
        npz(path)
    with open(path, "wb") as file:
        np.save(file, X)
    with pytest.raises(ValueError, match=r"a single array \(20, 3\)"):
        npz(path)
    np.savez(path, x=X, y=Y)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match="not an npz file"):
        npz(path)


def table(path, text):
    (path / "table.csv").write_text(text)
    return path / "table.csv"


def test_csv_numbers(tmp_path):
    lines = ["a, b,c", *(f"{a!r},{b!r},{c!r}" for a, b, c in X.astype(float).tolist())]
    path = table(tmp_path, "\n".join(lines))
    data = csv(path, "b", valid=None, test=None)
    assert data.features == ("a", "c") and data.target_shape == (1,) and data.name == "table"
    found = np.concatenate([data.train.x, data.train.y], axis=1)
    expected = X[:, [0, 2, 1]]
    np.testing.assert_array_equal(found[np.argsort(found[:, 0])], expected[np.argsort(X[:, 0])])
    assert load(path, target="b", valid=None, test=None).fingerprint() == data.fingerprint()


def test_csv_columns_may_have_any_name(tmp_path):
    """Also those that would be missing values below."""
    data = csv(table(tmp_path, "NA,None,y\n1,2,0\n3,4,1\n"), "y", valid=None, test=None)
    assert data.features == ("NA", "None")


ROWS = "a,y\n"
CLASSES = {
    "text": ("dog,cat,dog,emu", None, [1, 0, 1, 2], ("cat", "dog", "emu")),
    "labels": ("2,0,1,1", None, [2, 0, 1, 1], ("0", "1", "2")),
    "said": ("10,30,20,10", "classification", [0, 2, 1, 0], ("10", "20", "30")),
    "bools": ("True,False,True,True", None, [1, 0, 1, 1], ("False", "True")),
    "amounts": ("10,30,20,10", "regression", [10, 30, 20, 10], None),
    "floats said": ("1.0,0.0,2.0,1.0", "classification", [1, 0, 2, 1], ("0.0", "1.0", "2.0")),
    "fractions": ("1.5,2,3,4", None, [1.5, 2, 3, 4], None),
}


@pytest.mark.parametrize("case", CLASSES)
def test_csv_targets(tmp_path, case):
    values, task, expected, classes = CLASSES[case]
    lines = "".join(f"{i},{value}\n" for i, value in enumerate(values.split(",")))
    data = csv(table(tmp_path, ROWS + lines), "y", task=task, valid=None, test=None)
    order = np.argsort(data.train.x[:, 0])
    np.testing.assert_array_equal(data.train.y[order].ravel(), expected)
    assert data.classes == classes


BAD_TABLES = {
    "missing": ("a,y\n1,0\n,1\n", {}, ValueError, "row 1, column 'a' has no value .1 missing"),
    "missing target": ("a,y\n1,cat\n2,\n", {}, ValueError, "row 1, column 'y' has no value"),
    "NA": ("a,y\n1,0\nNA,1\n", {}, ValueError, "row 1, column 'a' has no value: 'NA' counts as"),
    "a class": ("a,y\n1,None\n2,u\n", {}, ValueError, "row 0, column 'y' .*: 'None' counts as"),
    "text": ("a,b,y\n1,2,0\n1,x,1\n", {}, TypeError, "column 'b' must hold numbers, row 1 is 'x'"),
    "no target": ("a,label\n1,0\n", {"target": "lable"}, ValueError, "Did you mean 'label'"),
    "ambiguous": ("a,y\n1,3\n2,7\n", {}, ValueError, "integers from 3 to 7.*task='classif"),
    "labels as floats": ("a,y\n1,0.0\n2,1.0\n", {}, ValueError, "from 0.0 to 1.0.*task='classif"),
    "an index": (",a,y\n0,1,0\n1,2,1\n", {}, ValueError, "column 0 has no name.*index=False"),
    "task": ("a,y\n1,0\n", {"task": "regresion"}, ValueError, "Did you mean 'regression'"),
    "regress text": ("a,y\n1,u\n", {"task": "regression"}, ValueError, "'u', expected numbers"),
    "only target": ("y\n1\n", {}, ValueError, "a column beside 'y'"),
    "no rows": ("a,y\n", {}, ValueError, "found 0 rows"),
    "no text": ("", {}, ValueError, "not a CSV table"),
    "ragged": ("a,y\n1,2\n1,2,3,4\n", {}, ValueError, "not a CSV table"),
    "extra values": ("a,y\n0,2,3\n1,5,6\n", {}, ValueError, "Expected 2 fields in line 2"),
    "twice": ("a,y,y\n1,0,0\n", {}, ValueError, "two columns are called 'y'"),
    "infinite": ("a,y\n1,0\ninf,1\n", {}, ValueError, r"x\[1, 0\].*inf"),
    "too large": ("a,y\n1,0\n1e60,1\n", {}, ValueError, r"x\[1, 0\].*float32"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables(tmp_path, case):
    text, arguments, error, words = BAD_TABLES[case]
    with pytest.raises(error, match=words):
        csv(table(tmp_path, text), **{"target": "y", "valid": None, "test": None, **arguments})


def test_a_long_table_is_read_in_one_piece(tmp_path):
    """pandas takes the digits of one piece for numbers and the letters of the next for text."""
    count = 600_000
    lines = "".join(f"{i},{i * 9 // count}\n" for i in range(count)) + "0,A\n" * 9
    data = csv(table(tmp_path, ROWS + lines), "y", valid=None, test=None)
    assert data.classes == (*"012345678", "A")


def test_archives_with_flipped_bytes(tmp_path):
    """Whichever byte it is: an error that names the file, or the arrays."""
    path = tmp_path / "data.npz"
    x = np.random.default_rng(0).integers(0, 4, (40, 3)).astype(np.float32)
    np.savez_compressed(path, x=x, y=np.arange(40) % 2)
    whole, refused = path.read_bytes(), 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            load(path)
        except ValueError as error:
            refused += "data.npz" in str(error)
    assert refused > len(whole) / 6


def test_npy_files_that_go_on(tmp_path):
    with open(tmp_path / "x.npy", "wb") as file:
        np.save(file, np.eye(8))
        np.save(file, np.eye(8))
    np.save(tmp_path / "y.npy", np.arange(8) % 2)
    with pytest.raises(ValueError, match=r"x.npy: .*goes on after its first array of shape \(8, 8"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"x: .*goes on after its first array of shape \(8, 8\)"):
        from_memmap(tmp_path / "x.npy", tmp_path / "y.npy", valid=None, test=None)
