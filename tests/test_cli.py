import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxnets import cli, files
from jaxnets.study import DepthWidth
from tests.population.kept import at_dispatch, slowly

SMALL = [
    "depth-width", "--dataset", "moons", "--depths", "1", "2", "--params", "60",
    "--learning-rates", "0.03", "--seeds", "2", "--epochs", "2", "--batch-size", "50",
    "--devices", "2",
]  # fmt: skip


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_nothing_is_loaded_before_it_is_needed():
    program = """
import sys
import time
from jaxnets.cli import main
assert main(["--version"]) == 0
for arguments in (["--help"], ["depth-width", "--help"]):
    try:
        main(arguments)
    except SystemExit as stop:
        assert stop.code == 0
print(sorted({"jax", "flax", "matplotlib", "xarray"} & set(sys.modules)))
import jaxnets as jn
jn.fit, jn.nn, jn.data, jn.optim, jn.losses  # all that a first metric needs
print(sorted({"matplotlib", "orbax", "pandas", "sklearn", "xarray"} & set(sys.modules)))
"""
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("jaxnets 0.")
    assert "--learning-rates" in done.stdout
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_a_mistake_is_one_line_and_status_2():
    done = python("-m", "jaxnets", "depth-width", "--dataset", "mnist2d")
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("jaxnets: dataset: unknown name 'mnist2d'. Did you mean 'mnist1d'?")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "seeds: expected at least 1, got 0"),
        (["--activation", "rely"], "activation: unknown name 'rely'"),
        (["--dataset", "./nowhere"], "there is no file or folder './nowhere'"),
        (["--out", "/dev/null"], "/dev/null is a file, expected a folder"),
        (["--out", "/dev/null/x"], "/dev/null/x cannot be written to: Not a directory"),
        (["--devices", "0"], "devices: expected at least 1, got 0"),
        (["--lanes", "0"], "lanes: expected at least 1, got 0"),
        (["--dataset", "table.csv"], "dataset: which column of table.csv is the target?"),
    ],
)
def test_mistakes(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*SMALL, *arguments]) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_an_option_that_does_not_parse(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["depth-width", "--epochs", "many"])
    assert stop.value.code == 2
    assert "--epochs" in capsys.readouterr().err


def test_a_dry_run_prints_the_plan_and_touches_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*SMALL, "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert "Plan: 4 members in 2 programs, 2 epochs, 2 x" in captured.out
    assert "1 x 12" in captured.out
    assert max(map(len, captured.out.splitlines())) <= 80
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_continued_done(capsys, tmp_path, monkeypatch, number, status):
    out = tmp_path / "out"
    command = [*SMALL, "--out", str(out)]
    asked = threading.Event()

    def ask() -> None:
        signal.raise_signal(number)
        asked.set()
        time.sleep(0.5)

    with monkeypatch.context() as patch:
        at_dispatch(patch, 1, ask)
        slowly(patch, asked)
        assert cli.main(command) == status
    captured = capsys.readouterr()
    assert f"stopped; what was reached is saved in {out}: run the same again" in captured.err
    assert not (out / "summary.csv").exists()

    assert cli.main(command) == 0
    captured = capsys.readouterr()
    [holds] = re.findall(r"holds (\d) of 4 members already", captured.out)
    missing = 4 - int(holds)  # the other worker may or may not have begun
    assert 1 <= missing <= 3
    assert f"Plan: {missing} member" in captured.out
    assert "Against depth 1, paired over 2 seeds" in captured.out
    assert captured.err == ""
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["sessions"][-1]["members"] == missing

    assert cli.main(command) == 0
    again = capsys.readouterr().out
    assert "holds this study, finished" in again
    assert captured.out.partition("Result:")[2].replace(" ", "") == again.partition("Result:")[
        2
    ].replace(" ", "")

    assert cli.main([*command, "--seeds", "3"]) == 0
    captured = capsys.readouterr()
    assert "holds 4 of 6 members already" in captured.out
    assert "Plan: 2 members in 2 programs," in captured.out
    assert "paired over 3 seeds" in captured.out

    assert cli.main([*command, "--params", "61"]) == 2
    assert "question.params is 60 there and 61 now" in capsys.readouterr().err


def test_brackets_of_a_path_are_no_colours(capsys, tmp_path):
    out = tmp_path / "runs[bold]" / "[/]"
    assert cli.main([*SMALL, "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"tables and histories are in {out}.\n")


@pytest.mark.parametrize("command", [["verify", "--quick"], SMALL], ids=lambda command: command[0])
def test_a_backend_that_does_not_start_is_one_line(command, tmp_path):
    code = f"import sys; from jaxnets import cli; sys.exit(cli.main({command!r}))"
    environment = {**os.environ, "JAX_PLATFORMS": "nosuch"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("jaxnets: devices: JAX cannot start what it is told to use: ")
    assert "nosuch" in line


def test_a_folder_that_is_in_use(capsys, tmp_path):
    with files.alone_in(tmp_path):
        assert cli.main([*SMALL, "--out", str(tmp_path)]) == 2
    assert f"another process is at work in {tmp_path}; wait" in capsys.readouterr().err


def test_stopped_twice(capsys, tmp_path, monkeypatch):
    def stop() -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.5)  # the main thread hears of it

    at_dispatch(monkeypatch, 1, lambda: [stop() for _ in range(2)])
    assert cli.main([*SMALL, "--out", str(tmp_path / "out")]) == 130
    assert f"stopped at once; {tmp_path}/out holds what was saved" in capsys.readouterr().err


def test_quiet_prints_nothing(capsys, tmp_path):
    arguments = [*SMALL, "--depths", "1", "--out", str(tmp_path / "out"), "--quiet"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "out" / "depth_width.png").exists()


def test_the_options_are_the_questions_defaults():
    assert cli.DepthWidthCommand().question == DepthWidth()


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--save-every", "-1"], "save_every: expected at least 0 seconds, got -1.0."),
        (["--save-every", "nan"], "save_every: expected a finite number"),
        (["--threshold", "55"], "threshold: expected at most 1, an accuracy of all, got 55."),
    ],
)
def test_numbers_that_mean_nothing(capsys, tmp_path, options, message, dry):
    arguments = [*SMALL, *options, *dry, "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_terminal_that_knows_no_micro(tmp_path, monkeypatch):
    with open(tmp_path / "said.txt", "w", encoding="ascii") as said:
        monkeypatch.setattr("sys.stdout", said)
        assert cli.main([*SMALL, "--depths", "1", "--out", str(tmp_path / "out")]) == 0
    assert "?s" in (tmp_path / "said.txt").read_text(encoding="ascii")
