"""Data sets by name or path; slips get the nearest name."""

import inspect

import numpy as np
import pytest

from jaxnets.data import SOURCES, Dataset, load


@pytest.mark.parametrize("name", sorted(set(SOURCES) - {"mnist1d"}))
def test_by_name(name):
    data = load(name, valid=0.2)
    assert isinstance(data, Dataset) and data.name == name
    assert data.fingerprint() == SOURCES[name](valid=0.2).fingerprint()


def test_every_source_takes_a_key():
    for function in SOURCES.values():
        assert inspect.signature(function).parameters["key"].default is None


def test_bad_names(tmp_path):
    bad = tmp_path / "data.xlsx"
    bad.write_text("")
    (tmp_path / "empty").mkdir()
    for name, arguments, error, words in [
        ("digit", {}, ValueError, "unknown name 'digit'.*'digits'.*A path"),
        ("", {}, ValueError, "unknown name ''"),
        (3, {}, TypeError, "expected a name or a path, got 3"),
        ("./digits", {}, FileNotFoundError, "no file or folder './digits'"),
        ("table.csv", {}, FileNotFoundError, "no file or folder 'table.csv'"),
        (tmp_path / "none", {}, FileNotFoundError, "no file or folder"),
        (bad, {}, ValueError, "unknown name '.xlsx'.*Known: .csv, .npz"),
        (tmp_path / "empty", {}, ValueError, "x and y is missing"),
        ("digits", {"vaild": 0.1}, ValueError, "digits: argument: .*Did you mean 'valid'"),
        ("mnist1d", {"sample": 10}, ValueError, "mnist1d: unknown name 'sample'"),
    ]:
        with pytest.raises(error, match=words):
            load(name, **arguments)


def test_a_table_needs_its_target(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,y\n" + "1.0,0\n2.0,1\n" * 10)
    with pytest.raises(ValueError, match="the argument target= is needed"):
        load(path)
    assert len(load(path, target="y").train) == 14


def test_names_win_over_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moons").mkdir()
    assert load("moons").input_shape == (2,)
    np.save(tmp_path / "moons" / "x.npy", np.ones((20, 7)))
    np.save(tmp_path / "moons" / "y.npy", np.arange(20) % 2)
    assert load("./moons").input_shape == (7,)
