"""The compiled functions of one group: so many epochs of so many lanes, on all devices."""

import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnets import rng
from jaxnets.data import Batch, Dataset, Split
from jaxnets.population.plan import Program
from jaxnets.population.spec import Spec, program_key
from jaxnets.train import Run, init_state, selection
from jaxnets.train.recipe import Recipe
from jaxnets.train.watch import watched_epoch

AXIS, LANE = "member", "lane"


class Data(NamedTuple):
    """The parts that training may see."""

    train: Batch
    valid: Batch | None


class Lanes(NamedTuple):
    """What differs from lane to lane: the leading axis counts them.

    Attributes:
        seeds: uint32 ``(lanes, streams)``.
        numbers: float32 ``(lanes,)`` by name.
    """

    seeds: Any
    numbers: dict[str, Any]

    @property
    def streams(self) -> dict[str, Any]:
        """The seeds of one lane by name."""
        named = {s.seed_name: self.seeds[i] for i, s in enumerate(rng.Stream)}
        return {"seed": named[rng.Stream.INIT.seed_name], **named}


class Span(NamedTuple):
    """The epochs ``first`` (from 0) to ``last`` (exclusive) of every lane, int32 ``(lanes,)``. Both
    are traced: one program serves every chunk, the last shorter one too, and any length of
    training. A lane whose span is empty does not change, and costs nothing if it is alone.
    """

    first: Any
    last: Any


Chunk = Callable[..., tuple[Run, dict[str, jax.Array]]]


def init_function(recipe: Recipe) -> Callable[..., Run]:
    """The pure function of one member: ``(lane, root, x) -> run`` before its first epoch."""

    def init(lane: Lanes, root: jax.Array, x: jax.Array) -> Run:
        keys = rng.stream_keys(root, lane.streams)
        return selection.begin(recipe, init_state(recipe, keys, lane.numbers, x))

    return init


def chunk_function(
    recipe: Recipe, history_every: int, periods: int, axis: str | None = None
) -> Chunk:
    """The pure function of one member: ``(run, lane, span, root, data) -> (run, history)``.

    The history has ``periods`` entries; those that ``span`` does not reach are NaN. Lanes that are
    mapped over ``axis`` go through the same loops together, as far as the longest of them goes.
    """

    def chunk(
        run: Run, lane: Lanes, span: Span, root: jax.Array, data: Data
    ) -> tuple[Run, dict[str, jax.Array]]:
        keys = rng.stream_keys(root, lane.streams)
        numbers = lane.numbers

        def period(carry: tuple[jax.Array, Run, Any]) -> tuple[jax.Array, Run, Any]:
            index, run, history = carry
            start = span.first + index * history_every
            stop = jnp.minimum(start + history_every, span.last)

            def one(number: jax.Array, carry: tuple[Run, Any]) -> tuple[Run, Any]:
                going = start + number < stop
                after, new = watched_epoch(recipe, carry[0], keys, numbers, data.train, going, axis)
                return after, {k: jnp.where(going, new[k], carry[1][k]) for k in new}

            means = {name: jnp.float32(jnp.nan) for name in recipe.record_names}
            run, means = jax.lax.fori_loop(0, _most(stop - start, axis), one, (run, means))
            record = selection.measure(recipe, run.train, numbers, means, data.valid)
            reached = (start < stop) & (run.epoch == stop)
            decided = selection.decide(recipe, run, record)
            run = jax.tree.map(lambda a, b: jnp.where(start < stop, a, b), decided, run)
            record = {k: jnp.where(reached, v, jnp.nan) for k, v in record.items()}
            return index + 1, run, {k: history[k].at[index].set(record[k]) for k in history}

        def unfinished(carry: tuple[jax.Array, Run, Any]) -> jax.Array:
            index, run, _ = carry
            left = run.active & (span.first + index * history_every < span.last)
            return _most(left.astype(jnp.int32), axis) > 0

        parts = ("train",) if data.valid is None else ("train", "valid")
        names = [f"{part}_{name}" for part in parts for name in recipe.record_names]
        history = {name: jnp.full((periods,), jnp.nan, jnp.float32) for name in names}
        _, run, history = jax.lax.while_loop(unfinished, period, (jnp.int32(0), run, history))
        return run, history

    return chunk


def _most(value: jax.Array, axis: str | None) -> jax.Array:
    return value if axis is None else jax.lax.pmax(value, axis)


