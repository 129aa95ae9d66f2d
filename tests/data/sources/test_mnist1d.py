"""MNIST-1D: the published numbers, the user's own generators, the cache."""

import random

import jax
import numpy as np
import pytest

from jaxnets.data import mnist1d
from jaxnets.data.sources import cache
from jaxnets.data.sources import mnist1d as source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(folder, monkeypatch):
    monkeypatch.setenv("JAXNETS_CACHE", str(folder))


@pytest.fixture(scope="module")
def samples():
    """The default samples, generated once."""
    return source._generate(source._arguments(5000, 42, {}))


def test_published(samples):
    x, y = samples
    source.check_published(x, y)
    assert np.bincount(y[:4000]).tolist() == [398, 396, 411, 394, 394, 402, 401, 404, 402, 398]


@pytest.mark.parametrize("name", ["x", "x_test", "y", "y_test"])
def test_what_is_not_published_is_noticed(samples, name):
    x, y = (array.copy() for array in samples)
    if name.startswith("x"):
        at = (4000 if name == "x_test" else 3999, 39)
        x[at] = np.nextafter(x[at], np.float32(9))  # the last bit of one number
    else:
        y[4999 if name == "y_test" else 0] ^= 1
    with pytest.raises(RuntimeError, match=rf"the generated {name} is not .*verify=False"):
        source.check_published(x, y)


def test_verified_when_used(samples, monkeypatch):
    x, y = samples
    monkeypatch.setattr(source, "_generate", lambda arguments: (x + 1, y))
    with pytest.raises(RuntimeError, match="not the published one"):
        mnist1d(cache=False)
    assert len(mnist1d(cache=False, verify=False).train) == 3200


def test_ten_nearest_neighbours(samples):
    from sklearn.neighbors import KNeighborsClassifier

    data = mnist1d(valid=0)
    model = KNeighborsClassifier(10).fit(data.train.x, data.train.y)
    assert model.score(data.test.x, data.test.y) == 0.596


def test_parts(samples):
    x, y = samples
    whole = mnist1d(valid=0)
    assert whole.valid is None
    np.testing.assert_array_equal(whole.train.x, x[:4000])
    np.testing.assert_array_equal(whole.train.y, y[:4000])
    data = mnist1d()
    assert [len(part) for part in data.parts().values()] == [3200, 800, 1000]
    np.testing.assert_array_equal(data.test.x, x[4000:])
    np.testing.assert_array_equal(data.test.y, y[4000:])
    together = np.concatenate([data.train.x, data.valid.x])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(x[:4000], axis=0))
    assert data.fingerprint() == mnist1d(key=jax.random.key(0)).fingerprint()
    assert data.fingerprint() != mnist1d(key=jax.random.key(1)).fingerprint()


def test_double_descent_shape(samples):
    x, _ = samples
    data = mnist1d(valid=0, test=0.75)
    assert [len(part) for part in data.parts().values()] == [1250, 3750]
    np.testing.assert_array_equal(data.train.x, x[:1250])
    assert mnist1d(valid=100, test=None).test is None


def test_generator_arguments():
    data = mnist1d(100, 7, final_seq_length=20, shuffle_seq=True, padding=(30, 50), cache=False)
    assert data.input_shape == (20,)
    other = mnist1d(100, 8, final_seq_length=20, shuffle_seq=True, padding=(30, 50), cache=False)
    assert data.fingerprint() != other.fingerprint()


def test_defaults_are_the_generators():
    from mnist1d.data import get_dataset_args

    theirs = get_dataset_args(as_dict=True)
    for name in ("url", "train_split"):
        theirs.pop(name)
    ours = source._arguments(5000, 42, {})
    assert {"num_samples": ours.pop("samples"), **ours} == theirs


def state():
    array = np.random.mtrand.get_state(legacy=False)
    return random.getstate(), array["state"]["key"].tolist(), array["state"]["pos"], array["gauss"]


def test_global_generators_are_untouched():
    # One normal number leaves a second one waiting inside NumPy's generator.
    np.random.mtrand.standard_normal()
    before = state()
    mnist1d(100, cache=False)
    assert state() == before


