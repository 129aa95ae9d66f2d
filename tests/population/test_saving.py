"""Where a population is saved, and what happens where it cannot be."""

from math import nan
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets import files
from jaxnets.population import segments
from tests.population import kept
from tests.population.kept import at_dispatch, check_same, train
from tests.small import NET, fit


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    kept.small_chunks(monkeypatch)


def test_a_full_disk_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runs = train(tmp_path)
    usage = files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage._replace(free=files.RESERVE))
    check_same(train(tmp_path), runs)
    for who, out in ((None, tmp_path / "another"), (jn.member(NET, seed=77), tmp_path)):
        with pytest.raises(OSError, match="but the disk of"):
            train(out, *([who] if who else []))


def defined(outputs, batch):
    squares = jnp.sum(outputs**2, axis=1)
    return jnp.where(squares >= 0, squares, nan)


class AnyPath:
    """What the system takes for a path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_what_is_monitored_may_be_the_members_own(tmp_path: Path):
    """The accuracy goes with a loss that the only member chooses."""
    members = jn.member(NET, loss="softmax_cross_entropy")
    options = {"loss": "sum_squared_error", "monitor": "valid_accuracy"}
    for path in (tmp_path, AnyPath(tmp_path)):
        runs = fit(members, out=path, **options)
    kept.check_same(runs, fit(members, **options))


def test_what_could_not_be_saved_at_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(path, arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segments, "_save", full)
    with pytest.warns(RuntimeWarning, match="could not be saved") as said:
        runs = train(tmp_path)
    last = str(said[-1].message)
    assert last.startswith(f"{len(runs)} members that are done could not be saved in ")


def test_who_was_on_the_way_and_could_not_be_saved_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever stops a run on a full disk is not told that everything is saved."""

    def full(path, arrays):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segments, "_save", full)
    at_dispatch(monkeypatch, 2, kept.interrupt)
    with (
        pytest.warns(RuntimeWarning, match="could not be saved") as said,
        pytest.raises(KeyboardInterrupt, match="not all that was reached is saved in"),
    ):
        train(tmp_path)
    assert "members that were on their way could not be saved" in str(said[-1].message)


def test_a_number_of_lanes_may_be_numpys(tmp_path: Path):
    runs = fit(out=tmp_path, lanes=np.int64(2))
    kept.check_same(runs, fit(out=tmp_path, lanes=2))


def test_a_loss_may_name_a_nan(tmp_path: Path):
    """It is not equal to itself, and the same all the same."""
    runs = fit(out=tmp_path, loss=defined)
    kept.check_same(fit(out=tmp_path, loss=defined), runs)


def test_what_is_done_is_saved_when_training_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail() -> None:
        raise RuntimeError("out of memory")

    at_dispatch(monkeypatch, 6, fail)  # the second piece's
    with pytest.raises(RuntimeError, match="out of memory"):
        train(tmp_path, save_every=1e9)
    [left] = (tmp_path / "state").iterdir()
    assert segments.look(left).final and len(segments.look(left).members) == 2


@pytest.mark.parametrize(
    ("value", "kind"), [(-1.0, ValueError), (float("nan"), ValueError), ("often", TypeError)]
)
def test_a_bad_interval(tmp_path: Path, value: object, kind: type[Exception]):
    with pytest.raises(kind, match="save_every: expected"):
        train(tmp_path / "out", save_every=value)
    assert not list(tmp_path.iterdir())


def test_nothing_outside_the_folder_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    empty = [tmp_path / name for name in ("here", "home", "temporary")]
    for folder in empty:
        folder.mkdir()
    monkeypatch.chdir(empty[0])
    monkeypatch.setenv("HOME", str(empty[1]))
    monkeypatch.setenv("TMPDIR", str(empty[2]))
    monkeypatch.setattr("tempfile.tempdir", str(empty[2]))
    train("out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "home", "temporary"]
    assert [sorted(p.name for p in folder.iterdir()) for folder in empty] == [["out"], [], []]