def over_lanes(
    function: Callable[..., Any], lanes: int, mapped: int, turns: int = 1
) -> Callable[..., Any]:
    """Map the first ``mapped`` arguments over a leading axis of ``turns * lanes``: ``lanes`` of
    them side by side, ``turns`` times one after the other. The other arguments are shared.

    A single lane is not a map of one: its program is that of a network alone, in which a branch
    is a branch and a convolution is not a grouped one.
    """

    def side_by_side(own: tuple[Any, ...], shared: tuple[Any, ...]) -> Any:
        if lanes > 1:
            axes = (0,) * mapped + (None,) * len(shared)
            return jax.vmap(function, in_axes=axes, axis_name=LANE)(*own, *shared)
        result = function(*jax.tree.map(lambda a: a[0], own), *shared)
        return jax.tree.map(lambda a: a[None], result)

    def over(*arguments: Any) -> Any:
        own, shared = arguments[:mapped], arguments[mapped:]
        if turns == 1:
            return side_by_side(own, shared)
        split = jax.tree.map(lambda a: a.reshape(turns, lanes, *a.shape[1:]), own)
        result = jax.lax.map(lambda one: side_by_side(one, shared), split)
        return jax.tree.map(lambda a: a.reshape(turns * lanes, *a.shape[2:]), result)

    return over


@dataclass(frozen=True)
class Blueprint:
    """Everything that a compiled program depends on, and nothing else: equal blueprints share one
    compilation, whatever the data, the root key, the numbers and the length of training.

    Attributes:
        recipe: the static half; compared by ``structure``, without the optimizer's numbers.
        structure: see `jaxnets.population.spec.program_key`.
        names: the numbers that are part of the program.
        history_every: epochs between two records.
        periods: the most records of one chunk.
        lanes: members side by side on each device.
        turns: so many times, one after the other, in one dispatch.
        devices: where it runs.
        precision: of matrix products.
        shapes: of the data, with dtypes, as a hashable tree.
    """

    recipe: Recipe = field(compare=False)
    structure: Hashable
    names: tuple[str, ...]
    history_every: int
    periods: int
    lanes: int
    turns: int
    devices: tuple[jax.Device, ...]
    precision: str
    shapes: tuple[Any, ...]

    @classmethod
    def of(cls, spec: Spec, program: Program) -> "Blueprint":
        """The blueprint of one program of a plan."""
        return cls(
            recipe=program.group.recipe,
            structure=program_key(program.group.recipe),
            names=program.group.names,
            history_every=spec.history_every,
            periods=program.chunk_epochs // spec.history_every,
            lanes=program.lanes,
            turns=program.turns,
            devices=program.devices,
            precision=spec.precision,
            shapes=tuple(
                (name, part.x.shape, part.y.shape, part.y.dtype.name)
                for name, part in spec.data.parts().items()
                if name != "test"
            ),
        )


class Executables(NamedTuple):
    """The two compiled functions of a blueprint: the beginning of a run, and a chunk of it."""

    init: Any
    chunk: Any


