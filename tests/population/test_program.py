"""How often XLA is asked: twice for each architecture, whatever else is asked for."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.devices import platform
from jaxnets.population.lanes import place
from jaxnets.population.program import executables
from jaxnets.population.traced_step import StepShape, step_cost
from jaxnets.population.workshop import Blueprint, Workshop, over_lanes
from tests.small import BATCH, DATA, EPOCHS, LOSS, NET, ROOT, compilations, fit, part

EVERYTHING = jn.optim.adam(
    clip_norm=1.0, weight_decay=1e-3, schedule=jn.schedules.exponential(100.0, 0.5)
)
DROPPING = jn.nn.MLP([6], outputs=3, dropout_rate=0.1)


def test_one_compilation_of_init_and_one_of_training_per_architecture():
    members = jn.grid(network=DROPPING, learning_rate=[0.01, 0.1], dropout_rate=[0.1, 0.5],
                      seed=range(3))  # fmt: skip
    options = {"optimizer": EVERYTHING, "history_every": 2}
    with compilations() as compiled:
        fit(members, **options)
    assert compiled.count("jit(over)") == 2 and len(members) == 12
    assert set(compiled) <= {"jit(over)", "jit(<lambda>)"}  # the latter: who is still active

    others = jn.grid(network=jn.nn.MLP((6,), 3, dropout_rate=0.1), learning_rate=[0.2, 0.3, 0.4],
                     dropout_rate=0.3, seed=5)  # fmt: skip
    longer = {"epochs": 2 * EPOCHS + 1, "key": jax.random.key(99), "progress": False}
    moved = jn.data.Dataset.from_splits(train=part(10, 8), valid=part(6, 9), test=part(3, 1))
    numbers = jn.optim.adam(
        0.5, b1=0.5, clip_norm=9.0, weight_decay=0.1, schedule=jn.schedules.exponential(7.0, 0.9)
    )
    with compilations() as compiled:
        fit(others, data=moved, **(options | longer | {"optimizer": numbers}))
        fit(others[:1], **options).replay(0)
    assert compiled == []


@pytest.fixture
def setting() -> Iterator[Callable[[str, object], None]]:
    """A way to change settings of JAX until the test is over."""
    before: dict[str, object] = {}

    def change(name: str, value: object) -> None:
        before[name] = jax.config.values[name]
        jax.config.update(name, value)

    yield change
    for name, value in before.items():
        jax.config.update(name, value)


def blueprint(data=DATA, members=None, lanes=None, devices=None, **options) -> Blueprint:
    given = {"loss": LOSS, "optimizer": "sgd", "batch_size": BATCH, "epochs": 2} | options
    spec = jn.make_spec(ROOT, data, jn.member(NET) if members is None else members, **given)
    plan = jn.make_plan(spec, lanes=lanes, devices=devices)
    return Blueprint.of(spec, plan.programs[0])


def test_equal_blueprints_are_one_entry():
    found = blueprint(members=jn.grid(network=NET, seed=range(4)), epochs=9)
    assert found == blueprint() and executables(found) is executables(blueprint())


@pytest.mark.parametrize(
    "other",
    [
        {"lanes": 2}, {"devices": jax.local_devices()[1:]}, {"precision": "default"},
        {"history_every": 3}, {"batch_size": 5}, {"keep": "last"}, {"shuffle": False},
        {"patience": 3}, {"unroll": 2}, {"metrics": []}, {"optimizer": "adam"},
        {"monitor": "valid_accuracy"}, {"members": jn.member(NET, l2=0.0)},
        {"data": jn.data.Dataset.from_splits(part(11, 1), valid=part(6, 2), test=None)},
        {"data": jn.data.Dataset.from_splits(part(10, 1), valid=part(7, 2), test=None)},
    ],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_what_asks_for_another_program(other: dict):
    assert blueprint(**other) != blueprint()


@pytest.mark.parametrize(
    ("name", "value"),
    [("jax_disable_most_optimizations", False), ("jax_threefry_partitionable", False)],
)
def test_another_setting_of_jax_is_another_program(
    name: str, value: object, setting: Callable[[str, object], None]
):
    blueprints = [blueprint()]
    with compilations() as compiled:
        first = executables(blueprints[0])
        setting(name, value)
        blueprints.append(blueprint())
        second = executables(blueprints[1])
    assert blueprints[0] != blueprints[1] and first is not second
    assert compiled.count("jit(over)") >= 2
    assert executables(blueprint()) is second


def test_a_step_is_remembered_with_the_settings_of_jax(setting: Callable[[str, object], None]):
    def shape(platform: str = "cpu") -> StepShape:
        spec = jn.make_spec(ROOT, DATA, jn.member(NET), loss=LOSS, epochs=1, batch_size=BATCH)
        return StepShape.of(spec.groups[0].recipe, spec.groups[0].names, DATA, "highest", platform)

    before = shape()
    assert shape() == before != shape("gpu") and step_cost(shape()) is step_cost(before)
    setting("jax_threefry_partitionable", False)
    assert shape() != before


def test_programs_are_traced_for_the_devices_that_they_run_on(monkeypatch: pytest.MonkeyPatch):
    """On a machine with an accelerator, too, a plan for the CPU is one for the CPU."""
    network = jn.nn.ConvNet([2], 3)
    data = jn.data.Dataset.from_splits(part(10, 1), valid=None, test=None)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    seen, shop = [], Workshop(blueprint())

    def look(x: jax.Array) -> jax.Array:
        seen.append(platform())
        return x

    shop.compiled(look, (shop.own((), jnp.float32),), mapped=1)
    assert set(seen) == {"cpu"} and platform() == "gpu"
    spec = jn.make_spec(ROOT, data, network, loss=LOSS, epochs=1, batch_size=BATCH)
    text = str(jn.make_plan(spec))
    assert "gradient of the kernel" in text and "XLA's own" not in text


def test_on_a_cpu_the_number_of_devices_does_not():
    """All have the program of the first."""
    assert blueprint(devices=jax.local_devices()[:1]) == blueprint()


def test_the_beginning_is_compiled_quickly(
    setting: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
):
    """But not without any optimisation: XLA would draw other last bits in another loop."""
    asked, whole = [], Workshop.compiled

    def compiled(*arguments, options, **how):
        asked.append(options)
        return whole(*arguments, options=options, **how)

    monkeypatch.setattr(Workshop, "compiled", compiled)
    for nothing in (True, False):
        setting("jax_disable_most_optimizations", nothing)
        assert Workshop(blueprint()).beginning(lambda lane, root, x: x.sum()) is not None
    assert asked == 2 * [{"xla_backend_optimization_level": 1}]


def test_one_lane_is_not_a_map_of_one():
    def branch(flag, x):
        return jax.lax.cond(flag, lambda x: x + 1, lambda x: x * 2, x)

    one = jax.make_jaxpr(over_lanes(branch, 1, 1, 1))(np.array([True]), 1.0)
    two = jax.make_jaxpr(over_lanes(branch, 2, 1, 1))(np.array([True, False]), 1.0)
    assert "cond[" in str(one) and "select_n" not in str(one)
    assert "select_n" in str(two)


def test_parts_that_are_their_own_targets_are_placed_once():
    spec = jn.make_spec(ROOT, DATA.reconstruction(), jn.nn.Autoencoder([4], 2), epochs=1,
                        loss="mean_squared_error", batch_size=4)  # fmt: skip
    found = place(spec.data, jn.make_plan(spec).programs[0])
    assert found.train.y is found.train.x and found.valid.y is found.valid.x
    plain = place(DATA, jn.make_plan(spec).programs[0])
    assert plain.train.y.dtype == np.int32 and plain.valid.x.shape == (6, 3)
