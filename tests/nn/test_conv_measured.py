"""What was measured decides, stays decided, and is told."""

import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.devices import traced_for
from jaxnets.nn import (
    conv_cost,
    conv_measured,
    conv_onednn,
    explain_convolutions,
    measure_convolutions,
)
from jaxnets.nn.conv_choices import measured_for
from jaxnets.nn.conv_cost import Method, Sizes
from jaxnets.nn.conv_measured import Question, Times, choose, learn
from jaxnets.nn.geometry import Geometry
from jaxnets.nn.trilinear import ROLES
from jaxnets.population.identity import members
from jaxnets.population.workshop import Blueprint

on_cpu = pytest.mark.skipif(
    jax.default_backend() != "cpu", reason="on an accelerator XLA chooses for itself"
)
GEOMETRY = Geometry((8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
QUESTION = Question("output", GEOMETRY, Sizes(128, 64, 64))


@pytest.fixture(autouse=True)
def _without_onednn(monkeypatch: pytest.MonkeyPatch):
    """What is chosen by estimate is the same wherever the tests run."""
    monkeypatch.setattr(conv_onednn, "missing", lambda: "not here")


NETWORK = jn.from_linen(jn.nn.ConvNet([3], 2, method="auto"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXNETS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """A machine on which XLA's own convolution is the fastest, and what was measured there."""
    asked: list[tuple[str, Method]] = []

    def measure(question: Question, methods: list[Method]) -> Times:
        start = len(asked)
        asked.extend((question.role, method) for method in methods)
        return {m: 1.0 if m.name == "lax" else 3.0 + start + i for i, m in enumerate(methods)}

    monkeypatch.setattr(conv_measured, "measure", measure)
    return asked


def forget() -> None:
    """As in a new process."""
    conv_measured._known.clear()


def test_nothing_is_measured_unasked():
    assert conv_measured.times(QUESTION) is None and conv_measured.count() == 0
    for name in conv_cost.METHODS:
        assert choose(QUESTION, name) == conv_cost.choose(*QUESTION, name)


def test_the_fastest_is_taken_and_a_fixed_method_stays(cache, clock):
    assert choose(QUESTION) == Method("winograd")
    learn(QUESTION)
    assert choose(QUESTION) == Method("lax")
    assert choose(QUESTION, "winograd") == Method("winograd")
    other = QUESTION._replace(role="kernel")
    assert choose(other) == conv_cost.choose(*other)


@pytest.mark.parametrize(("lax", "taken"), [(0.96, "winograd"), (0.94, "lax")])
def test_a_little_faster_does_not_decide(cache, lax, taken, monkeypatch):
    seconds = {"lax": lax, "winograd": 1.0}
    monkeypatch.setattr(
        conv_measured, "measure", lambda _, methods: {m: seconds.get(m.name, 9.0) for m in methods}
    )
    learn(QUESTION)
    assert choose(QUESTION).name == taken


def test_another_process_finds_it_on_the_disk(cache, clock):
    first = learn(QUESTION)
    count = len(clock)
    assert count == len(conv_measured.worth_trying(QUESTION)) > 1
    forget()
    assert learn(QUESTION) == first and len(clock) == count


@pytest.mark.parametrize("damage", ["", "{}", "not JSON", "[1]", "nan", "another question", "none"])
def test_what_is_damaged_is_measured_anew(cache, clock, damage):
    first = learn(QUESTION)
    (place,) = cache.rglob("*.json")
    kept = json.loads(place.read_text())
    if damage == "nan":
        kept["ms"]["lax"] = float("nan")
    elif damage == "another question":
        kept["question"][0] = "input"
    elif damage == "none":
        kept["ms"] = {}
    changed = damage in ("nan", "another question", "none")
    place.write_text(json.dumps(kept) if changed else damage)
    forget()
    with pytest.warns(RuntimeWarning, match=r"damaged .* measured anew"):
        second = learn(QUESTION)
    assert second.keys() == first.keys() and second != first
    forget()
    assert learn(QUESTION) == second


def test_the_first_process_that_has_written_is_right(cache, clock, monkeypatch):
    learn(QUESTION)
    (place,) = cache.rglob("*.json")
    text = place.read_text()
    place.unlink()
    forget()
    link = os.link

    def late(source, target):
        place.write_text(text)  # another process, while this one was measuring
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    found = learn(QUESTION)
    assert place.read_text() == text
    assert {str(method): ms for method, ms in found.items()} == json.loads(text)["ms"]
    assert [p for p in cache.rglob("*") if p.is_file()] == [place]


def test_where_nothing_can_be_written_this_process_knows_it(tmp_path, clock, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JAXNETS_CACHE", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="could not be written"):
        learn(QUESTION)
    assert choose(QUESTION) == Method("lax")
    forget()
    monkeypatch.setenv("JAXNETS_CACHE", "")
    learn(QUESTION)
    assert choose(QUESTION) == Method("lax")


def test_other_flags_are_another_answer(cache, clock, monkeypatch):
    learn(QUESTION)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_min_max=true")
    forget()
    learn(QUESTION)
    assert len(list(cache.rglob("*.json"))) == 2


@on_cpu
@pytest.mark.parametrize(("bits", "role"), [(32, role) for role in ROLES] + [(16, "output")])
def test_time_passes(bits, role):
    question = Question(role, GEOMETRY, Sizes(2, 3, 4, bits))
    methods = [Method("patches"), Method("lax")]
    found = conv_measured.measure(question, methods, rounds=1, seconds=1e-4)
    assert list(found) == methods and all(0 < ms < 1e3 for ms in found.values())


def test_ways_take_turns_and_the_median_counts(monkeypatch):
    """What slows the machine for a while slows all of them."""
    turns: list[Method] = []
    a, b = Method("patches"), Method("lax")

    def timer(question: Question, method: Method, seconds: float):
        def seconds_per_call() -> float:
            turns.append(method)
            slow = 10 if 3 <= len(turns) <= 4 else 1
            return slow * (1e-3 if method is a else 2e-3)

        return seconds_per_call

    monkeypatch.setattr(conv_measured, "_timer", timer)
    assert conv_measured.measure(QUESTION, [a, b], rounds=3) == {a: 1.0, b: 2.0}
    assert turns == [a, b, b, a, a, b]


@on_cpu
def test_a_network_is_told_what_it_was_chosen_by(cache, clock):
    before = explain_convolutions(NETWORK, (9, 1), 4)
    assert not measured_for(NETWORK, (9, 1), 4)
    rows = measure_convolutions(NETWORK, (9, 1), 4)
    assert rows == explain_convolutions(NETWORK, (9, 1), 4) != before
    assert {row.method for row in rows} == {"lax"}
    assert all(row.reason.startswith("measured, ms: lax 1") for row in rows)
    assert len(measured_for(NETWORK, (9, 1), 4)) == 3
    assert measured_for(NETWORK, (9, 1), 1)  # the last batch of an epoch may have this size
    assert not measured_for(NETWORK, (11, 1), 4)
    other = jn.from_linen(jn.nn.ConvNet([3], 2, method="patches"))
    clock.clear()
    measure_convolutions(other, (9, 1), 4)
    assert not clock  # a fixed choice is not measured


def test_on_an_accelerator_nothing_is_measured(cache, clock):
    with traced_for("gpu"):
        rows = measure_convolutions(NETWORK, (9, 1), 4)
    assert not clock and [row.method for row in rows] == ["lax"]


@on_cpu
def test_a_population_is_compiled_anew_and_is_another_one(cache, clock):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 9, 1), np.float32)
    data = jn.data.Dataset.from_splits(train=(x, np.arange(12) % 2), valid=None, test=None)

    def population(network):
        spec = jn.make_spec(
            jax.random.key(0), data, [jn.member(network=network, seed=0)],
            loss="softmax_cross_entropy", epochs=2, batch_size=4,
        )  # fmt: skip
        plan = jn.make_plan(spec)
        (program,) = plan.programs
        return Blueprint.of(spec, program), members(spec, program), plan

    nets = [jn.nn.ConvNet([3], 2), jn.nn.MLP([3], outputs=2)]
    before = [population(net) for net in nets]
    measure_convolutions(NETWORK, (9, 1), 4)
    after = [population(net) for net in nets]
    for place in (0, 1):
        assert before[0][place] != after[0][place]
        assert before[1][place] == after[1][place]
    assert "measured, ms" in str(after[0][2])


@on_cpu
def test_results_differ_by_rounding_alone(cache, clock):
    x = jax.random.normal(jax.random.key(1), (4, 9, 1))
    params, state = NETWORK.init(jax.random.key(0), x)

    def loss(params):
        y, _ = NETWORK.apply(params, state, x, key=jax.random.key(2), train=True)
        return (y**2).sum()

    before = jax.grad(loss)(params)
    estimated = [row.method for row in explain_convolutions(NETWORK, (9, 1), 4)]
    measured = [row.method for row in measure_convolutions(NETWORK, (9, 1), 4)]
    assert estimated != measured
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        before,
        jax.grad(loss)(params),
    )
