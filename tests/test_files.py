"""Where things are kept, and where they cannot be."""

import sys
from pathlib import Path

import jax
import pytest

import jaxnets as jn
from jaxnets import files
from jaxnets.files import cache_folder
from tests.small import DATA


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("JAXNETS_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("JAXNETS_CACHE", "")
    assert cache_folder() is None
    monkeypatch.delenv("JAXNETS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "jaxnets"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    if sys.platform != "win32":
        assert cache_folder() == tmp_path / ".cache" / "jaxnets"


def test_a_folder_that_cannot_hold_results_is_told_before(tmp_path: Path):
    with pytest.raises(ValueError, match="out: expected a path that UTF-8 can hold"):
        files.check_writable(tmp_path / b"f\xff".decode(errors="surrogateescape"), 0)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        FileNotFoundError, match=r"out: .*link is a link to .*nowhere, which is not"
    ):
        files.check_writable(tmp_path / "link", 0)
    files.check_writable(tmp_path / "new" / "folder", 0)
    assert (tmp_path / "new" / "folder").is_dir()


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    jn.fit(
        jax.random.key(0), DATA, jn.nn.MLP([2], outputs=3), loss="softmax_cross_entropy", epochs=1,
        batch_size=5, out="~/study",
    )  # fmt: skip
    assert (tmp_path / "study").is_dir()
