import errno
import json
import os

import pytest

from jaxnets import cli
from jaxnets.verify import Finding, Verify, checks
from tests.verify import defects

HOLDS = Finding("1 purity", (1,), 18, 1_315, 0.0, 0.0, True)
FAILS = Finding("4 continuation", (1, 2), 28, 436, float("inf"), 0.0, False, "killed: a, b differs")


@pytest.fixture
def found(monkeypatch):
    """What the checks find, in place of looking."""

    def set_to(*findings: Finding):
        def verify(counts, *, started, **options):
            for one in findings:
                started(one.law, one.devices)
                yield one

        monkeypatch.setattr(checks, "verify", verify)

    return set_to


def test_all_laws_hold(found, capsys, tmp_path):
    found(HOLDS)
    assert cli.main(["verify", "--devices", "2", "--json", str(tmp_path / "found.json")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80 + len("jaxnets 0.1.0, ")
    [row] = [line.split() for line in out.splitlines() if line.startswith(" 1 purity")]
    assert row == ["1", "purity", "1", "18", "1,315", "0", "0", "holds"]
    assert "All laws hold on this machine" in out
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["passed"] is True
    assert written["findings"] == [HOLDS.to_json()]
    assert {"versions", "machine", "surroundings", "seconds"} <= set(written)


def test_a_law_that_fails_is_status_1(found, capsys, tmp_path):
    found(HOLDS, FAILS)
    assert cli.main(["verify", "--devices", "2", "--json", str(tmp_path / "found.json")]) == 1
    out, _ = capsys.readouterr()
    [row] = [line.split() for line in out.splitlines() if line.startswith(" 4 cont")]
    assert row == ["4", "continuation", "1,", "2", "28", "436", "infinite", "0", "FAILS"]
    assert "4 continuation FAILS on 1 and 2 devices: killed: a, b differs." in out
    assert "1 of 2 checks FAILED" in out
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["passed"] is False
    assert written["findings"][1]["largest"] is None


def test_a_defect_is_status_1(capsys):
    assert Verify(devices=(2,))(train=defects.breaks) == 1
    assert "1 purity FAILS on 2 devices: RuntimeError: out of order." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices", "0"], "devices: expected at least 1, got 0."),
        (["--json", "nowhere/found.json"], "json: there is no folder nowhere."),
        (["--json", "."], "json: . is a folder, expected a file."),
    ],
)
def test_mistakes(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["verify", *arguments]) == 2
    assert capsys.readouterr() == ("", f"jaxnets: {message}\n")


@pytest.mark.parametrize("findings", [[], [HOLDS, FAILS]], ids=len)
def test_stopped(monkeypatch, capsys, findings):
    def verify(counts, *, started, **options):
        yield from findings
        raise KeyboardInterrupt

    monkeypatch.setattr(checks, "verify", verify)
    assert cli.main(["verify", "--devices", "2"]) == 130
    out, err = capsys.readouterr()
    assert err == f"jaxnets: stopped; {len(findings)} checks were made, not all there are.\n"
    assert ("FAILS on 1 and 2 devices" in out) == bool(findings)
    assert "laws hold" not in out


def test_a_file_that_cannot_be_written_hides_no_law_that_fails(
    found, monkeypatch, capsys, tmp_path
):
    arguments = ["verify", "--devices", "2", "--json", str(tmp_path / "found.json")]
    for one, status in ((FAILS, 1), (HOLDS, 2)):
        found(one)
        with monkeypatch.context() as patch:
            patch.setattr("jaxnets.verify.report.save", full)
            assert cli.main(arguments) == status
        assert "No space left" in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda place, mode: place != tmp_path)
    assert cli.main(arguments) == 2
    assert "found.json cannot be written." in capsys.readouterr().err


def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
