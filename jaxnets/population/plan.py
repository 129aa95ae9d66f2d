"""How a population is going to run, known before anything is compiled."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from rich.table import Table

from jaxnets.population import memory
from jaxnets.population.plan_tables import (
    all_tables,
    choices_table,
    convolutions_table,
    programs_table,
)
from jaxnets.population.spec import Group, Spec
from jaxnets.population.traced_step import StepShape, step_cost
from jaxnets.population.widths import kernel_entries
from jaxnets.train import steps_per_epoch
from jaxnets.train.recipe import positive_integer

CHUNK_STEPS = 1000
"""About so many steps of a member between two looks at it (progress, early stopping)."""

CHUNK_FLOPS = 2e10
"""At most about so many floating-point operations of a member between two looks. From one record
to the next at least, whatever both say. They are constants: the chunks of a run do not depend on
how long or how large it is."""

TURNS = 16
TURN_FLOPS = 3e9
"""On a CPU the lanes of each device take so many turns in one dispatch, one after the other, where
one chunk of them has fewer floating-point operations than that: what a dispatch costs is shared
among them. Elsewhere there is one turn: taking several has to be compiled, too, since each array of
a state is taken out and put back."""

ACCELERATOR_LANES = 256
ACCELERATOR_BYTES = 2**31


@dataclass(frozen=True, eq=False)
class Program:
    """One program: one architecture, compiled once, run for all members of a group.

    Attributes:
        group: the members and what they share.
        devices: the devices it runs on at once, however few the members.
        workers: dispatches that are under way at once, each with a share of the devices. One on
            accelerators: a dispatch is for all of them, and they do not wait for each other. On a
            CPU as many as there are devices: XLA begins a dispatch for several only when all of
            them have ended the last, so there each has its own, of a program for one: the same
            program however many there are.
        lanes: members side by side on one device in one dispatch. A property of the architecture
            and the kind of device alone, never of the number of members: programs of different
            lane counts differ in the last bits, so this is what makes a member independent of its
            neighbours. What the last dispatch does not fill is padding.
        turns: so many times ``lanes`` members, one after the other, on one device in one dispatch;
            a property of the architecture, too.
        parameters: of one member, with the padding where widths are padded.
        step_flops: floating-point operations of one step of one member, see
            `jaxnets.population.operations`.
        state_bytes: parameters, other collections, optimizer and best weights of one member.
        kept_bytes: parameters and other collections of one member.
        chunk_epochs: epochs per dispatch.
        steps_per_epoch: steps of one member in one epoch.
        wasted: the share of its arithmetic that goes into padded widths, see `make_spec`.
    """

    group: Group
    devices: tuple[jax.Device, ...]
    workers: int
    lanes: int
    turns: int
    parameters: int
    step_flops: float
    state_bytes: int
    kept_bytes: int
    chunk_epochs: int
    steps_per_epoch: int
    wasted: float = 0.0

    @property
    def mesh(self) -> tuple[jax.Device, ...]:
        """The devices of one dispatch. To XLA the devices of a CPU are names for the same cores: it
        runs dispatches side by side that come from different threads, all on the first of them.
        """
        return self.devices[: len(self.devices) // self.workers]

    @property
    def width(self) -> int:
        """Members in one dispatch, at most."""
        return self.lanes * self.turns * len(self.mesh)

    @property
    def order(self) -> np.ndarray:
        """Where in a dispatch its first member is, its second, ...: dealt out over the devices, so
        that all of them have work when there are too few members to fill it. int ``(width,)``.
        """
        return np.arange(self.width).reshape(len(self.mesh), -1).T.ravel()

    def saved_bytes(self, records: int) -> int:
        """About what a member's state takes on the disk, with histories of so many records."""
        return self.state_bytes + 8 * records * len(self.group.recipe.record_names)

    @property
    def pieces(self) -> int:
        """Parts of the members of which one worker each trains all to the end: full dispatches, as
        long as there are more than that for every worker, then one for each.
        """
        members = len(self.group.rows)
        full = max(0, math.ceil((members - self.width * self.workers) / self.width))
        return full + math.ceil((members - full * self.width) / self.share(members))

    def share(self, members: int) -> int:
        """How many of so many members a worker takes, so that none is without any."""
        each = self.lanes * math.ceil(members / (self.lanes * self.workers))
        return min(self.width, each)

    @property
    def member_flops(self) -> float:
        """Floating-point operations of one epoch of one member."""
        return self.steps_per_epoch * self.step_flops


