"""Each rule against plain float64, Optax with Python numbers and torch, and contracts over all."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import optim, penalties, schedules
from tests.descent import (
    CLIPS,
    NUMBER_OF_STEPS,
    PULL,
    PUSH,
    START,
    TABLE,
    descend,
    gradient,
    height,
    make,
    tree,
)  # fmt: skip


def reference_clip(n, g, w):
    if "clip_value" in n:
        g = {k: np.clip(v, -n["clip_value"], n["clip_value"]) for k, v in g.items()}
    if "clip_norm" in n:
        norm = np.sqrt(sum((v**2).sum() for v in g.values()))
        g = {k: v * min(1, n["clip_norm"] / norm) for k, v in g.items()}
    if "clip_adaptive" in n:
        clipped = {}
        for k, v in g.items():
            axis = 0 if v.ndim == 2 else None
            own = np.sqrt((v**2).sum(axis))
            most = n["clip_adaptive"] * np.maximum(np.sqrt((w[k] ** 2).sum(axis)), 1e-3)
            clipped[k] = v * np.minimum(1, most / own)
        g = clipped
    return g


def reference_rule(name, n, g, m, t):
    """One array's update before the learning rate; ``m`` is its memory."""
    if name == "sgd":
        return g
    if name in ("momentum", "nesterov"):
        m["v"] = n["momentum"] * m.get("v", 0.0) + g
        return m["v"] if name == "momentum" else g + n["momentum"] * m["v"]
    if name == "adagrad":
        m["s"] = m.get("s", n["initial_accumulator_value"]) + g**2
        return g / np.sqrt(m["s"] + n["eps"])
    if name == "rmsprop":
        m["s"] = n["decay"] * m.get("s", n["initial_scale"]) + (1 - n["decay"]) * g**2
        return g / np.sqrt(m["s"] + n["eps"])
    b1, b2 = n["b1"], n["b2"]
    m["m"] = b1 * m.get("m", 0.0) + (1 - b1) * g
    m["s"] = b2 * m.get("s", 0.0) + (1 - b2) * g**2
    return m["m"] / (1 - b1**t) / (np.sqrt(m["s"] / (1 - b2**t) + n["eps_root"]) + n["eps"])


def reference_factor(n, step):
    if "warmup_steps" not in n:
        return 1.0
    if step < n["warmup_steps"]:
        return n["initial_factor"] + (1 - n["initial_factor"]) * step / n["warmup_steps"]
    t = min((step - n["warmup_steps"]) / n["decay_steps"], 1)
    return n["final_factor"] + (1 - n["final_factor"]) * (1 + np.cos(np.pi * t)) / 2


def reference_path(name, n):
    w, memory, path = dict(START), {k: {} for k in START}, []
    decay = n.get("weight_decay", 0.0)
    for step in range(NUMBER_OF_STEPS):
        g = reference_clip(n, gradient(w), w)
        if name != "adamw":
            g["kernel"] = g["kernel"] + decay * w["kernel"]
        u = {k: reference_rule(name, n, g[k], memory[k], step + 1) for k in w}
        if name == "adamw":
            u["kernel"] = u["kernel"] + decay * w["kernel"]
        rate = n["learning_rate"] * reference_factor(n, step)
        w = {k: w[k] - rate * u[k] for k in w}
        path.append(w)
    return {k: np.stack([w[k] for w in path]) for k in START}


@pytest.mark.parametrize(("name", "clip"), TABLE)
def test_members_of_one_program_equal_float64_loops(name, clip):
    """Every number per member, one trace for all of them, finite, downhill, the dtype kept."""
    optimizer = make(name, clip)
    spread = jnp.array([1.0, 0.9])
    numbers = {k: jnp.float32(v) * spread for k, v in optimizer.defaults}

    @chex.assert_max_traces(n=1)
    def member(numbers):
        return descend(optimizer(**numbers), tree(START))

    chex.clear_trace_counter()
    population = jax.jit(jax.vmap(member))
    population(jax.tree.map(lambda v: v * 0.95, numbers))
    got = population(numbers)
    chex.assert_tree_all_finite(got)
    for i in range(len(spread)):
        own = {k: np.asarray(v[i], np.float64) for k, v in numbers.items()}
        want = reference_path(name, own)
        for k in START:
            assert got[k].dtype == jnp.float32
            np.testing.assert_allclose(got[k][i], want[k], rtol=3e-6, atol=2e-6)
        assert height({k: np.asarray(v[i, -1]) for k, v in got.items()}) < height(START)


@pytest.mark.parametrize("clip", [c for c in CLIPS if c != "plain"])
def test_the_options_do_something(clip):
    numbers = [dict(make("sgd", c).defaults) for c in ("plain", clip)]
    plain, other = (reference_path("sgd", n)["kernel"] for n in numbers)
    assert np.max(np.abs(plain - other)) > 1e-3


# ------------------------------------------------------------------------------- Optax and torch

