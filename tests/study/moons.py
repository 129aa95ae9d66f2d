"""A study of a few hundred steps, and what may happen to its folder."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
import xarray as xr

from jaxnets import files
from jaxnets.data import Split
from jaxnets.population.identity import members as identities
from jaxnets.population.rows import Layout
from jaxnets.population.store import Store
from jaxnets.study import DepthWidth, prepare, session

QUESTION = DepthWidth(
    "moons", depths=(1, 2), params=60, learning_rates=(1e-3, 3e-2), seeds=2, epochs=3, batch_size=50
)


def opened(path):
    with xr.open_dataset(path, engine="h5netcdf") as file:
        return file.load()


def copied(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "copy")


def unfinished(out, *depths):
    """Take away what a run that was killed would not have written."""
    for name in session.RESULTS:
        (out / name).unlink()
    for depth in depths:
        shutil.rmtree(segment_of(out, depth))
    manifest = json.loads((out / "manifest.json").read_text())
    files.write_manifest(out, {**manifest, "finished": None, "sessions": []})
    return out


def segment_of(out, depth):
    """The state of the networks that have so many hidden layers."""
    for path in (out / "state").iterdir():
        names = (path / "arrays" / "table.json").read_text()
        if f"Dense_{depth}." in names and f"Dense_{depth + 1}." not in names:
            return path
    raise AssertionError(f"{out} has no state of depth {depth}")


def states(out, question):
    """Everything that is saved of the members of a question, as bytes."""
    plan = prepare(question).plan
    store, found = Store(out / "state", pytest.fail), []
    for program in plan.programs:
        places = store.find(identities(plan.spec, program), question.epochs, 1)
        rows = store.load(Layout(plan.spec, program), places, list(range(len(places))))
        found += [leaf.tobytes() for leaf in jax.tree.leaves((rows.run, dict(rows.history)))]
    return found


def with_test_labels(data, y):
    return dataclasses.replace(data, test=Split(data.test.x, y.astype(np.int32), name="test"))
