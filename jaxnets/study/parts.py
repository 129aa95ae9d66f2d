"""What one program returned, as one netCDF file: written at once, read back bit for bit."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from jaxnets.population.plan import Program
from jaxnets.population.results import GroupResult
from jaxnets.study.folder import replacing

PER_MEMBER = ("epochs", "best_epoch", "steps", "fault")


def save_dataset(path: Path, dataset: xr.Dataset) -> None:
    """Write a netCDF file, all of it or nothing."""
    with replacing(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


def save(path: Path, result: GroupResult) -> None:
    """Write what a program returned: histories and the kept weights of all members.

    Args:
        path: of the file.
        result: of one group.
    """
    variables: dict[str, Any] = {
        f"history.{name}": (("member", "record"), values) for name, values in result.history.items()
    }
    variables |= {name: ("member", getattr(result, name)) for name in PER_MEMBER}
    for name, leaf in _named(result.kept).items():
        axes = tuple(f"{name}.{axis}" for axis in range(leaf.ndim - 1))
        variables[f"kept.{name}"] = (("member", *axes), np.asarray(leaf))
    seconds = {name: getattr(result, name) for name in ("compile_seconds", "run_seconds")}
    network = result.program.group.recipe.network.name
    save_dataset(path, xr.Dataset(variables, attrs={"network": network, **seconds}))


def load(path: Path, program: Program, example: Any) -> GroupResult:
    """Read back what `save` wrote.

    Args:
        path: of the file.
        program: whose result it is.
        example: an input batch of the data, for the structure of the weights.

    Returns:
        The result.

    Raises:
        ValueError: the file is damaged or belongs to another program.
    """
    group = program.group
    structure = jax.eval_shape(group.recipe.network.init, jax.random.key(0), example)
    try:
        with xr.open_dataset(path, engine="h5netcdf") as file:
            stored = file.load()
        kept = {name: stored[f"kept.{name}"].values for name in _named(structure)}
        result = GroupResult(
            program=program,
            kept=jax.tree.unflatten(jax.tree.structure(tuple(structure)), list(kept.values())),
            history={
                str(name).removeprefix("history."): stored[name].values
                for name in stored.data_vars
                if str(name).startswith("history.")
            },
            compile_seconds=float(stored.attrs["compile_seconds"]),
            run_seconds=float(stored.attrs["run_seconds"]),
            **{name: stored[name].values for name in PER_MEMBER},
        )
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"out: {path} is damaged ({error}); delete it to train again.") from None
    if (
        len(result.epochs) != len(group.rows)
        or stored.attrs["network"] != group.recipe.network.name
    ):
        raise ValueError(f"out: {path} is not of this study; delete it to train again.")
    return result


def _named(kept: Any) -> dict[str, Any]:
    """The leaves of ``(params, collections)`` by name, in the order of the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tuple(kept))
    return {
        ".".join(("params" if path[0].idx == 0 else "state", *(str(p.key) for p in path[1:]))): leaf
        for path, leaf in leaves
    }
