"""The whole way from a question to a folder, on a problem of a few hundred steps."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rich.console import Console

from jaxnets.data import Dataset
from jaxnets.population import run as running
from jaxnets.population import segments
from jaxnets.population.results import Runs
from jaxnets.study import DepthWidth, prepare, run
from jaxnets.study.measure import ACCURACY, SQUARED
from jaxnets.study.summarize import _row, select
from jaxnets.study.tables import result_table
from tests.study.moons import (
    QUESTION,
    copied,
    opened,
    segment_of,
    unfinished,
    with_test_labels,
)


def test_the_folder_holds_what_was_promised(finished):
    out, report, _ = finished
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", ".manifest.json", "depth_width.png", "depth_width.svg", "history.nc",
        "manifest.json", "paired.csv", "state", "summary.csv",
    ]  # fmt: skip
    assert len(list((out / "state").iterdir())) == 2
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["question"] == QUESTION.to_json()
    asked = set(manifest["identity"]["question"])
    assert set(QUESTION.to_json()) - asked == {
        "depths", "learning_rates", "seeds", "epochs", "threshold"
    }  # fmt: skip
    assert manifest["identity"]["key"] == {"data": [0, 0], "impl": "threefry2x32"}
    assert {"jaxnets", "jax", "jaxlib", "flax", "optax", "numpy"} == set(
        manifest["identity"]["versions"]
    )
    assert manifest["precision"] == "highest"
    assert [program["lanes"] for program in manifest["programs"]] == [1, 1]
    assert manifest["sessions"][0]["members"] == report.trained == 8
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
        part = segments.read(segments.look(segment_of(out, depth)))
        own = history.isel(member=np.flatnonzero(history["depth"] == depth))
        for member in np.flatnonzero(own["chosen"]):
            h = data.test.x.astype(np.float64)
            for layer in range(depth + 1):
                names = [f"best.weights.0.Dense_{layer}.{name}" for name in ("kernel", "bias")]
                kernel, bias = (
                    next(array for key, array in part.items() if key.endswith(name))[member]
                    for name in names
                )
                kernel, bias = kernel.astype(np.float64), bias.astype(np.float64)
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


def test_programs_are_compiled_before_any_of_them_runs(tmp_path, monkeypatch):
    order = []
    compile_one, crew = running._compile, running.Crew

    def compiling(*arguments):
        order.append("compile")
        return compile_one(*arguments)

    def training(*arguments):
        order.append("run")
        return crew(*arguments)

    monkeypatch.setattr(running, "_compile", compiling)
    monkeypatch.setattr(running, "Crew", training)
    run(QUESTION, tmp_path / "out", progress=False)
    assert order == ["compile", "compile", "run"]


@pytest.mark.parametrize(
    ("others", "seeds", "start"),
    [
        ((2,), 1, "Against depth 1, paired over 1 seed: depth 2 differs by"),
        (
            (2,), 8,
            "Against depth 1, paired over 8 seeds (95 % interval for other seeds, at these rates "
            "and on these test rows): depth 2 is better, 3.0 ",
        ),
        (
            (2, 3), 8,
            "Against depth 1, paired over 8 seeds (the intervals hold together with 95 % "
            "confidence for other seeds, at these rates and on these test rows): depth 2 is "
            "better, 3.0 points [1.0, 5.0]; depth 3 is better, 3.0 ",
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


@pytest.mark.parametrize("width", [0.0, 2e-8])
def test_seeds_that_all_differ_alike_are_no_interval(finished, width: float):
    """Two coarse accuracies often do, and chance it may be all the same."""
    row = {
        "depth": 2, "base_depth": 1, "difference": 0.03, "low": 0.03 - width, "high": 0.03 + width,
        "seeds": 2,
    }  # fmt: skip
    report = dataclasses.replace(finished[1], paired=pd.DataFrame([row]))
    assert "depth 2 differs by 3.0 points at every seed (no interval)" in report.sentences()[0]
    equal = dataclasses.replace(report, paired=pd.DataFrame([row | {"low": 0.02, "high": 0.04}]))
    assert "depth 2 is better" in equal.sentences()[0]


@pytest.mark.parametrize("measure", [ACCURACY, SQUARED], ids=lambda m: m.name)
def test_who_diverged_is_worst_in_choosing_and_is_shown_as_what_it_reached(measure):
    """Two seeds, one rate: one member ends in its second epoch of four; half of the steps of both
    together, and what it had reached by then."""
    question = DepthWidth(depths=(1,), learning_rates=(0.1,), seeds=2, epochs=4, threshold=0.5)
    curves = np.array([[0.4, 0.5, 0.6, 0.7], [0.3, np.nan, np.nan, np.nan]])
    history = xr.Dataset(
        {
            f"valid_{measure.name}": (("member", "epoch"), curves),
            f"test_{measure.name}": ("member", np.array([0.7, 0.3])),
            "diverged": ("member", np.array([False, True])),
        },
        coords={
            "depth": ("member", [1, 1]), "width": ("member", [3, 3]), "seed": ("member", [0, 1]),
            "learning_rate": ("member", np.float32([0.1, 0.1])), "epoch": [1, 2, 3, 4],
        },
    )  # fmt: skip
    (choice,) = select(history, question, measure, [1])
    assert choice.scores[0] == pytest.approx(0.35 if measure.rising else np.inf)
    group = SimpleNamespace(rows=[0, 1])
    program = SimpleNamespace(group=group, parameters=1, step_flops=1.0, steps_per_epoch=10)
    done = SimpleNamespace(program=program, run_seconds=3.0, compile_seconds=0.0, member_steps=60)
    runs = SimpleNamespace(groups=[done])
    row = _row(runs, history, question, measure, 0, choice)
    best = [0.7, 0.3] if measure.rising else [0.4, 0.3]
    assert row[f"valid_{measure.name}"] == pytest.approx(np.mean(best))
    assert row["microseconds_per_member_step"] == pytest.approx(3.0 / 60 * 1e6)


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


def test_an_input_beyond_all_others_does_not_lose_the_study(tmp_path):
    """Its error is infinite; so is that of every network on the validation part."""
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    parts = {
        "train": (x, x[:, :1]),
        "valid": (x[:10], x[:10, :1]),
        "test": (x[10:20], x[10:20, :1]),
    }
    beyond = x[:10].copy()
    beyond[3] = 1e25
    question = DepthWidth(
        "own", depths=(1, 2), params=60, learning_rates=(1e-3, 3e-3), seeds=2, epochs=1,
        batch_size=20, threshold=0.9,
    )  # fmt: skip
    for part in ("test", "valid"):
        data = Dataset.from_splits(**parts | {part: (beyond, x[:10, :1])})
        report = run(question, tmp_path / part, data=data, progress=False)
        said = " ".join(report.sentences())
        if part == "test":
            assert np.isinf(report.summary["test_loss"]).all()
            assert "depth 2 cannot be compared: not every squared error is finite" in said
        else:
            assert "Depths 1, 2: all rates are equally good on validation" in said
        assert (tmp_path / part / "depth_width.png").exists()


def test_who_diverged_before_the_first_record_is_measured(tmp_path):
    """It has the weights that it began with."""
    question = DepthWidth(
        "moons", depths=(1,), params=60, learning_rates=(1e30,), seeds=2, epochs=2, batch_size=20,
        optimizer="sgd", clip_norm=1e30,
    )  # fmt: skip
    report = run(question, tmp_path / "out", progress=False)
    [row] = report.summary.to_dict("records")
    assert row["diverged_chosen"] == 2 and 0.1 < row["valid_accuracy"] < 0.9


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


def test_numbers_of_numpy_are_numbers():
    asked = DepthWidth(
        seeds=np.int64(3), depths=list(np.arange(1, 3)), learning_rates=[np.float64(0.1)]
    )
    assert json.dumps(asked.to_json()) == json.dumps(
        DepthWidth(seeds=3, depths=[1, 2], learning_rates=[0.1]).to_json()
    )


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
