"""Lanes of members that have stopped are given to others, and nobody's bits depend on it."""

import weakref
from pathlib import Path

import pytest

import jaxnets as jn
from jaxnets.population.piece import PieceRun
from jaxnets.population.run import execute
from tests.population import kept
from tests.population.bars import Bar, full
from tests.population.kept import at_dispatch, check_same, check_same_states, interrupt, train
from tests.small import DATA, LOSS, ROOT, leaves, same

EPOCHS, EVERY = 8, 2
HEALTHY, DIVERGING = 0.05, 1e30


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs per chunk, two members on each of two devices."""
    kept.small_chunks(monkeypatch)


def some_stop(count: int = 12, every: int = 4) -> list[jn.Member]:
    """One of ``every`` members trains to its end; the others diverge in their first step."""
    rates = [HEALTHY if place % every == 0 else DIVERGING for place in range(count)]
    return [jn.member(kept.NET, learning_rate=rate, seed=place) for place, rate in enumerate(rates)]


def fit(who: list[jn.Member], out: Path | None = None, **options) -> jn.Runs:
    return train(out, who, lanes=2, epochs=EPOCHS, patience=None, **options)


def test_the_bits_are_those_of_members_that_wait_for_each_other(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        kept.never_leaving(patch)
        waited = at_dispatch(patch, 0, lambda: None)
        expected = fit(some_stop())
    with monkeypatch.context() as patch:
        left = at_dispatch(patch, 0, lambda: None)
        runs = fit(some_stop())
    check_same(runs, expected)
    assert [row for row, _, _ in runs.diverged] == [i for i in range(12) if i % 4]
    assert same(leaves(runs, 8), leaves(runs.replay(8)))
    # Three pieces of four members for four chunks each, where nobody leaves. Else the healthy one
    # goes on with the next three, after the first chunk and one that was under way.
    assert waited == [3 * 4, 12 * EPOCHS] and left[0] == 2 + 2 + 2 + 3, left


@pytest.mark.parametrize("every", [2, 3, 5])
def test_members_of_different_epochs_side_by_side(every: int, monkeypatch: pytest.MonkeyPatch):
    runs = fit(some_stop(11, every))
    with monkeypatch.context() as patch:
        kept.never_leaving(patch)
        check_same(runs, fit(some_stop(11, every)))
    assert all(found.run_seconds > 0 for found in runs.groups)


def test_who_all_stop_late_stay(monkeypatch: pytest.MonkeyPatch):
    """Nobody leaves as long as more than three quarters of them go on."""
    who = [jn.member(kept.NET, learning_rate=HEALTHY, seed=place) for place in range(8)]
    with monkeypatch.context() as patch:
        count = at_dispatch(patch, 0, lambda: None)
        fit(who)
    assert count == [2 * 4, 8 * EPOCHS]


@pytest.mark.parametrize("number", [1, 2, 4])
def test_stopped_and_continued(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Those that have left belong to the state that is saved."""
    expected = fit(some_stop(), tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        kept.save_every_chunk(patch)
        before = at_dispatch(patch, number, interrupt)
        fit(some_stop(), tmp_path / "stopped")
    with monkeypatch.context() as patch:
        again = at_dispatch(patch, 0, lambda: None)
        runs = fit(some_stop(), tmp_path / "stopped")
    check_same(runs, expected)
    check_same_states(
        kept.states(tmp_path / "stopped", runs), kept.states(tmp_path / "undisturbed", expected)
    )
    assert again[0] and before[0] == number


def test_a_piece_is_gone_before_the_next_one_comes(monkeypatch: pytest.MonkeyPatch):
    """And with it its states on the devices, which are made for one at a time."""
    begin, pieces = PieceRun.__init__, []

    def alone(self: PieceRun, *arguments) -> None:
        assert [piece() for piece in pieces if piece() is not None] == []
        pieces.append(weakref.ref(self))
        begin(self, *arguments)

    monkeypatch.setattr(PieceRun, "__init__", alone)
    fit(some_stop())
    assert len(pieces) > 3


def test_the_progress_counts_every_epoch_once():
    plan = jn.make_plan(
        jn.make_spec(
            ROOT, DATA, some_stop(), epochs=EPOCHS, loss=LOSS, batch_size=4, history_every=EVERY,
            optimizer="momentum",
        ),
        lanes=2,
    )  # fmt: skip
    bar = Bar(plan)
    list(execute(plan, bar))
    assert bar.stands == full(plan)
