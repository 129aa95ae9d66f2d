"""The whole way from a question to a folder, on a problem of a few hundred steps."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rich.console import Console

from jaxnets.data import Split
from jaxnets.population.results import Runs
from jaxnets.study import DepthWidth, folder, prepare, run, session
from jaxnets.study.measure import ACCURACY, SQUARED
from jaxnets.study.tables import result_table

QUESTION = DepthWidth(
    "moons", depths=(1, 2), params=60, learning_rates=(1e-3, 3e-2), seeds=2, epochs=3, batch_size=50
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "moons"
    told = []
    report = run(QUESTION, out, progress=False, tell=told.append)
    return out, report, told


def opened(path):
    with xr.open_dataset(path, engine="h5netcdf") as file:
        return file.load()


def copied(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "copy")


def unfinished(out, *depths):
    """Take away what a run that was killed would not have written."""
    for name in (*session.RESULTS, *(f"parts/depth-{depth}.nc" for depth in depths)):
        (out / name).unlink()
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({**manifest, "finished": None, "sessions": []}))
    return out


def with_test_labels(data, y):
    return dataclasses.replace(data, test=Split(data.test.x, y.astype(np.int32), name="test"))


def test_the_folder_holds_what_was_promised(finished):
    out, report, _ = finished
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert names == [
        "depth_width.png", "depth_width.svg", "history.nc", "manifest.json", "paired.csv",
        "parts/depth-1.nc", "parts/depth-2.nc", "summary.csv",
    ]  # fmt: skip
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["identity"]["question"] == QUESTION.to_json()
    assert manifest["identity"]["key"] == {"data": [0, 0], "impl": "threefry2x32"}
    assert {"jaxnets", "jax", "jaxlib", "flax", "optax", "numpy"} == set(
        manifest["identity"]["versions"]
    )
    assert manifest["precision"] == "highest"
    assert [program["lanes"] for program in manifest["programs"]] == [1, 1]
    assert manifest["sessions"][0]["depths"] == [1, 2]
    assert report.trained == 2
    frame = pd.read_csv(out / "summary.csv")
    pd.testing.assert_frame_equal(frame, report.summary)
    assert list(frame["parameters"]) == [62, 57]
    paired = pd.read_csv(out / "paired.csv")
    assert list(paired.columns) == [
        "depth", "base_depth", "measure", "difference", "low", "high", "confidence", "seeds"
    ]  # fmt: skip
    assert paired[["depth", "confidence"]].values.tolist() == [[2, 0.95]]


def test_the_test_numbers_are_those_of_the_chosen_kept_weights(finished):
    out, report, _ = finished
    data = prepare(QUESTION).data
    history = opened(out / "history.nc")
    for place, depth in enumerate((1, 2)):
        part = opened(out / "parts" / f"depth-{depth}.nc")
        own = history.isel(member=np.flatnonzero(history["depth"] == depth))
        for member in np.flatnonzero(own["chosen"]):
            h = data.test.x.astype(np.float64)
            for layer in range(depth + 1):
                names = [f"kept.params.Dense_{layer}.{name}" for name in ("kernel", "bias")]
                kernel, bias = (part[name].values[member].astype(np.float64) for name in names)
                h = h @ kernel + bias
                h = np.maximum(h, 0.0) if layer < depth else h
            accuracy = np.mean(h.argmax(axis=1) == data.test.y)
            np.testing.assert_allclose(own["test_accuracy"].values[member], accuracy, rtol=1e-6)
        chosen = own["test_accuracy"].values[own["chosen"].values].astype(np.float64)
        assert report.summary["test_accuracy"][place] == chosen.mean()
        assert len(chosen) == QUESTION.seeds


def test_the_test_part_is_read_once_and_only_for_the_chosen(finished, tmp_path, monkeypatch):
    calls = []
    evaluate = Runs.evaluate

    def recorded(self, part="test", members=None):
        calls.append((part, list(members)))
        return evaluate(self, part, members)

    monkeypatch.setattr(Runs, "evaluate", recorded)
    out = unfinished(copied(finished, tmp_path))
    run(QUESTION, out, progress=False)
    history = opened(out / "history.nc")
    chosen = np.flatnonzero(history["chosen"]).tolist()
    assert calls == [("test", chosen)]
    assert np.flatnonzero(np.isfinite(history["test_accuracy"])).tolist() == chosen
    assert np.flatnonzero(np.isfinite(history["test_loss"])).tolist() == chosen


def test_wrong_test_labels_change_nothing_but_the_test_numbers(finished, tmp_path):
    data = prepare(QUESTION).data
    poisoned = with_test_labels(data, 1 - data.test.y)
    report = run(QUESTION, tmp_path / "out", data=poisoned, progress=False)
    ours, theirs = opened(tmp_path / "out/history.nc"), opened(finished[0] / "history.nc")
    test = ["test_accuracy", "test_loss"]
    xr.testing.assert_identical(ours.drop_vars(test), theirs.drop_vars(test))
    np.testing.assert_allclose(
        ours["test_accuracy"].values, 1 - theirs["test_accuracy"].values, atol=1e-6
    )
    assert list(report.summary["learning_rate"]) == list(finished[1].summary["learning_rate"])


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
    out = unfinished(copied(finished, tmp_path), 2)
    report = run(QUESTION, out, progress=False)
    assert report.trained == 1
    for name in ("history.nc", "parts/depth-2.nc"):
        ours, theirs = opened(out / name), opened(finished[0] / name)
        xr.testing.assert_equal(ours, theirs)
    timing = ["microseconds_per_member_step", "compile_seconds"]
    pd.testing.assert_frame_equal(
        report.summary.drop(columns=timing),
        finished[1].summary.drop(columns=timing),
        check_exact=True,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 3}, "question.seeds is 2 there and 3 now"),
        ({"learning_rates": (1e-3, 0.5)}, "question.learning_rates is"),
        ({"key": 1}, "question.key is 0 there and 1 now"),
    ],
)
def test_the_folder_of_another_question_is_refused(finished, change, message):
    study = prepare(dataclasses.replace(QUESTION, **change))
    with pytest.raises(ValueError, match=f"holds another study: {message}"):
        study.open(finished[0])


def test_other_data_or_versions_are_refused(finished, tmp_path):
    data = prepare(QUESTION).data
    study = prepare(QUESTION, data=with_test_labels(data, 1 - data.test.y))
    with pytest.raises(ValueError, match=r"data\.fingerprint is"):
        study.open(finished[0])
    out = copied(finished, tmp_path)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["identity"]["versions"]["jax"] = "0.0.1"
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r'versions\.jax is "0\.0\.1" there'):
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
    out = unfinished(copied(finished, tmp_path))
    (out / "parts/depth-1.nc").write_bytes((out / "parts/depth-1.nc").read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"depth-1\.nc is damaged"):
        study.open(out)
    (out / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        study.open(out)


def test_programs_are_compiled_before_any_of_them_runs(finished, tmp_path, monkeypatch):
    order = []
    executables, execute = session.executables, session.execute

    def compiling(blueprint):
        order.append("compile")
        return executables(blueprint)

    def running(plan, bar):
        for result in execute(plan, bar):
            order.append("run")
            yield result

    executables.cache_clear()
    monkeypatch.setattr(session, "executables", compiling)
    monkeypatch.setattr(session, "execute", running)
    run(QUESTION, unfinished(copied(finished, tmp_path), 1, 2), progress=False)
    assert order == ["compile", "compile", "run", "run"]
    assert executables.cache_info().misses == 2  # nothing was left to compile


@pytest.mark.parametrize(
    ("others", "seeds", "start"),
    [
        ((2,), 1, "Against depth 1, paired over 1 seed: depth 2 differs by"),
        ((2,), 8, "Against depth 1, paired over 8 seeds (95 % interval): depth 2 is better, 3.0 "),
        (
            (2, 3), 8,
            "Against depth 1, paired over 8 seeds (the intervals hold together with 95 % "
            "confidence): depth 2 is better, 3.0 points [1.0, 5.0]; depth 3 is better, 3.0 ",
        ),
    ],
)  # fmt: skip
def test_the_sentence_says_what_the_intervals_promise(finished, others, seeds, start):
    ends = {"low": 0.01, "high": 0.05} if seeds > 1 else {"low": np.nan, "high": np.nan}
    rows = [
        {"depth": depth, "base_depth": 1, "difference": 0.03, **ends, "seeds": seeds}
        for depth in others
    ]
    report = dataclasses.replace(finished[1], paired=pd.DataFrame(rows))
    assert report.sentences()[0].startswith(start)


@pytest.mark.parametrize(("measure", "mean"), [(ACCURACY, 0.987), (SQUARED, 2.345)])
def test_the_result_fits_into_80_columns(finished, measure, mean):
    name = f"test_{measure.name}"
    wide = {
        "depth": 12, "width": 1024, "parameters": 123_456, "learning_rate": 0.0003, name: mean,
        f"{name}_low": -mean, f"{name}_high": 3 * mean, f"valid_{measure.name}": mean,
        "epochs_to_threshold": np.inf, "reached": 0.25, "seeds": 16, "members": 128,
        "diverged": 128, "flops_per_step": 123e6, "microseconds_per_member_step": 1234.0,
    }  # fmt: skip
    table = result_table(pd.DataFrame([wide]), QUESTION, measure)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    shown = capture.get()
    assert f"{'98.7 ± 197.4' if measure.rising else '2.345 ± 4.690'} " in shown
    assert "never (4/16) 128/128 123 M  1234" in shown
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_full_disk_is_found_before_training(tmp_path, monkeypatch):
    study = prepare(QUESTION)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _: usage._replace(free=2**20))
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
    folder.write_text(place, "old")
    with pytest.raises(RuntimeError), folder.replacing(place) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_a_regression_is_judged_by_its_squared_error(tmp_path):
    question = DepthWidth(
        "sine", depths=(1,), params=60, learning_rates=(1e-3, 3e-2), seeds=2, epochs=2,
        batch_size=20, threshold=0.9,
    )  # fmt: skip
    report = run(question, tmp_path / "out", progress=False)
    assert prepare(question).data.train.y.std() == pytest.approx(1.0, abs=1e-5)
    [row] = report.summary.to_dict("records")
    assert row["learning_rate"] == 3e-2
    assert row["test_loss_low"] <= row["test_loss"] <= row["test_loss_high"]
    assert report.paired.empty
    assert report.sentences()[0].startswith("Depth 1 chose the largest rate tried, 0.03")


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"depths": ()}, ValueError, "depths: expected at least one value"),
        ({"depths": (1, 1)}, ValueError, "depths: expected different values, got 1 twice"),
        ({"depths": 3}, TypeError, "depths: expected a list"),
        ({"seeds": 0}, ValueError, "seeds: expected at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs: expected an integer, got 1.5"),
        ({"learning_rates": (-1.0,)}, ValueError, "learning_rates: expected a positive number"),
        ({"clip_norm": float("inf")}, ValueError, "clip_norm: expected a positive number"),
        ({"key": 2**32}, ValueError, "key: expected less than"),
    ],
)
def test_a_question_that_cannot_be_asked(settings, kind, message):
    with pytest.raises(kind, match=message):
        DepthWidth(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "moon"}, "Did you mean 'moons'"),
        ({"params": 5}, "params: 1 hidden layers .* got 5"),
        ({"activation": "rely"}, "activation: unknown name 'rely'. Did you mean 'relu'"),
        ({"kernel_init": "he"}, "kernel_init: unknown name 'he'"),
        ({"optimizer": "adm"}, "optimizer: unknown name 'adm'. Did you mean 'adam'"),
        ({"batch_size": 10_000}, "batch_size: expected at most"),
    ],
)
def test_names_and_sizes_are_checked_before_anything_is_written(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        prepare(dataclasses.replace(QUESTION, **settings)).open(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_what_the_protocol_needs():
    data = prepare(QUESTION).data
    with pytest.raises(ValueError, match="has no valid part"):
        prepare(QUESTION, data=dataclasses.replace(data, valid=None))
