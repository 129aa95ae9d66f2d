"""Laws 1, 2, 4 and 5 for populations that nobody thought of.

The specifications are drawn, from few networks so that they share compilations. Every run draws
the same ones; ``JAXNETS_EXAMPLES=200 pytest tests/population/test_properties.py`` draws so many
others.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxnets as jn
from jaxnets.population import plan
from tests.population import kept
from tests.small import DATA, LOSS, ROOT

EXPLORE = os.environ.get("JAXNETS_EXAMPLES")
EPOCHS = 4
NETWORKS = (
    (jn.nn.MLP([], outputs=3), ()),
    (jn.nn.MLP([4], outputs=3, dropout_rate=0.2, norm="batch"), ("dropout_rate", "l2")),
)
"""With the numbers that a member has besides its rate."""

TURNS = {1: 2, 2: 1}
"""By lanes: dispatches are small, so that most populations need several."""


def examples(count: int) -> settings:
    return settings(
        max_examples=int(EXPLORE or count), deadline=None, derandomize=not EXPLORE, database=None
    )


seeds = st.integers(0, 2**32 - 1) | st.integers(0, 3)


@st.composite
def members(draw: st.DrawFn, fatal: bool = False) -> jn.Member:
    """Any member; a fatal one's first step is far too long."""
    network, names = draw(st.sampled_from(NETWORKS))
    rate = 1e38 if fatal else draw(st.floats(0.0, 0.5, width=32))
    numbers: dict[str, Any] = {name: draw(st.floats(0.0, 0.75, width=32)) for name in names}
    own = draw(st.dictionaries(st.sampled_from(["init_seed", "order_seed"]), seeds))
    return jn.member(network, learning_rate=rate, seed=draw(seeds), **numbers, **own)


populations = st.lists(members(), min_size=1, max_size=7)
lanes = st.sampled_from(sorted(TURNS))


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    def turns(_: str, __: float) -> int:
        return TURNS[laid_out[-1]]

    with pytest.MonkeyPatch.context() as patch:
        kept.small_chunks(patch)
        patch.setattr(plan, "_turns", turns)
        yield


laid_out = [1]


def train(who: list[jn.Member], side_by_side: int, **options: Any) -> jn.Runs:
    laid_out.append(side_by_side)
    return jn.fit(
        ROOT, DATA, who, loss=LOSS, optimizer="momentum", batch_size=4, epochs=EPOCHS,
        lanes=side_by_side, history_every=2, **options,
    )  # fmt: skip


def bits(runs: jn.Runs) -> list[list[bytes]]:
    """Everything that came out, member by member."""
    names = sorted(runs.history.data_vars)
    return [
        [
            *kept.bits((runs[row].params, runs[row].collections)),
            *(np.ascontiguousarray(runs.history[name].values[row]).tobytes() for name in names),
        ]
        for row in range(len(runs))
    ]


@examples(6)
@given(populations, lanes)
def test_law_1_the_same_call_has_the_same_bits(who: list[jn.Member], side_by_side: int):
    assert bits(train(who, side_by_side)) == bits(train(who, side_by_side))


@examples(10)
@given(populations, populations, lanes, st.data())
def test_law_2_a_member_is_the_same_in_any_company(
    who: list[jn.Member], others: list[jn.Member], side_by_side: int, data: st.DataObject
):
    runs = train(who, side_by_side)
    alone = bits(runs)
    order = data.draw(st.permutations(range(len(who) + len(others))), label="order")
    chosen = order[: data.draw(st.integers(1, len(order)), label="how many")]
    company = bits(train([[*who, *others][i] for i in chosen], side_by_side))
    for place, i in enumerate(chosen):
        assert i >= len(who) or company[place] == alone[i]
    row = data.draw(st.integers(0, len(who) - 1), label="replayed")
    assert bits(runs.replay(row)) == [alone[row]]


@examples(8)
@given(populations, st.lists(members(fatal=True), min_size=1, max_size=3), lanes, st.data())
def test_law_5_who_diverges_is_named_and_disturbs_nobody(
    who: list[jn.Member], fatal: list[jn.Member], side_by_side: int, data: st.DataObject
):
    healthy = bits(train(who, side_by_side))
    order = data.draw(st.permutations(range(len(who) + len(fatal))), label="order")
    mixed = train([[*who, *fatal][i] for i in order], side_by_side)
    found = bits(mixed)
    named = {row for row, _, _ in mixed.diverged}
    for place, i in enumerate(order):
        if i < len(who):
            assert found[place] == healthy[i] and place not in named
        else:
            assert place in named
            leaves = kept.bits(mixed[place].params)
            assert all(np.isfinite(np.frombuffer(leaf, np.float32)).all() for leaf in leaves)


@examples(8)
@given(populations, lanes, st.lists(st.integers(1, 6), max_size=4))
def test_law_4_stopped_anywhere_and_continued(
    who: list[jn.Member], side_by_side: int, moments: list[int]
):
    expected = train(who, side_by_side)
    with TemporaryDirectory() as place:
        for moment in moments:
            with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
                kept.at_dispatch(patch, moment, lambda: signal.raise_signal(signal.SIGINT))
                train(who, side_by_side, out=Path(place), save_every=0.0)
        continued = train(who, side_by_side, out=Path(place), save_every=0.0)
    assert bits(continued) == bits(expected)
    kept.check_same(continued, expected)


@examples(6)
@given(populations, populations, lanes)
def test_law_4_extended_by_more_members(
    who: list[jn.Member], more: list[jn.Member], side_by_side: int
):
    with TemporaryDirectory() as place:
        train(who, side_by_side, out=Path(place))
        extended = train([*more, *who], side_by_side, out=Path(place))
    assert bits(extended) == bits(train([*more, *who], side_by_side))
