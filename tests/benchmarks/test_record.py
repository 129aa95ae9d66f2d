"""What is said of where a result was made."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks.record import commit


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