PLAIN_OPTAX = {
    "sgd": optax.sgd(0.1),
    "momentum": optax.sgd(0.03, momentum=0.9),
    "nesterov": optax.sgd(0.03, momentum=0.9, nesterov=True),
    "adagrad": optax.adagrad(0.2),
    "rmsprop": optax.rmsprop(0.01),
    "adam": optax.adam(0.01),
    "adamw": optax.adamw(0.01, mask=penalties.kernel_mask),
}


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_equals_optax_with_python_numbers(name):
    got, want = descend(make(name)(), tree(START)), descend(PLAIN_OPTAX[name], tree(START))
    # With Python numbers Optax takes 1 - 0.999 in float64 and divides by 1 - 0.999^t in float32:
    # its Adam is off by 6e-6 of an update in the first steps, the traced one is not.
    atol = 5e-6 if name.startswith("adam") else 1e-6
    for k in START:
        np.testing.assert_allclose(got[k], want[k], rtol=2e-6, atol=atol)


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw"])
def test_equals_torch_with_clipping_and_decay(name):
    torch = pytest.importorskip("torch", reason="torch is the third reference of the optimizers")
    # torch decays every parameter, so there is none here that is not a kernel.
    parameter = torch.nn.Parameter(torch.tensor(START["kernel"]))
    theirs = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.05),
        "momentum": lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.9, weight_decay=0.05),
        "nesterov": lambda p: torch.optim.SGD(
            p, lr=0.03, momentum=0.9, weight_decay=0.05, nesterov=True
        ),
        "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.05),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.05),
    }[name]([parameter])
    want = []
    for _ in range(NUMBER_OF_STEPS):
        slope = PULL["kernel"] * (parameter.detach().numpy() - PUSH["kernel"])
        parameter.grad = torch.tensor(slope)
        torch.nn.utils.clip_grad_norm_([parameter], 1.0)
        theirs.step()
        want.append(parameter.detach().numpy().copy())
    ours = make(name, weight_decay=0.05, clip_norm=1.0)()
    got = descend(ours, tree({"kernel": START["kernel"]}))["kernel"]
    np.testing.assert_allclose(got, np.stack(want), rtol=5e-6, atol=3e-6)


# ------------------------------------------------------------------------------ contracts over all


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_each_number_changes_its_member_alone(name):
    more = {} if name == "adamw" else {"weight_decay": 0.05}
    optimizer = make(
        name, clip_norm=0.8, clip_value=0.7, schedule=schedules.cosine(15, 0.1), **more
    )
    defaults = dict(optimizer.defaults)
    member = jax.jit(jax.vmap(lambda n: descend(optimizer(**n), tree(START))))
    for number, value in defaults.items():
        # Large enough a change for eps to be seen. A norm that always clips scales every gradient
        # alike, which Adam does not notice: let it never clip.
        changes = {"eps": 1e-2, "initial": 1e-2, "clip": 100.0}
        other = changes.get(number.split("_")[0], value * 0.9)
        numbers = {k: jnp.full(2, v, jnp.float32) for k, v in defaults.items()}
        numbers[number] = jnp.array([value, other], jnp.float32)
        got = member(numbers)["kernel"]
        assert float(jnp.max(jnp.abs(got[0] - got[1]))) > 1e-6, number


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        *((name, "plain") for name in optim.OPTIMIZERS),
        ("sgd", "everything"),
        ("adamw", "everything"),
    ],
)
def test_derivative_with_respect_to_the_numbers_is_finite(name, clip):
    """Also where a gradient is exactly zero, as that of a dead unit's weights."""
    optimizer = make(name, clip)
    root = {"eps_root": 1e-12} if name.startswith("adam") else {}

    def end(numbers):
        transformation, params = optimizer(**numbers), tree(START)

        def step(carry, _):
            params, state = carry
            slope = gradient(params)
            slope["kernel"] = slope["kernel"].at[:, 0].set(0.0)
            updates, state = transformation.update(slope, state, params)
            return (optax.apply_updates(params, updates), state), None

        (last, _), _ = jax.lax.scan(step, (params, transformation.init(params)), length=5)
        return sum(jnp.sum(v**2) for v in last.values())

    numbers = {k: jnp.float32(v) for k, v in (dict(optimizer.defaults) | root).items()}
    slopes = jax.jit(jax.grad(end))(numbers)
    chex.assert_tree_all_finite(slopes)
    assert slopes["learning_rate"] != 0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("clip", ["plain", "everything"])
@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_keeps_the_dtype_and_the_structure(name, clip, dtype):
    optimizer, params = make(name, clip), tree(START, dtype)

    def both(numbers):
        transformation = optimizer(**numbers)
        state = transformation.init(params)
        updates, after = transformation.update(gradient(params), state, params)
        return state, after, updates

    numbers = {k: jnp.float32(v) for k, v in optimizer.defaults}
    state, after, updates = jax.eval_shape(both, numbers)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)


def test_a_number_given_and_the_same_number_by_default_are_the_same_bits():
    optimizer = make("adam", "everything")
    by_default = jax.jit(lambda: descend(optimizer(), tree(START)))()
    given = jax.jit(lambda: descend(optimizer(**dict(optimizer.defaults)), tree(START)))()
    chex.assert_trees_all_equal(by_default, given)


# ---------------------------------------------------------------------- structure, names, mistakes
