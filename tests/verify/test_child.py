import json

import numpy as np
import pytest

from jaxnets.verify import child
from tests.verify import defects


def test_a_function_is_found_by_its_name():
    assert child.reference(defects.breaks) == "tests.verify.defects:breaks"

    def local():
        return None

    for function in (local, lambda: None):
        with pytest.raises(ValueError, match="train: expected a function of a module, got tests"):
            child.reference(function)


def test_a_process_that_fails_says_why(tmp_path):
    one = child.Child("jaxnets.nowhere:fit", ("residual",), 1, tmp_path)
    with pytest.raises(RuntimeError, match=r"failed: ModuleNotFoundError.*jaxnets\.nowhere"):
        one.wait(one.ask({}), 60.0)
    one.kill()
    with pytest.raises(RuntimeError, match="failed"):
        one.ask({})


def test_answers_are_read_without_pickle(tmp_path):
    np.savez(tmp_path / "a.npz", **{"1|params/w": np.ones(2), "0|file": np.array("x")})
    first, second = child.read(tmp_path / "a.npz")
    assert first == {"file": np.array("x")} and second["params/w"].tolist() == [1.0, 1.0]
    np.savez(tmp_path / "b.npz", allow_pickle=True, **{"0|params/w": np.array([json], object)[:0]})
    with pytest.raises(ValueError, match="allow_pickle"):
        child.read(tmp_path / "b.npz")


def test_waiting_ends():
    assert not child.wait_until(lambda: False, timeout=0.01)