class Workshop:
    """Compiles functions of one member for the lanes and the devices of a blueprint.

    Args:
        blueprint: what the programs depend on.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        self.blueprint = blueprint
        self.width = blueprint.lanes * blueprint.turns * len(blueprint.devices)
        self.axis = LANE if blueprint.lanes > 1 else None
        self._mesh = Mesh(np.array(blueprint.devices, dtype=object), (AXIS,))

    def shared(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        """An argument that all lanes share."""
        return self._placed(shape, dtype, PartitionSpec())

    def own(self, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        """An argument that every lane has its own of; ``shape`` is that of one lane."""
        return self._placed((self.width, *shape), dtype, PartitionSpec(AXIS))

    def _placed(self, shape: tuple[int, ...], dtype: Any, spec: PartitionSpec) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(self._mesh, spec))

    def owned(self, tree: Any) -> Any:
        """What a program gives back, as an argument of the next."""
        return jax.tree.map(lambda s: self._placed(s.shape, s.dtype, PartitionSpec(AXIS)), tree)

    @property
    def lanes(self) -> Lanes:
        """The arguments in which lanes differ."""
        numbers = {name: self.own((), jnp.float32) for name in self.blueprint.names}
        return Lanes(self.own((len(rng.Stream),), jnp.uint32), numbers)

    @property
    def root(self) -> jax.ShapeDtypeStruct:
        """The root key."""
        return self.shared((), rng.abstract_key().dtype)

    @property
    def data(self) -> dict[str, Batch]:
        """The parts that training sees, by name."""
        return {
            name: Batch(self.shared(x, jnp.float32), self.shared(y, jnp.dtype(dtype)))
            for name, x, y, dtype in self.blueprint.shapes
        }

    def compiled(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        mapped: int,
        donate: tuple[int, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
        """Compile a function whose first ``mapped`` arguments every lane has its own of."""
        own, shared = PartitionSpec(AXIS), PartitionSpec()
        # check_vma looks for collectives that would be needed; members never exchange anything.
        sharded = jax.shard_map(
            over_lanes(function, self.blueprint.lanes, mapped, self.blueprint.turns),
            mesh=self._mesh,
            in_specs=(own,) * mapped + (shared,) * (len(arguments) - mapped),
            out_specs=own,
            check_vma=False,
        )
        jitted = jax.jit(sharded, donate_argnums=donate, compiler_options=options)
        with jax.default_matmul_precision(self.blueprint.precision):
            return jitted.lower(*arguments).compile()

    def beginning(self, function: Callable[..., Any]) -> Any:
        """Compile the beginning of a run, ``(lane, root, x) -> run``.

        It runs once per member and is full of random draws, which take LLVM longer than the
        training itself: on a CPU it is compiled without optimisation.
        """
        on_cpu = self.blueprint.devices[0].platform == "cpu"
        quick = {"xla_backend_optimization_level": 0} if on_cpu else None
        x = self.shared((1, *self.data["train"].x.shape[1:]), jnp.float32)
        return self.compiled(function, (self.lanes, self.root, x), mapped=1, options=quick)


@functools.lru_cache(maxsize=64)
def executables(blueprint: Blueprint) -> Executables:
    """Compile a blueprint; equal ones are compiled once (the 64 used last are remembered)."""
    shop, recipe = Workshop(blueprint), blueprint.recipe
    init = shop.beginning(init_function(recipe))
    run, span = shop.owned(init.out_info), Span(*[shop.own((), jnp.int32)] * 2)
    data = Data(shop.data["train"], shop.data.get("valid"))
    chunk = chunk_function(recipe, blueprint.history_every, blueprint.periods, shop.axis)
    arguments = (run, shop.lanes, span, shop.root, data)
    return Executables(init, shop.compiled(chunk, arguments, mapped=3, donate=(0,)))


class Compiled:
    """A group's compiled programs together with the data and the root key.

    Args:
        spec: the population.
        program: the group's place in the plan.
        data: the parts that training may see, on the devices (see `place`).
    """

    def __init__(self, spec: Spec, program: Program, data: Data) -> None:
        self.program = program
        self._functions = executables(Blueprint.of(spec, program))
        mesh = mesh_of(program)
        self._members = NamedSharding(mesh, PartitionSpec(AXIS))
        shared = NamedSharding(mesh, PartitionSpec())
        self._data = data
        self._root, self._x = jax.device_put((spec.key, spec.data.train.x[:1]), shared)

    def begin(self, lanes: Lanes) -> Run:
        """The runs of these lanes before their first epoch."""
        return self._functions.init(lanes, self._root, self._x)

    def __call__(self, run: Run, lanes: Lanes, span: Span) -> tuple[Run, dict[str, jax.Array]]:
        """One chunk. ``run`` is given away: do not use it again. A span of two numbers is that of
        every lane.
        """
        every = [np.broadcast_to(np.asarray(n, np.int32), self.program.width) for n in span]
        placed = Span(*jax.device_put(every, self._members))
        return self._functions.chunk(run, lanes, placed, self._root, self._data)

    def lanes(self, places: np.ndarray) -> Lanes:
        """The inputs of the members at these places of the group, on their devices."""
        group = self.program.group
        picked = Lanes(group.seeds[places], {k: v[places] for k, v in group.numbers.items()})
        return jax.device_put(picked, self._members)


def mesh_of(program: Program) -> Mesh:
    """The program's devices in a row."""
    return Mesh(np.array(program.devices, dtype=object), (AXIS,))


def place(data: Dataset, program: Program) -> Data:
    """Training and validation part on every device of the program; the test part stays behind, and
    so does a training part that is not in memory.

    Targets that are the inputs themselves (an autoencoder's) are placed once.
    """
    sharding = NamedSharding(mesh_of(program), PartitionSpec())

    def put(part: Split) -> Batch:
        x = jax.device_put(part.x, sharding)
        return Batch(x, x if part.reconstructs else jax.device_put(part.y, sharding))

    train = put(data.train) if data.train.in_memory else Batch(None, None)
    return Data(train, None if data.valid is None else put(data.valid))
