"""What holds for every network of the table."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.cases import CASES, SMALL_CASES, Case

every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_small = pytest.mark.parametrize("case", SMALL_CASES, ids=lambda case: case.name)


def run(case: Case, variables, x, key, train: bool):
    """The outputs and the changed collections, as the trainer calls a network."""
    mutable = ["batch_stats"] if train else []
    return case.module.apply(variables, x, train=train, rngs={"params": key}, mutable=mutable)


@functools.cache
def compiled(case: Case, train: bool):
    """One compiled program per case and mode, shared by the contracts."""

    def loss(params, x, rest, key):
        outputs, changed = run(case, {**rest, "params": params}, x, key, train)
        outputs = outputs.astype(jnp.float32)
        return jnp.mean(outputs**2), (outputs, changed)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))


@functools.cache
def evaluate(case: Case):
    return jax.jit(lambda variables, x, key: run(case, variables, x, key, False)[0])


@functools.cache
def initialised(case: Case):
    return jax.jit(case.module.init)(jax.random.key(0), jnp.asarray(case.inputs()))


def gradients(case: Case, x, train: bool, key=0):
    variables = initialised(case)
    rest = {name: tree for name, tree in variables.items() if name != "params"}
    return compiled(case, train)(variables.get("params", {}), x, rest, jax.random.key(key))


def assert_finite(tree, what: str):
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        assert bool(jnp.isfinite(leaf).all()), f"{what}{jax.tree_util.keystr(path)}"


def tolerance(case: Case) -> float:
    return 2e-5 if getattr(case.module, "dtype", None) is None else 3e-2


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)


@every
def test_parameter_count_shapes_and_dtypes(case: Case):
    x = jnp.asarray(case.inputs())
    variables = jax.eval_shape(case.module.init, jax.random.key(0), x)
    leaves = jax.tree.leaves(variables.get("params", {}))
    assert sum(leaf.size for leaf in leaves) == case.parameters
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} <= {jnp.dtype("float32")}
    assert all(leaf.shape == () for leaf in jax.tree.leaves(variables.get("hyper", {})))
    for train in (False, True):
        outputs, _ = jax.eval_shape(
            lambda v, train=train: run(case, v, x, jax.random.key(0), train), variables
        )
        assert outputs.shape == (len(x), *case.outputs)
        assert outputs.dtype == (getattr(case.module, "dtype", None) or jnp.float32)


@every
def test_half_precision_in_and_out(case: Case):
    fields = {field.name for field in dataclasses.fields(case.module)}
    module = case.module.clone(dtype=jnp.bfloat16) if "dtype" in fields else case.module
    x = jnp.asarray(case.inputs(), jnp.bfloat16)
    outputs, variables = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
    assert outputs.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} <= {jnp.dtype("float32")}


@every
def test_equal_modules_are_one_architecture(case: Case):
    def listed(value):
        return [listed(v) for v in value] if isinstance(value, tuple) else value

    fields = {
        field.name: listed(getattr(case.module, field.name))
        for field in dataclasses.fields(case.module)
        if field.init and field.name not in ("parent", "name")
    }
    for other in (type(case.module)(**fields), case.module.clone()):
        assert other == case.module
        assert hash(other) == hash(case.module)
    assert len({case.module for case in CASES}) == len(CASES)


@each_small
def test_jit_is_eager(case: Case):
    x = jnp.asarray(case.inputs())
    (_, (outputs, changed)), _ = gradients(case, x, True)
    expected, expected_changed = run(case, initialised(case), x, jax.random.key(0), True)
    tol = tolerance(case)
    np.testing.assert_allclose(outputs, np.asarray(expected, np.float32), rtol=tol, atol=tol)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=tol, atol=tol),
        changed,
        expected_changed,
    )


@each_small
def test_gradients_are_finite(case: Case):
    for scale in (0.0, 1.0, 1e4):
        (value, _), grads = gradients(case, scale * jnp.asarray(case.inputs()), True)
        assert_finite(value, f"loss at {scale}")
        assert_finite(grads, f"gradients at {scale}")


@each_small
def test_one_example_alone(case: Case):
    """Batch statistics of one example have no variance: still finite, and evaluation the same."""
    x = jnp.asarray(case.inputs())
    (_, (outputs, changed)), grads = gradients(case, x[:1], True)
    assert outputs.shape == (1, *case.outputs)
    assert_finite((outputs, changed, grads), "training")


@each_small
def test_evaluation_is_deterministic_and_row_by_row(case: Case):
    x = jnp.asarray(case.inputs())
    first = evaluate(case)(initialised(case), x, jax.random.key(0))
    second = evaluate(case)(initialised(case), x, jax.random.key(1))
    assert bool((first == second).all())
    others = evaluate(case)(initialised(case), x.at[1:].multiply(-3.0), jax.random.key(0))
    np.testing.assert_array_equal(np.asarray(others[0]), np.asarray(first[0]))


@each_small
def test_training_draws_from_its_key_alone(case: Case):
    x = jnp.asarray(case.inputs(batch=8))
    random = any(
        getattr(case.module, field, None) is not None
        for field in ("rate", "scale", "dropout_rate", "dropconnect_rate", "noise_scale")
    )
    (_, (first, _)), _ = gradients(case, x, True, key=0)
    (_, (again, _)), _ = gradients(case, x, True, key=0)
    (_, (other, _)), _ = gradients(case, x, True, key=1)
    assert bool((first == again).all())
    assert bool((first == other).all()) != random


@each_small
def test_members_are_mapped(case: Case):
    x = jnp.asarray(case.inputs())
    keys = jnp.stack([jax.random.key(1), jax.random.key(0)])
    members = jax.jit(jax.vmap(case.module.init, (0, None)))(keys, x)
    outputs = jax.jit(jax.vmap(case.module.apply, (0, None)))(members, x)
    assert outputs.shape == (2, len(x), *case.outputs)
    alone = initialised(case)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-5, atol=1e-6), members, alone
    )
    expected = evaluate(case)(alone, x, jax.random.key(0))
    tol = tolerance(case)
    np.testing.assert_allclose(
        np.asarray(outputs[1], np.float32), np.asarray(expected, np.float32), rtol=tol, atol=tol
    )


HYPER_CASES = [
    case
    for case in SMALL_CASES
    if "hyper" in jax.eval_shape(case.module.init, jax.random.key(0), jnp.asarray(case.inputs()))
]


@pytest.mark.parametrize("case", HYPER_CASES, ids=lambda case: case.name)
def test_hyperparameters_are_inputs_of_one_program(case: Case):
    """Other numbers, the same program; and the outermost module alone declares them."""
    variables = initialised(case)
    fields = {field.name for field in dataclasses.fields(case.module)}
    assert set(variables["hyper"]) <= fields
    traces = []

    @jax.jit
    def outputs(hyper):
        traces.append(1)
        rest = {name: tree for name, tree in variables.items() if name != "hyper"}
        x = jnp.asarray(case.inputs())
        return run(case, {**rest, "hyper": hyper}, x, jax.random.key(0), True)[0]

    results = [
        np.asarray(outputs(jax.tree.map(lambda _, v=v: jnp.float32(v), variables["hyper"])))
        for v in (0.0, 0.3, 0.6, 1.0)
    ]
    assert len(traces) == 1
    assert all(np.isfinite(result.astype(np.float32)).all() for result in results)
    # The last two rates leave hardly a unit of a small network: they need only be finite.
    assert all((a != b).any() for a, b in itertools.pairwise(results[:-1]))


@pytest.mark.parametrize("case", HYPER_CASES, ids=lambda case: case.name)
def test_absent_means_absent_from_the_program(case: Case):
    """Zero rates compute what a program without the operation computes."""
    names = [n for n in initialised(case)["hyper"] if n != "branch_scale"]
    absent = case.module.clone(**dict.fromkeys(names))
    x = jnp.asarray(case.inputs())
    zero = dict(initialised(case))
    zero["hyper"] = {
        name: jnp.float32(0.0) if name in names else value for name, value in zero["hyper"].items()
    }
    with_zero, _ = run(case, zero, x, jax.random.key(0), True)
    without, _ = absent.apply(zero, x, train=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(with_zero, without)
    shapes = jax.eval_shape(absent.init, jax.random.key(0), x)
    assert set(shapes.get("hyper", {})) <= {"branch_scale"}


NAMES = {
    "mlp_all": [
        *(f"BatchNorm_{i}/{p}" for i in range(2) for p in ("bias", "scale")),
        *(f"Dense_{i}/{p}" for i in range(3) for p in ("bias", "kernel")),
    ],
    "mlp_prelu": [
        *(f"Dense_{i}/{p}" for i in range(3) for p in ("bias", "kernel")),
        *(f"PReLU_{i}/negative_slope" for i in range(2)),
    ],
    "residual_batch": [
        *(f"BatchNorm_{i}/{p}" for i in range(3) for p in ("bias", "scale")),
        *(f"Dense_{i}/{p}" for i in range(4) for p in ("bias", "kernel")),
    ],
    "convnet_mnist1d": [
        *(f"Conv_{i}/{p}" for i in range(3) for p in ("bias", "kernel")),
        "Dense_0/bias",
        "Dense_0/kernel",
    ],
    "lenet": [
        *(f"Conv_{i}/{p}" for i in range(2) for p in ("bias", "kernel")),
        *(f"Dense_{i}/{p}" for i in range(3) for p in ("bias", "kernel")),
    ],
    "resnet_8": [
        *(f"BatchNorm_{i}/{p}" for i in range(7) for p in ("bias", "scale")),
        *(f"Conv_{i}/kernel" for i in range(7)),
        "Dense_0/bias",
        "Dense_0/kernel",
    ],
    "autoencoder": [
        f"{part}/Dense_{i}/{p}"
        for part in ("decoder", "encoder")
        for i in range(2)
        for p in ("bias", "kernel")
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_parameter_names_and_order(name: str):
    """Saved weights, and the keys that initialise them, depend on these names."""
    case = next(case for case in CASES if case.name == name)
    shapes = jax.eval_shape(case.module.init, jax.random.key(0), jnp.asarray(case.inputs()))
    paths = jax.tree_util.tree_leaves_with_path(shapes["params"])
    assert ["/".join(k.key for k in path) for path, _ in paths] == NAMES[name]


def test_the_table_covers_every_public_module():
    import jaxnets.nn

    public = {
        thing
        for thing in (getattr(jaxnets.nn, name) for name in jaxnets.nn.__all__)
        if isinstance(thing, type) and issubclass(thing, nn.Module)
    }
    assert public == {type(case.module) for case in CASES}
