"""The folder of a study: read, completed, extended, refused."""

import dataclasses
import json
import os
import shutil

import pandas as pd
import pytest
import xarray as xr

from jaxnets import files
from jaxnets.population.results import Runs
from jaxnets.study import prepare, run, session
from tests.study.moons import (
    QUESTION,
    copied,
    opened,
    segment_of,
    states,
    unfinished,
    with_test_labels,
)


@pytest.fixture
def sketched(monkeypatch):
    """Figures drawn in no time, of all that the real one shows: drawing takes longer than training
    here, and `test_what_is_missing_is_trained_to_the_same_bits` compares real ones.
    """

    def save(outcome, place, name):
        for suffix in ("png", "svg"):
            (place / f"{name}.{suffix}").write_text(outcome)

    def draw(outcome, *question):
        return repr((outcome.summary.drop(columns=TIMES).to_dict(), question))

    monkeypatch.setattr(session.figures, "draw", draw)
    monkeypatch.setattr(session.figures, "save", save)


TIMES = ["microseconds_per_member_step", "compile_seconds"]


FIGURES = ("depth_width.svg", "depth_width.png")


def check_same(ours, theirs, mine, other, question, figures=FIGURES):
    """Two folders and reports of one question, bit for bit, but for the times."""
    xr.testing.assert_identical(opened(ours / "history.nc"), opened(theirs / "history.nc"))
    for name in ("paired.csv", *figures):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    frames = [report.summary.drop(columns=TIMES) for report in (mine, other)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert states(ours, question) == states(theirs, question)


def test_a_finished_study_is_read_not_trained(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "execute", None)
    monkeypatch.setattr(Runs, "evaluate", None)
    out, told = copied(finished, tmp_path), []
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    report = run(QUESTION, out, tell=told.append)
    assert told[0].startswith(f"{out} holds this study, finished ")
    pd.testing.assert_frame_equal(report.summary, finished[1].summary, check_exact=True)
    pd.testing.assert_frame_equal(report.paired, finished[1].paired, check_exact=True)
    assert report.sentences() == finished[1].sentences()
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


def test_what_is_missing_is_trained_to_the_same_bits(finished, tmp_path):
    out, told = unfinished(copied(finished, tmp_path), 2), []
    report = run(QUESTION, out, progress=False, tell=told.append)
    assert report.trained == 4
    assert told[0] == f"{out} holds 4 of 8 members already."
    assert told[1].title.startswith("Plan: 4 members in 1 program, 3 epochs")
    check_same(out, finished[0], report, finished[1], QUESTION)


@pytest.mark.parametrize(
    ("change", "trained"),
    [
        ({"seeds": 3}, 4),
        ({"learning_rates": (1e-2, 1e-3, 3e-2)}, 4),
        ({"epochs": 4}, 8),
        ({"depths": (3, 1, 2)}, 4),
        ({"depths": (2,)}, 0),
        ({"threshold": 0.9}, 0),
        ({"seeds": 3, "epochs": 5}, 12),
    ],
    ids=lambda value: str(value),
)
def test_a_finished_study_is_extended(finished, tmp_path, sketched, change, trained):
    """Only what is new is trained, and the answer is that of a study which asked for it at once."""
    question, out, told = dataclasses.replace(QUESTION, **change), copied(finished, tmp_path), []
    report = run(question, out, progress=False, tell=told.append)
    assert report.trained == trained
    if trained:  # three epochs that eight members have behind them are not made again
        epochs = trained * question.epochs - 3 * 8 * (question.epochs > 3)
        assert told[1].caption.startswith(f"{14 * epochs:,} member-steps")
    on_their_way = question.epochs > 3 and 8
    expected = f"holds {0 if on_their_way else question.members - trained} of {question.members} "
    assert expected in told[0] and (", and 8 on their way" in told[0]) == bool(on_their_way)
    fresh = tmp_path / "fresh"
    check_same(out, fresh, report, run(question, fresh, progress=False), question)
    manifest = json.loads((out / "manifest.json").read_text())
    assert [session["members"] for session in manifest["sessions"]] == [8, trained]
    # ... and back: nothing is left to train, and everything is as it was.
    again = run(QUESTION, out, progress=False)
    assert again.trained == 0
    check_same(out, finished[0], again, finished[1], QUESTION, figures=())


def test_a_damaged_state_is_said_and_trained_again(finished, tmp_path):
    out, told = unfinished(copied(finished, tmp_path)), []
    broken = segment_of(out, 1)
    file = broken / "arrays" / "table.json"
    file.write_bytes(file.read_bytes()[:-1])
    report = run(QUESTION, out, progress=False, tell=told.append)
    assert told[0].startswith(f"{broken} is damaged (arrays/table.json: wrong checksum)")
    assert report.trained == 4 and not broken.exists()
    check_same(out, finished[0], report, finished[1], QUESTION)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": 70}, "question.params is 60 there and 70 now"),
        ({"batch_size": 40}, "question.batch_size is 50 there and 40 now"),
        ({"optimizer": "sgd"}, 'question.optimizer is "adam" there and "sgd" now'),
        ({"key": 1}, r"key.data is \[0, 0\] there and \[0, 1\] now"),
    ],
)
def test_the_folder_of_another_question_is_refused(finished, change, message):
    study = prepare(dataclasses.replace(QUESTION, **change))
    with pytest.raises(ValueError, match=f"holds another study: {message}"):
        study.open(finished[0])


