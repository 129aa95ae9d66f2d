"""Saved states: bits, damage, what is kept of them and what is thrown away."""

import dataclasses
import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.population import saver, segments
from jaxnets.population.rows import Layout, join
from jaxnets.population.segments import DamagedError, Segment
from jaxnets.population.stopping import Stopped
from jaxnets.population.store import Store
from tests.population import kept
from tests.population.kept import at_dispatch, check_same, interrupt, members, train

ARRAYS = {
    "000.train.params.kernel": np.arange(12, dtype=np.float32).reshape(2, 3, 2),
    "001.zeros": -np.zeros((2, 1), np.float32),
    "002.nans": np.array([0x7FC00123, 0xFFC00001], np.uint32).view(np.float32),
    "003.infinite": np.array([np.inf, -np.inf], np.float32),
    "004.bool": np.array([True, False]),
    "005.half": np.array([1.5, -0.0], ml_dtypes.bfloat16),
    "006.words": np.array([[1, 2**32 - 1], [0, 7]], np.uint32),
    "seconds": np.array([0.1, 1e-300]),
}


def write(place: Path, generation: int = 1, **about: Any) -> Segment:
    given = {"members": ["a", "b"], "reached": [2, 4], "active": [True, False], "final": False}
    return segments.write(place, generation, ARRAYS, about={"x": 1.5}, **given | about)


def test_bits_survive(tmp_path: Path):
    written = write(tmp_path)
    found = segments.look(written.path)
    assert found == written and found.about == {"x": 1.5} and found.reached == (2, 4)
    segments.check(found)
    arrays = segments.read(found)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes(), name
    assert [path.name for path in tmp_path.iterdir()] == [written.path.name]


def test_nothing_is_said_when_all_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    segments.read(write(tmp_path))
    assert [record.getMessage() for record in caplog.records if record.levelno > 20] == []


def test_what_a_killed_process_could_not_take_away_is_taken_away(tmp_path: Path):
    for generation, final in ((1, False), (2, True)):  # killed between the second and this:
        write(tmp_path, generation, reached=[4, 4], active=[False, False], final=final)
    store = Store(tmp_path, pytest.fail)
    assert None not in store.find(["a", "b"], 4, 1)
    store.tidy()
    assert [segments.look(path).final for path in tmp_path.iterdir()] == [True]


def test_it_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for target, name in ((os, "fsync"), (os, "rename"), (segments, "_save")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
            with pytest.raises(OSError, match="full"):
                write(tmp_path)
        assert not list(tmp_path.iterdir())


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def deleted(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def elsewhere(path: Path) -> None:
    """The same bytes, but a link out of the folder."""
    other = path.parents[len(path.parts) - path.parts.index("state") - 1] / "other"
    shutil.move(path, other)
    path.symlink_to(other)


@pytest.mark.parametrize("damage", [truncated, flipped, deleted, a_folder, elsewhere])
def test_damage_to_any_file_is_found(tmp_path: Path, damage: Any):
    (tmp_path / "state").mkdir()
    segment = write(tmp_path / "state")
    names = [*segment.files, segments.INDEX]
    assert len(names) > 5
    for name in names:
        if damage is elsewhere and name == segments.INDEX:
            continue  # its name is its checksum, wherever it is
        copy = tmp_path / "copy" / "state" / segment.path.name
        shutil.copytree(segment.path, copy)
        damage(copy / name)
        with pytest.raises(DamagedError, match=name.replace(".", r"\.")):
            segments.check(segments.look(copy))
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "arrays/../../outside"])
def test_an_index_cannot_name_a_file_outside(tmp_path: Path, name: str):
    """Not by accident: somebody has made the checksums fit."""
    segment = write(tmp_path)
    (tmp_path / "outside").write_text("")
    index = json.loads((segment.path / segments.INDEX).read_text())
    index["files"][name] = hashlib.sha256(b"").hexdigest()
    text = json.dumps(index).encode()
    (segment.path / segments.INDEX).write_bytes(text)
    forged = segment.path.with_name(f"00000002-{hashlib.sha256(text).hexdigest()[:32]}")
    segment.path.rename(forged)
    with pytest.raises(DamagedError, match="not a file of this folder"):
        segments.check(segments.look(forged))


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("executed",)


