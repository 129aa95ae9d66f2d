"""What is known before anything is compiled."""

import dataclasses

import jax
import numpy as np
import pytest

import jaxnets as jn
from jaxnets.population import memory, plan_tables
from jaxnets.population import plan as plan_module
from tests.small import BATCH, DATA, LOSS, NET, ROOT, compilations

PARAMETERS = 3 * 4 + 4 + 4 * 3 + 3


def plan(members=None, data=DATA, lanes=None, devices=None, **options) -> jn.Plan:
    given = {"loss": LOSS, "optimizer": "adam", "batch_size": BATCH, "epochs": 7} | options
    members = jn.grid(network=NET, seed=range(5)) if members is None else members
    spec = jn.make_spec(ROOT, data, members, **given)
    return jn.make_plan(spec, lanes=lanes, devices=devices)


def test_counts():
    with compilations() as compiled:
        found = plan()
        text = str(found)
    assert not compiled
    (program,) = found.programs
    assert program.lanes == 1 and program.devices == tuple(jax.local_devices())
    assert program.workers == 2 and program.mesh == program.devices[:1]
    assert program.width == program.turns == 16 and program.pieces == 2
    assert program.parameters == PARAMETERS and program.steps_per_epoch == 3
    assert found.steps == 5 * 3 * 7
    assert found.flops == found.steps * program.step_flops
    assert "5 members, 1 program, 7 epochs on 2 x cpu" in text and "MLP(features=(4,)" in text


def test_choices_have_reasons_and_what_changes_them():
    def said(**given: object) -> dict[str, tuple[str, str, str]]:
        columns = [column._cells for column in plan(**given).choices().columns]
        return {row[0]: row[1:] for row in zip(*columns, strict=True)}

    usual = said()
    assert set(usual) == {
        "programs", "devices", "at once on a device", "in turn", "epochs in a call",
        "steps unrolled",
    }  # fmt: skip
    assert usual["devices"] == ("2", "all that there are", "devices=[...], use_all_cores()")
    assert usual["at once on a device"][0] == "1" and usual["in turn"][0] == "16"
    assert all(because for _, because, _ in usual.values())
    fixed = said(lanes=3, devices=jax.local_devices()[:1], unroll=2, widths="padded")
    assert fixed["devices"][:2] == ("1", "as given")
    assert fixed["at once on a device"][:2] == ("3", "as given")
    assert fixed["steps unrolled"][0] == "2" and "similar widths" in fixed["programs"][1]
    assert "choices" in str(plan())


def test_a_step_costs_its_matrix_products_and_little_else():
    def flops(batch_size: int) -> float:
        wide = jn.member(jn.nn.MLP([64], outputs=3))
        return plan(wide, optimizer="sgd", batch_size=batch_size).programs[0].step_flops

    # Forward and two backward, but no gradient for the inputs of the first layer.
    products = 2 * (2 * 3 * 64 + 3 * 64 * 3)
    assert products < (flops(9) - flops(1)) / 8 < 1.4 * products
    assert flops(1) < 5 * products  # drawing the initial weights is no part of it


def test_bytes():
    # Parameters, their best copy, Adam's two moments and its count.
    assert plan().programs[0].state_bytes == 4 * (4 * PARAMETERS + 1)
    assert plan(keep="last").programs[0].state_bytes == 4 * (3 * PARAMETERS + 1)
    assert plan(keep="last", patience=2).programs[0].state_bytes == 4 * (3 * PARAMETERS + 1)
    found = plan(lanes=3)
    # The test part stays behind; every lane has the training part in an order of its own.
    assert found.data_bytes == (10 + 6 + 2 * 3 * 10) * (3 * 4 + 4)
    assert plan().data_bytes == (10 + 6 + 2 * 10) * (3 * 4 + 4)
    assert plan(batch_size=10).data_bytes == (10 + 6) * (3 * 4 + 4)  # a full batch has no order
    assert found.device_bytes == found.data_bytes + 2 * 3 * 16 * found.programs[0].state_bytes
    assert found.result_bytes == 5 * 4 * PARAMETERS
    reconstructed = plan(
        jn.member(jn.nn.Autoencoder([4], 2)), DATA.reconstruction(), loss="mean_squared_error"
    )
    # Targets that are inputs count once, but for those that are put into order.
    assert reconstructed.data_bytes == (10 + 6 + 2 * 2 * 10) * 3 * 4


