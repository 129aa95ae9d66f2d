"""What is said of where a result was made."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

import pytest

from benchmarks import record
from benchmarks.record import commit, machine, read, write


def test_the_commit_is_known_and_whether_anything_else_has_changed(tmp_path: Path):
    assert commit(tmp_path) == {}

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "a.py").write_text("")
    git("add", ".")
    git("commit", "-m", "one")
    found = commit(tmp_path)
    assert found["tree"] == "clean" and len(found["commit"]) >= 7
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results" / "faults.json").write_text("{}")
    assert commit(tmp_path)["tree"] == "clean"
    (tmp_path / "a.py").write_text("1")
    assert commit(tmp_path)["tree"] == "changed"


@pytest.mark.parametrize(
    ("processor", "devices", "name"),
    [
        ("AMD EPYC (25, 17)", {"platform": "cpu"}, "cpu-2-amd-epyc-25-17"),
        ("Intel(R) Xeon(R) Processor (6, 207)", {"platform": "cpu"},
         "cpu-2-intel-xeon-processor-6-207"),
        ("AMD EPYC (25, 17)", {"platform": "gpu", "count": 8, "kind": "NVIDIA H200"},
         "gpu-8-nvidia-h200"),
    ],
)  # fmt: skip
def test_every_machine_has_its_folder(
    processor: str,
    devices: dict[str, object],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    made = {"cores": 2, "machine": {"processor": processor, "devices": devices}}
    assert machine(made) == name
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    assert write("case", {"environment": made, "rows": []}) == tmp_path / name / "case.json"
    assert read() == {name: {"case": {"environment": made, "rows": []}}}
