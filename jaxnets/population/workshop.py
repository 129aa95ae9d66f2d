"""From a function of one member to a compiled function of all lanes on all devices."""

import contextlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnets import environment, rng
from jaxnets.compilation import compile_in_place, not_kept
from jaxnets.data import Batch
from jaxnets.devices import traced_for
from jaxnets.nn import conv_onednn
from jaxnets.nn.conv_choices import measured_for
from jaxnets.population.lanes import AXIS, LANE, Lanes
from jaxnets.population.plan import Program
from jaxnets.population.spec import Spec
from jaxnets.population.traced_step import program_key
from jaxnets.train.recipe import Recipe


def over_lanes(
    function: Callable[..., Any], lanes: int, turns: int, mapped: int
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
        structure: see `jaxnets.population.traced_step.program_key`.
        names: the numbers that are part of the program.
        history_every: epochs between two records.
        periods: the most records of one chunk.
        lanes: members side by side on each device.
        turns: so many times, one after the other, in one dispatch.
        devices: those of one dispatch.
        precision: of matrix products.
        shapes: of the data, with dtypes, as a hashable tree.
        flags: see `jaxnets.environment.flags`.
        convolutions: see `jaxnets.nn.conv_choices.measured_for`.
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
    flags: tuple[str, ...]
    convolutions: tuple[str, ...]

    @classmethod
    def of(cls, spec: Spec, program: Program) -> "Blueprint":
        """The blueprint of one program of a plan, under the flags of now."""
        recipe = program.group.recipe
        with traced_for(program.mesh[0].platform):
            convolutions = measured_for(recipe.network, spec.data.input_shape, recipe.batch_size)
        return cls(
            recipe=recipe,
            structure=program_key(recipe),
            names=program.group.names,
            history_every=spec.history_every,
            periods=program.chunk_epochs // spec.history_every,
            lanes=program.lanes,
            turns=program.turns,
            devices=program.mesh,
            precision=spec.precision,
            shapes=tuple(
                (name, part.x.shape, part.y.shape, part.y.dtype.name)
                for name, part in spec.data.parts().items()
                if name != "test"
            ),
            flags=environment.flags(),
            convolutions=convolutions,
        )


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
            over_lanes(function, self.blueprint.lanes, self.blueprint.turns, mapped),
            mesh=self._mesh,
            in_specs=(own,) * mapped + (shared,) * (len(arguments) - mapped),
            out_specs=own,
            check_vma=False,
        )
        jitted = jax.jit(sharded, donate_argnums=donate)
        platform = self.blueprint.devices[0].platform
        with jax.default_matmul_precision(self.blueprint.precision), traced_for(platform):
            lowered = jitted.lower(*arguments)
            with not_kept() if conv_onednn.called(lowered) else contextlib.nullcontext():
                return compile_in_place(lowered, platform, options)

    def beginning(self, function: Callable[..., Any]) -> Any:
        """Compile the beginning of a run, ``(lane, root, x) -> run``.

        It runs once per member and is full of random draws, which take LLVM longer than the
        training itself: on a CPU it is compiled with the least optimisation. (With none a member
        takes five times as long to begin, which ten thousand of them notice; and the last bits of
        what it draws would depend on the loop around it.)
        """
        on_cpu = self.blueprint.devices[0].platform == "cpu"
        quick = {"xla_backend_optimization_level": 1} if on_cpu else None
        x = self.shared((1, *self.data["train"].x.shape[1:]), jnp.float32)
        return self.compiled(function, (self.lanes, self.root, x), mapped=1, options=quick)