@dataclass(frozen=True, eq=False)
class Plan:
    """The programs of a population. Print it.

    Attributes:
        spec: what is to be trained.
        programs: one per group of members.
        devices: where it runs.
        data_bytes: the data set on one device of a dispatch, with every lane's copy in an epoch's
            order, or the blocks of it that are there at once.
        result_bytes: what is kept of all members, on the host: parameters and other collections,
            with the padding where widths are padded.
        remark: what is to be said about the memory of the host.
        given: what the user has fixed, ``"lanes"`` or ``"devices"``.
    """

    spec: Spec
    programs: tuple[Program, ...]
    devices: tuple[jax.Device, ...]
    data_bytes: int
    result_bytes: int
    remark: str = ""
    given: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Member-steps in total."""
        return sum(len(p.group.rows) * p.steps_per_epoch * self.spec.epochs for p in self.programs)

    @property
    def flops(self) -> float:
        """Floating-point operations of all training steps; evaluation is left out."""
        return sum(
            len(p.group.rows) * p.steps_per_epoch * self.spec.epochs * p.step_flops
            for p in self.programs
        )

    @property
    def device_bytes(self) -> int:
        """The most that data and training states take on one device of a dispatch at a time, those
        of the dispatches beside it included; activations come on top. It does not grow with the
        number of members.
        """
        states = max(p.lanes * p.turns * p.workers * p.state_bytes for p in self.programs)
        return self.data_bytes + states

    def table(self) -> Table:
        """The plan as a table for `rich`."""
        return programs_table(self)

    def choices(self) -> Table:
        """What was chosen, why, and how to choose otherwise, as a table for `rich`."""
        return choices_table(self)

    def convolutions(self) -> Table | None:
        """How each convolution is going to be computed, and why, as a table for `rich`; ``None`` if
        there are none.
        """
        return convolutions_table(self)

    def __str__(self) -> str:
        return all_tables(self)


def make_plan(
    spec: Spec, *, lanes: int | None = None, devices: Sequence[jax.Device] | None = None
) -> Plan:
    """Lay the members out over programs and devices.

    Args:
        spec: what is to be trained.
        lanes: members side by side on each device; ``None``: one on a CPU, so that a member alone
            is as fast as it can be; otherwise as many, up to 256, as keep their states within
            2 GiB, or within less if the memory of the device is less. On a CPU, populations of
            small dense networks train faster with some side by side, which share what starting
            an operation costs (up to a tenth for 40-64-64-10 with batches of 32:
            ``python -m benchmarks small-mlp`` has both), larger batches less, convolutions more
            slowly. The price: a dispatch of 8 takes as long with one member in it; and networks
            trained with different ``lanes`` differ in the last bits.
        devices: where to run; ``None``: every local device.

    Returns:
        The plan.

    Raises:
        TypeError: ``lanes`` is no integer, ``devices`` is no list of devices.
        ValueError: ``lanes`` is less than 1; ``devices`` is empty, has one twice, or mixes kinds;
            the data do not fit into memory.

    Warns:
        RuntimeWarning: states and results may not fit into memory, either.

    Example:
        >>> import jaxnets as jn
        >>> members = jn.grid(network=jn.nn.MLP([4], outputs=2), seed=range(3))
        >>> how = {"loss": "softmax_cross_entropy", "epochs": 2}
        >>> spec = jn.make_spec(jax.random.key(0), jn.data.moons(60), members, **how)
        >>> make_plan(spec, lanes=2).programs[0].lanes
        2
    """
    if lanes is not None:
        lanes = positive_integer("lanes", lanes)
    places = tuple(jax.local_devices()) if devices is None else _places(devices)
    programs = tuple(_program(spec, group, lanes, places) for group in spec.groups)
    fixed = (("lanes", lanes), ("devices", devices))
    plan = Plan(
        spec=spec,
        programs=programs,
        devices=places,
        data_bytes=memory.data_bytes(spec, places[0].platform, programs),
        result_bytes=sum(len(p.group.rows) * p.kept_bytes for p in programs),
        given=tuple(name for name, value in fixed if value is not None),
    )
    return replace(plan, remark=memory.check_host(plan))


def _places(devices: object) -> tuple[jax.Device, ...]:
    if not isinstance(devices, Sequence) or not all(isinstance(d, jax.Device) for d in devices):
        raise TypeError(
            f"devices: expected a list of devices such as jax.local_devices(), got {devices!r:.80}."
        )
    if not devices:
        raise ValueError("devices: expected at least one, got none.")
    if len(set(devices)) < len(devices) or len({d.device_kind for d in devices}) > 1:
        raise ValueError(f"devices: expected different devices of one kind, got {devices!r:.80}.")
    return tuple(devices)


def _program(
    spec: Spec, group: Group, lanes: int | None, devices: tuple[jax.Device, ...]
) -> Program:
    recipe = group.recipe
    state, flops = step_cost(
        StepShape.of(recipe, group.names, spec.data, spec.precision, devices[0].platform)
    )
    kept_bytes = _bytes((state.params, state.collections))
    copies = 2 if recipe.keep == "best" else 1
    state_bytes = _bytes(state.opt_state) + copies * kept_bytes
    if lanes is None:
        platform = devices[0].platform
        room = memory.room_for_states(devices[0], memory.data_bytes(spec, platform))
        # A lane takes its state so many times, and the rows of its blocks once.
        rows = memory.BLOCKS * memory.streamed_bytes(spec, recipe) // memory.WORKING
        lanes = _lanes(platform, state_bytes + rows, room)
    steps = steps_per_epoch(len(spec.data.train), recipe.batch_size)
    chunk_steps = min(CHUNK_STEPS, CHUNK_FLOPS / max(flops, 1.0))
    periods = max(1, round(chunk_steps / (steps * spec.history_every)))
    chunk_flops = periods * spec.history_every * steps * max(flops, 1.0)
    return Program(
        group=group,
        devices=devices,
        workers=len(devices) if devices[0].platform == "cpu" else 1,
        lanes=lanes,
        turns=_turns(devices[0].platform, lanes * chunk_flops),
        parameters=sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params)),
        step_flops=flops,
        state_bytes=state_bytes,
        kept_bytes=kept_bytes,
        chunk_epochs=periods * spec.history_every,
        steps_per_epoch=steps,
        wasted=_wasted(spec, group),
    )


def _wasted(spec: Spec, group: Group) -> float:
    """Counted in multiplications, which is where the time of a wide network goes."""
    wider, shape = group.recipe.network, spec.data.input_shape
    networks = Counter(spec.members[row].network for row in group.rows)
    if set(networks) == {wider}:
        return 0.0
    true = sum(kernel_entries(network, shape) * n for network, n in networks.items())
    return 1 - true / (len(group.rows) * kernel_entries(wider, shape))


def _lanes(platform: str, state_bytes: int, room: float) -> int:
    if platform == "cpu":
        return 1
    fitting = max(1, min(ACCELERATOR_BYTES, room) // max(state_bytes, 1))
    return min(ACCELERATOR_LANES, 2 ** int(math.log2(fitting)))


def _turns(platform: str, flops: float) -> int:
    return TURNS if platform == "cpu" and flops < TURN_FLOPS else 1


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