def test_global_generators_are_untouched_by_a_failure(monkeypatch):
    import mnist1d.data

    def broken(settings):
        random.seed(1)
        np.random.mtrand.seed(1)
        raise ArithmeticError("broken")

    monkeypatch.setattr(mnist1d.data, "make_dataset", broken)
    before = state()
    with pytest.raises(ArithmeticError):
        mnist1d_function(100, cache=False)
    assert state() == before


mnist1d_function = mnist1d

BAD = {
    "samples": ({"samples": 5005}, ValueError, "samples: expected a positive multiple of 10"),
    "no samples": ({"samples": 0}, ValueError, "samples: .* got 0"),
    "half a sample": ({"samples": 10.0}, TypeError, "samples: expected an integer"),
    "seed": ({"seed": -1}, ValueError, "seed: expected 0 to"),
    "seed is a key": ({"seed": "42"}, TypeError, "seed: expected an integer"),
    "unknown": ({"iid_noise": 0.1}, ValueError, "mnist1d: unknown name .*'iid_noise_scale'"),
    "text": ({"iid_noise_scale": "0.1"}, TypeError, "iid_noise_scale: expected a number"),
    "nan": ({"scale_coeff": float("nan")}, ValueError, "scale_coeff: expected a finite"),
    "padding": ({"padding": [60, 36]}, ValueError, "padding: expected 0 <= low <= high"),
    "one padding": ({"padding": 36}, TypeError, "padding: expected two integers"),
    "length": ({"final_seq_length": 0}, ValueError, "final_seq_length: expected at least"),
    "flag": ({"shuffle_seq": 1}, TypeError, "shuffle_seq: expected True or False"),
    "integer": ({"max_translation": 4.5}, TypeError, "max_translation: expected an integer"),
    "all test": ({"samples": 100, "test": 100}, ValueError, "empty training part"),
    "all valid": ({"samples": 100, "valid": 80}, ValueError, "empty training part"),
    "key": ({"samples": 100, "key": 3}, TypeError, r"key: .*jax\.random\.key\(0\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    changes, error, words = BAD[case]
    with pytest.raises(error, match=words):
        mnist1d(**{"cache": False, **changes})


def test_cache_is_used_and_checked(folder, monkeypatch):
    first = mnist1d(50, seed=1)
    file = next(path for path in folder.iterdir() if path.stat().st_size < 100_000)
    calls = []
    generate = source._generate
    monkeypatch.setattr(source, "_generate", lambda a: calls.append(a) or generate(a))
    assert mnist1d(50, seed=1).fingerprint() == first.fingerprint() and not calls
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    for content in (bytes(damaged), b"", bytes(damaged[:500]), b"text"):
        file.write_bytes(content)
        calls.clear()
        assert mnist1d(50, seed=1).fingerprint() == first.fingerprint() and len(calls) == 1
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize("place", ["", "{}/file/below", "/proc/none"])
def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JAXNETS_CACHE", place.format(tmp_path))
    assert len(mnist1d(50, seed=2, test=None, valid=None).train) == 50
    assert cache.write("name", {"x": np.zeros(3)}) is False and cache.read("name") is None


def test_a_full_disk_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_CACHE", str(tmp_path))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert cache.write("name", {"x": np.zeros(3)}) is False
    assert list(tmp_path.iterdir()) == []


def test_a_copy_whose_numbers_were_changed_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_CACHE", str(tmp_path))
    assert cache.write("name", {"x": np.zeros(3)})
    with np.load(tmp_path / "name.npz") as archive:
        checksum = archive["sha256"]
    np.savez(tmp_path / "name.npz", x=np.ones(3), sha256=checksum)  # a sound file: only we notice
    assert cache.read("name") is None


def test_nothing_is_unpickled_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_CACHE", str(tmp_path))
    np.savez(tmp_path / "name.npz", x=np.array([{}], object), sha256="0", allow_pickle=True)
    assert cache.read("name") is None