def test_a_planted_pickle_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    kept.small_chunks(monkeypatch)
    runs = train(tmp_path / "out")
    [segment] = (tmp_path / "out" / "state").iterdir()
    payload = pickle.dumps(Evil())
    for place in (segment, segment / "arrays", segment.parent, tmp_path / "out"):
        for name in ("evil.pkl", "checkpoint", "state.pickle", "_sharding", "00000009-" + 32 * "a"):
            (place / name).write_bytes(payload)
    with pytest.warns(RuntimeWarning, match="00000009-a* is damaged"):
        check_same(train(tmp_path / "out"), runs)
    pickle.loads(payload)
    assert (tmp_path / "executed").exists(), "it would have been seen"
    (tmp_path / "executed").rmdir()
    for path in segments.look(segment).files:
        if "metadata" in path.lower() or "manifest" in path:
            (segment / path).write_bytes(payload)
    with pytest.warns(RuntimeWarning, match=r"is damaged \(arrays/.*: wrong checksum\)"):
        check_same(train(tmp_path / "out"), runs)
    assert not (tmp_path / "executed").exists()


def test_the_package_has_no_pickle():
    for path in Path(jn.__file__).parent.rglob("*.py"):
        words = path.read_text()
        for name in ("import pickle", "import cloudpickle", "import dill", "import shelve",
                     "import marshal", "allow_pickle=True", "joblib", " eval(",
                     " exec("):  # fmt: skip
            assert name not in words, f"{path}: {name}"


