import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets.verify import Comparison, compare
from jaxnets.verify.comparison import NOTHING, compare_all
from jaxnets.verify.finding import Finding, of_law

BASE = {
    "params/w": np.float32([1.0, -4.0]),
    "params/b": np.float32([0.0, np.nan]),
    "history/epochs": np.array(4, np.int32),
    "history/fault": np.array("loss", "<U8"),
}


def with_(name, array):
    return BASE | {name: np.asarray(array)}


def test_the_same_bits_are_the_same():
    copy = {name: array.copy() for name, array in BASE.items()}
    assert compare("twice", copy, BASE) == Comparison(1, 4, 0.0, "")
    payload = BASE["params/b"].copy()
    payload.view(np.uint32)[1] ^= 1
    assert np.isnan(payload[1])
    assert compare("twice", with_("params/b", payload), BASE).same


@pytest.mark.parametrize(
    ("name", "array", "largest"),
    [
        ("params/w", np.nextafter(BASE["params/w"], np.float32(9)), 2.0**-22),
        ("params/w", np.float32([1.0, np.inf]), np.inf),
        ("params/w", np.float32([1.0]), np.inf),
        ("params/w", np.float64([1.0, -4.0]), np.inf),
        ("params/b", np.float32([0.0, 0.0]), np.inf),
        ("params/b", np.float32([-0.0, np.nan]), 2.0**-149),
        ("history/epochs", np.array(6, np.int32), 2.0),
        ("history/fault", np.array("update", "<U8"), np.inf),
    ],
    ids=str,
)
def test_other_bits_are_found(name, array, largest):
    found = compare("twice", with_(name, array), BASE)
    assert not found.same
    assert found.where == f"twice: {name}"
    assert found.largest == largest


@pytest.mark.parametrize("values", [(np.nan, np.inf), (np.inf, -np.inf), (np.inf, np.nan)])
def test_what_is_not_finite_is_not_alike(values):
    ours, theirs = ({"params/w": np.float32([value, 1.0])} for value in values)
    assert compare("twice", ours, theirs, relative=True).largest == np.inf


def test_narrow_numbers():
    ours, theirs, zero = (
        {"params/w": np.asarray(jnp.array([4.0, value], jnp.bfloat16))} for value in (0.5, 0, -0.0)
    )
    assert compare("twice", ours, theirs, relative=True).largest == 0.125
    assert compare("twice", zero, theirs, relative=True).largest < 1e-30
    assert compare("twice", zero, zero).same


def test_names_must_be_the_same():
    found = compare("twice", {}, BASE)
    assert found.largest == np.inf
    assert "history/epochs, history/fault, params/b, params/w" in found.where


def test_relative_to_the_largest_of_the_kind():
    found = compare("twice", with_("params/b", np.float32([0.5, np.nan])), BASE, relative=True)
    assert found.largest == 0.5 / 4.0
    small = {"params/w": np.float32([0.0])}
    assert compare("twice", {"params/w": np.float32([0.1])}, small, relative=True).largest > 0.09


def test_the_worst_of_all_is_kept():
    ours = [BASE, with_("history/epochs", np.array(5, np.int32)), {}, BASE]
    found = compare_all("again", ["a", "b", "c", "d"], ours, [BASE] * 4)
    assert (found.members, found.arrays, found.largest) == (4, 16, np.inf)
    assert found.where.startswith("again: c: only one of them has")
    zero = compare("twice", with_("params/b", np.float32([-0.0, np.nan])), BASE)
    assert not (NOTHING + zero).same and not (zero + NOTHING).same


def test_a_finding_says_what_is_wrong():
    apart = Comparison(3, 9, 2e-4, "again: a: params/w")
    assert not of_law("1 purity", (1,), apart).passed
    assert of_law("3 equivalence", (1,), apart, tolerance=1e-3, note="aside").detail == "aside"
    both = of_law("5 isolation", (1,), apart, problems=["nobody is named"])
    assert both.detail == "again: a: params/w differs by 2.0e-04; nobody is named"
    assert not of_law("1 purity", (1,), NOTHING).passed
    sign = Comparison(1, 1, 0.0, "a zero's sign")
    assert not of_law("1 purity", (1,), sign).passed
    with pytest.raises(ValueError, match="passed"):
        Finding("1 purity", (1,), 1, 1, float("nan"), 0.0, True)
