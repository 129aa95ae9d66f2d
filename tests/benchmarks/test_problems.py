"""What the systems are asked to train is what it is said to be."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnets as jn

sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks lie beside the package

from benchmarks.cases import CASES
from benchmarks.cases.roofline import BATCHES, ROWS, shapes, step_bytes, work
from benchmarks.cases.throughput import Throughput
from benchmarks.problems import LAYERS, Problem, arrays, loaded, stored
from benchmarks.protocol import Job
from benchmarks.systems import SYSTEMS, flax_networks, jaxnets_fit

INPUTS = {"mlp": (40,), "cnn1d": (40,), "lenet": (28, 28, 1), "resnet20": (32, 32, 3)}
PROBLEMS = [case.problem for case in CASES.values() if isinstance(case, Throughput)]


@pytest.mark.parametrize("it", PROBLEMS, ids=lambda it: f"{it.network}-{it.batch}")
def test_the_plan_counts_the_same_operations(it: Problem, tmp_path: Path):
    """And those between products; also of convolutions that are computed piece by piece."""
    small = replace(it, rows=2 * it.batch)
    data = jaxnets_fit.dataset(Job("jaxnets", small, 1, 1, str(stored(small, tmp_path))))
    spec = jn.make_spec(
        jax.random.key(0), data, jn.member(jaxnets_fit.network(small)), epochs=1,
        loss="softmax_cross_entropy", optimizer=jaxnets_fit.optimizer(small), batch_size=it.batch,
    )  # fmt: skip
    [program] = jn.make_plan(spec).programs
    assert 1.0 < program.step_flops / it.flops < 1.2


@pytest.mark.parametrize("it", PROBLEMS, ids=lambda it: f"{it.network}-{it.batch}")
def test_parameters_and_weights_are_those_of_the_network(it: Problem):
    x = jnp.zeros((1, *INPUTS[it.network]))
    shapes = jax.eval_shape(flax_networks.network(it).init, jax.random.key(0), x)["params"]
    leaves = jax.tree.leaves(shapes)
    assert sum(leaf.size for leaf in leaves) == it.parameters
    assert sum(leaf.size for leaf in leaves if leaf.ndim > 1) == sum(w for _, w in it.layers)


def test_the_small_networks_operations_by_hand():
    it = Problem("mlp", "mnist1d", 4000, 32, widths=(64, 64))
    forward = 2 * 32 * (40 * 64 + 64 * 64 + 64 * 10)
    assert it.flops == 3 * forward - 2 * 32 * 40 * 64
    assert it.steps == 125


def test_resnet_20_has_forty_million_products():
    # He et al. 2015 (arXiv:1512.03385) give no number for CIFAR; the sum by hand over the stages.
    stages = 1024 * 27 * 16 + 6 * 1024 * 9 * 256
    stages += 256 * 9 * (16 * 32 + 5 * 1024) + 64 * 9 * (32 * 64 + 5 * 4096) + 640
    assert sum(products for products, _ in LAYERS["resnet20"]) == stages == 40_551_040


@pytest.mark.parametrize("it", PROBLEMS, ids=lambda it: f"{it.network}-{it.batch}")
def test_rows_fill_whole_batches(it: Problem):
    assert it.rows % it.batch == 0


@pytest.mark.parametrize("name", ["digits", "objects", "points"])
def test_data_are_the_same_every_time(name: str, tmp_path: Path):
    it = Problem("mlp", name, 64, 32)
    x, y = arrays(it)
    assert x.dtype == np.float32 and y.dtype == np.int32 and len(x) == len(y) == 64
    again = loaded(stored(it, tmp_path))
    np.testing.assert_array_equal(x, again.x)
    np.testing.assert_array_equal(y, again.y)


def test_too_many_rows_are_refused():
    with pytest.raises(ValueError, match="digits has 1797 rows, 2000 are wanted"):
        arrays(Problem("lenet", "digits", 2000, 100))


def test_shapes_of_equal_parameters_are_equal():
    counts = [work(shape, 16)[0].parameters for shape in shapes()[:4]]
    assert max(counts) / min(counts) < 1.05


@pytest.mark.parametrize("batch", BATCHES)
def test_time_by_batch_is_of_whole_batches_and_no_endless_data(batch: int):
    for shape in shapes():
        it, epochs = work(shape, batch)
        assert it.rows % batch == 0 and it.rows <= ROWS and epochs >= 1


def test_bytes_of_a_step_by_hand():
    it = Problem("mlp", "points", 2, 2, widths=(3,))
    assert step_bytes(it) == 4 * (8 * (41 * 3 + 4 * 10) + 4 * 2 * (40 + 3 + 10))


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_has_its_file(name: str):
    folder = Path(__file__).parents[2] / "benchmarks/systems"
    assert (folder / f"{SYSTEMS[name].module}.py").is_file()