def test_the_layout_does_not_depend_on_how_many_or_how_long():
    def layout(found: jn.Plan):
        program = found.programs[0]
        return program.lanes, program.turns, program.devices, program.chunk_epochs

    one = layout(plan())
    assert layout(plan(jn.grid(network=NET, seed=range(100)))) == one
    assert layout(plan(epochs=100_000)) == one and one[3] == round(plan_module.CHUNK_STEPS / 3)


@pytest.mark.parametrize("every", [1, 7, 10_000])
def test_chunks_hold_whole_periods(every: int):
    (program,) = plan(history_every=every).programs
    assert program.chunk_epochs % every == 0 and program.chunk_epochs >= every


def test_long_steps_make_short_chunks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plan_module, "CHUNK_FLOPS", plan().programs[0].step_flops * 3 * 5)
    assert plan().programs[0].chunk_epochs == 5
    monkeypatch.setattr(plan_module, "CHUNK_FLOPS", 1.0)
    assert plan().programs[0].chunk_epochs == 1


@pytest.mark.parametrize(
    ("members", "lanes", "pieces"),
    [(1, 1, 1), (2, 1, 2), (32, 1, 2), (33, 1, 3), (65, 1, 5), (4, 4, 1), (128, 4, 2), (129, 4, 3)],
)
def test_pieces(members: int, lanes: int, pieces: int):
    found = plan(jn.grid(network=NET, seed=range(members)), lanes=lanes)
    assert found.programs[0].pieces == pieces


def test_few_members_are_dealt_out_over_the_devices():
    program = dataclasses.replace(plan().programs[0], workers=1)  # as on an accelerator
    devices = program.order // (program.lanes * program.turns)
    assert devices.tolist() == [0, 1] * 16 and sorted(program.order) == list(range(32))


def test_members_take_turns_only_on_a_cpu_and_only_while_a_dispatch_stays_short():
    turns = plan_module._turns
    assert turns("cpu", 1e6) == 16 and turns("gpu", 1e6) == 1
    assert turns("cpu", plan_module.TURN_FLOPS / 3) == 16 and turns("cpu", 1e15) == 1


def test_many_lanes_side_by_side_take_no_turns(monkeypatch: pytest.MonkeyPatch):
    one = plan().programs[0]
    chunk = one.chunk_epochs * one.steps_per_epoch * one.step_flops
    monkeypatch.setattr(plan_module, "TURN_FLOPS", 8 * chunk)
    assert [plan(lanes=lanes).programs[0].turns for lanes in (1, 4, 16)] == [16, 16, 1]


def test_ten_thousand_members_are_planned_in_pieces():
    members = jn.grid(network=NET, seed=range(10_000))
    found = plan(members, lanes=256)
    assert found.programs[0].pieces == 3
    assert found.device_bytes == plan(members[:1], lanes=256).device_bytes
    assert found.result_bytes == 10_000 * 4 * PARAMETERS


def test_lanes_of_an_accelerator_keep_within_their_room():
    def lanes(platform: str, state_bytes: int) -> int:
        return plan_module._lanes(platform, state_bytes, float("inf"))

    assert lanes("cpu", 1) == 1 and lanes("gpu", 1) == 256 and lanes("gpu", 0) == 256
    assert lanes("gpu", 2**31) == lanes("tpu", 2**40) == 1 and lanes("gpu", 2**25 - 1) == 64
    assert all(lanes("gpu", b) * b <= 2**31 for b in (2**20, 3 * 2**24, 2**30))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0 "), (999, "999 "), (1000, "1 k"), (2.5e9, "2.5 G"), (1e18, "1 E"), (1e22, "1e+04 E")],
)
def test_units(value: float, expected: str):
    assert plan_tables._si(value) == expected


def test_one_device():
    found = plan(devices=jax.local_devices()[:1])
    assert found.programs[0].width == 16 and found.programs[0].pieces == 1
    assert dataclasses.replace(found, devices=()).spec is found.spec
    assert np.isfinite(found.flops)


def test_bytes_of_rows_from_the_disk():
    """Three blocks for each of two workers, of a step of every lane at least."""
    data = jn.data.from_memmap(DATA.train.x, DATA.train.y, valid=None, test=None)
    assert plan(data=data).data_bytes == 2 * memory.BLOCKS * memory.BLOCK_BYTES
    wide = np.zeros((8, 2**16), np.float32)
    data = jn.data.from_memmap(wide, np.zeros(8, np.int32), valid=None, test=None)
    found = plan(jn.member(jn.nn.MLP([], outputs=2)), data, batch_size=4, lanes=32)
    step = 4 * (2**16 + 1) * 4 * 32 * found.programs[0].turns
    assert step > memory.BLOCK_BYTES and found.data_bytes == 2 * memory.BLOCKS * step