# A population's states.


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stopped in the middle of the second piece, every chunk saved."""
    kept.small_chunks(monkeypatch)
    kept.never_leaving(monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        kept.save_every_chunk(patch)
        at_dispatch(patch, 7, interrupt)
        train(tmp_path)
    return tmp_path


def states(out: Path) -> list[Segment]:
    return [segments.look(path) for path in sorted((out / "state").iterdir())]


def test_of_members_on_their_way_the_last_two_states_are_kept(stopped: Path):
    found = states(stopped)
    assert [(s.final, s.reached) for s in found if s.final] == [(True, (7, 2))]
    assert [s.reached for s in found if not s.final] == [(4, 2), (6, 2)]


def test_of_equal_members_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept.small_chunks(monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        kept.save_every_chunk(patch)
        at_dispatch(patch, 3, interrupt)
        train(tmp_path, [kept.members(1)[0]] * 2)
    assert [s.reached for s in states(tmp_path)] == [(4, 4), (6, 6)]


@pytest.mark.parametrize("damage", [truncated, flipped, deleted])
def test_what_is_damaged_comes_from_an_older_state(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, damage: Any
):
    """The newest state, the two newest, all: always the right bits, never without a word."""
    expected = train()
    for hurt in (1, 2, 3):
        out = stopped.parent / f"{stopped.name}-{damage.__name__}-{hurt}"
        shutil.copytree(stopped, out)
        worst = states(out)[-hurt:]
        for place, segment in enumerate(worst):
            names = [*segment.files, segments.INDEX]
            damage(segment.path / names[(3 * place + hurt) % len(names)])
        with monkeypatch.context() as patch, pytest.warns(RuntimeWarning) as caught:
            chunks = at_dispatch(patch, 0, interrupt)
            check_same(train(out), expected)
        told = [str(warning.message) for warning in caught]
        assert len(told) == hurt and all("is damaged (" in text for text in told)
        for segment in worst:
            assert sum(str(segment.path) in text for text in told) == 1
        assert chunks[0] == {1: 2, 2: 4, 3: 8}[hurt]
        assert not any(segment.path.exists() for segment in worst), "made again, thrown away"
        check_same(train(out), expected)
        shutil.rmtree(out)


def test_a_state_of_the_wrong_form_is_named(stopped: Path):
    [final] = [segment for segment in states(stopped) if segment.final]
    arrays = segments.read(final)
    changed = {k: v[..., None] if k.startswith("000.") else v for k, v in arrays.items()}
    names = ("members", "reached", "active", "final", "about")
    about = {name: getattr(final, name) for name in names}
    segments.write(stopped / "state", 99, changed, **about)
    with pytest.raises(ValueError, match=r"00000099-\w* is not of this study: 000\..*: expected"):
        train(stopped)


def test_rows_go_through_arrays(stopped: Path):
    runs = train(stopped)
    [rows] = kept.states(stopped, runs)
    spec, program = runs.plan.spec, runs.plan.programs[0]
    layout = Layout(spec, program)
    arrays = layout.pack(rows)
    assert all(array.shape[0] == 4 and array.size for array in arrays.values())
    assert any("BatchNorm" in name for name in arrays) and not any("/" in name for name in arrays)
    again = layout.unpack(arrays, rows.places, rows.reached)
    assert kept.bits(again.run) == kept.bits(rows.run)
    assert jax.tree.structure(again.run) == jax.tree.structure(rows.run)
    parts = [rows.take([3, 0]), rows.take([1])]
    history = {name: array[:, :2] for name, array in parts[1].history.items()}
    shorter = dataclasses.replace(parts[1], history=history)
    joined = join([parts[0], shorter])
    assert joined.places.tolist() == [3, 0, 1]
    for name, array in joined.history.items():
        np.testing.assert_array_equal(array[2, :2], rows.history[name][1, :2])
        assert np.isnan(array[2, 2:]).all()


def test_members_are_found_by_who_they_are(stopped: Path, tmp_path: Path):
    """Only those of the same identity, only at an epoch that leads on, the furthest of all. One of
    each two diverged in the first epoch: whatever was reached without it, two is where it ended.
    """
    found = states(stopped)
    done = next(segment for segment in found if segment.final)
    way = found[-1]
    store = Store(stopped / "state", pytest.fail)

    def reached(epochs: int, every: int = 2, unit: int = 1) -> list[int | None]:
        asked = [*done.members, *way.members, "somebody else"]
        return [None if f is None else f.reached for f in store.find(asked, epochs, every, unit)]

    assert reached(7) == [7, 2, 6, 2, None]
    assert reached(8) == [None, 2, 6, 2, None], "seven is between two records"
    assert reached(8, every=1) == [7, 2, 6, 2, None]
    assert reached(5) == [None, 2, 4, 2, None]
    assert reached(3) == [None, 2, None, 2, None]
    assert reached(1) == [None] * 5
    # Were these steps, two in an epoch: seven would be in the middle of the fourth.
    assert reached(4, every=2, unit=2) == [7, None, 4, None, None]
    assert reached(3, every=2, unit=2) == [None, None, 6, None, None]


def test_many_members_are_one_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a fast run finishes between two saves is saved together."""
    kept.small_chunks(monkeypatch)
    train(tmp_path, members(5), save_every=1e9)
    [segment] = states(tmp_path)
    assert len(segment.members) == 10 and segment.final


def test_members_that_are_done_are_written_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """However often is saved; what was written alone is taken away when it is there together."""
    kept.small_chunks(monkeypatch)
    kept.never_leaving(monkeypatch)
    kept.save_every_chunk(monkeypatch)
    expected = train(tmp_path / "together", members(5))
    [segment] = states(tmp_path / "together")
    assert len(segment.members) == 10 and segment.generation > 10
    monkeypatch.setattr(saver, "TOGETHER", 0)
    check_same(train(tmp_path / "apart", members(5)), expected)
    assert [len(one.members) for one in states(tmp_path / "apart")] == [2] * 5
    check_same(train(tmp_path / "apart", members(5)), expected)
