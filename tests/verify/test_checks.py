"""A defect in each law is found, and no law fails without one."""

from pathlib import Path
from unittest import mock

import jax
import optax
import pytest

import jaxnets as jn
from jaxnets.population import plan
from jaxnets.verify import LAWS, checks, continuation, problem, verify
from tests.verify import defects

NAMES = {name[0]: name for name in LAWS}
ROOT = Path(__file__).parents[2]

EXACTLY = [
    (defects.compilation_decides, "1"),
    (defects.place_decides, "2"),
    (defects.shares_a_key, "3"),
    (defects.loses_a_step, "4"),
    (defects.lets_nan_leak, "5"),
    (defects.clips_together, "245"),
]
"""Defects, and the laws that fail because of each: these and no others."""

AMONG_OTHERS = [
    (defects.calls_decide, "1"),
    (defects.loses_the_optimizer, "4"),
    (defects.saves_nothing, "4"),
    (defects.does_not_freeze, "5"),
    (defects.freezes_too_soon, "5"),
    (defects.names_nobody, "5"),
]
"""Defects, and a law that must fail."""


TINY = problem.Candidate(
    jn.nn.MLP([4], 3, dropout_rate=0.2),
    "momentum",
    lambda rate: optax.sgd(rate, momentum=0.9),
    {"learning_rate": (0.05, 0.1), "dropout_rate": (0.2, 0.5)},
)


def findings(train, laws: str, devices: tuple[int, ...] = (1,)):
    """One network that compiles soon, chunks of ten epochs, all in this process."""
    with (
        mock.patch.dict(problem.CANDIDATES, tiny=TINY),
        mock.patch.object(plan, "CHUNK_STEPS", 30),
        mock.patch.object(continuation, "LONG", 400),
    ):
        names = [NAMES[law] for law in laws]
        return list(verify(devices, train=train, names=names, networks=["tiny"], processes=False))


def failed(found) -> str:
    return "".join(one.law[0] for one in found if not one.passed)


def about(parameter) -> str:
    return getattr(parameter, "__name__", parameter)


@pytest.mark.parametrize(("defect", "laws"), EXACTLY, ids=about)
def test_a_defect_breaks_its_law_and_no_other(defect, laws):
    found = findings(defect, "12345")
    assert failed(found) == laws, [one.detail for one in found]
    for one in found:
        assert one.passed or one.detail


@pytest.mark.parametrize(("defect", "law"), AMONG_OTHERS, ids=about)
def test_a_defect_breaks_its_law(defect, law):
    [one] = findings(defect, law)
    assert not one.passed, one


def test_a_defect_that_only_a_fresh_process_shows(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    [one] = verify([1], train=defects.process_decides, names=["1 purity"], networks=["convolution"])
    assert not one.passed
    assert one.detail.startswith("in a fresh process: convolution, seed 0: ")
    assert 0 < one.largest < 1e-6


def test_other_draws_on_other_devices_are_found():
    found = findings(defects.devices_decide, "3", devices=(1, 2))
    assert [(one.law, one.devices, one.passed) for one in found] == [
        ("3 equivalence", (1,), True),
        ("3 equivalence", (2,), False),
        (checks.BETWEEN, (1, 2), False),
    ]
    assert "another draw: 2 devices against 1, untrained: tiny, seed " in found[2].detail


def test_a_function_that_breaks_fails_every_law():
    found = findings(defects.breaks, "12345", devices=(1, 2))
    assert len(found) == 11 and not any(one.passed for one in found)
    assert {one.detail for one in found} == {"RuntimeError: out of order"}


def test_the_laws_hold_killed_and_all(capfd, monkeypatch):
    monkeypatch.setattr(continuation, "LONG", 1400)  # two chunks
    found = list(verify([2], networks=["convolution"]))
    assert failed(found) == "", [one.detail for one in found]
    assert [one.law for one in found] == list(LAWS)
    for one in found:
        assert one.compared and one.arrays and not one.detail
        assert (one.largest == 0.0) is (one.law != NAMES["3"])
    assert capfd.readouterr() == ("", "")


def test_numbers_of_devices():
    with pytest.raises(ValueError, match=r"devices: expected 1 to 2, got 3\."):
        list(verify([3]))
    assert jax.local_device_count() == 2
    for there in range(1, 300):
        counts = checks.device_counts(there)
        assert len(counts) <= 4 and counts[0] == 1 and counts[-1] == there