def test_other_lanes_are_other_last_bits_and_refused(finished, tmp_path):
    study = prepare(QUESTION, lanes=2)
    assert [program.lanes for program in study.plan.programs] == [2, 2]
    with pytest.raises(ValueError, match="holds another study: lanes is null there and 2 now"):
        study.open(finished[0])
    assert run(QUESTION, tmp_path / "two", lanes=2, progress=False).trained == 8


def test_other_data_or_versions_are_refused(finished, tmp_path):
    data = prepare(QUESTION).data
    study = prepare(QUESTION, data=with_test_labels(data, 1 - data.test.y))
    with pytest.raises(ValueError, match=r"data\.fingerprint is"):
        study.open(finished[0])
    out = copied(finished, tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["identity"]["versions"]["jax"] = "0.0.1"
    files.write_manifest(out, manifest)
    with pytest.raises(ValueError, match=r'versions\.jax is "0\.0\.1" there'):
        prepare(QUESTION).open(out)
    files.write_manifest(out, manifest | {"format": 1})
    with pytest.raises(ValueError, match=r"another version of jaxnets \(format 1, this"):
        prepare(QUESTION).open(out)


def test_folders_that_hold_something_else(finished, tmp_path):
    study = prepare(QUESTION)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file, expected a folder"):
        study.open(tmp_path / "file")
    with pytest.raises(OSError, match="cannot be written to"):
        study.open(tmp_path / "file" / "below")
    with pytest.raises(ValueError, match=r"is not empty \(file\) and holds no study"):
        study.open(tmp_path)
    out = copied(finished, tmp_path)
    told = (out / "manifest.json").read_text()
    (out / "manifest.json").write_text(told.replace('"finished"', '"finishes"'))
    with pytest.warns(RuntimeWarning, match="is damaged or missing and is not used; its copy"):
        study.open(out)
    (out / ".manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"is damaged, and so is its copy \.manifest\.json"):
        study.open(out)


def test_a_full_disk_is_found_before_training(tmp_path, monkeypatch):
    study = prepare(QUESTION)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=2**20))
    with pytest.raises(OSError, match=r"needs 16 MiB, but the disk .* has 1 MiB left"):
        study.open(tmp_path / "out")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="cannot be written to: No space left"):
        study.open(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    place = tmp_path / "file.txt"
    files.write_text(place, "old")
    with pytest.raises(RuntimeError), files.replacing(place) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]
