"""Each rule against plain float64, Optax with Python numbers and torch, and contracts over all."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import optim, penalties, schedules

RNG = np.random.default_rng(0)
START = {"kernel": RNG.normal(size=(4, 3)), "bias": RNG.normal(size=3)}
PULL = {k: RNG.uniform(0.5, 2.0, size=v.shape) for k, v in START.items()}
PUSH = {k: RNG.normal(size=v.shape) for k, v in START.items()}
NUMBER_OF_STEPS = 20

CLIPS = {
    "plain": {},
    "value": {"clip_value": 0.3},
    "norm": {"clip_norm": 0.5},
    "adaptive": {"clip_adaptive": 0.2},
    "everything": {
        "clip_value": 1.0,
        "clip_norm": 0.8,
        "clip_adaptive": 0.5,
        "weight_decay": 0.05,
        "schedule": schedules.warmup(schedules.cosine(15, 0.1), 3),
    },
}
RATES = {"sgd": 0.1, "momentum": 0.03, "nesterov": 0.03, "adagrad": 0.2}
TABLE = [(name, clip) for name in optim.OPTIMIZERS for clip in CLIPS]


def make(name, clip="plain", **more):
    return optim.OPTIMIZERS[name](RATES.get(name, 0.01), **{**CLIPS[clip], **more})


def tree(values, dtype=jnp.float32):
    return {k: jnp.asarray(v, dtype) for k, v in values.items()}


def gradient(params):
    """Of the quadratic sum(PULL / 2 * (w - PUSH)^2), for NumPy and for JAX."""
    return {k: PULL[k].astype(w.dtype) * (w - PUSH[k].astype(w.dtype)) for k, w in params.items()}


def height(params):
    return sum(float((PULL[k] / 2 * (w - PUSH[k]) ** 2).sum()) for k, w in params.items())


def descend(transformation, params, steps=NUMBER_OF_STEPS):
    """A plain loop over optax's pair of functions; pure, so it can be mapped."""

    def step(carry, _):
        params, state = carry
        updates, state = transformation.update(gradient(params), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    _, path = jax.lax.scan(step, (params, transformation.init(params)), length=steps)
    return path


# ------------------------------------------------------------------ float64, written out plainly


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


def test_structure_leaves_the_numbers_out_and_keeps_the_parts():
    one, two = (optim.adam(clip_norm=n, schedule=schedules.cosine(d)) for n, d in [(1, 2), (3, 4)])
    assert one.structure == two.structure
    assert one != two
    assert {one: 1}[optim.adam(clip_norm=1, schedule=schedules.cosine(2))] == 1
    assert len({make(name, clip).structure for name, clip in TABLE}) == len(TABLE)
    same = optim.sgd(clip_norm=1, clip_value=2), optim.sgd(clip_value=3, clip_norm=4)
    assert same[0].structure == same[1].structure


def test_names_and_order_of_the_numbers():
    got = {name: [k for k, _ in function().defaults] for name, function in optim.OPTIMIZERS.items()}
    assert got == {
        "sgd": ["learning_rate"],
        "momentum": ["learning_rate", "momentum"],
        "nesterov": ["learning_rate", "momentum"],
        "adagrad": ["learning_rate", "initial_accumulator_value", "eps"],
        "rmsprop": ["learning_rate", "decay", "eps", "initial_scale"],
        "adam": ["learning_rate", "b1", "b2", "eps", "eps_root"],
        "adamw": ["learning_rate", "b1", "b2", "eps", "eps_root", "weight_decay"],
    }


def test_from_optax_and_as_optimizer():
    ready = optax.sgd(0.1)
    wrapped = optim.as_optimizer(ready)
    assert wrapped.defaults == ()
    assert wrapped() is ready
    assert wrapped == optim.from_optax(ready)
    assert wrapped.structure != optim.from_optax(optax.sgd(0.1)).structure

    def lion(learning_rate=1e-3, b1=0.9):
        return optax.lion(learning_rate, b1)

    ours = optim.as_optimizer(lion)
    assert ours.defaults == (("learning_rate", 1e-3), ("b1", 0.9))
    rates = jnp.array([1e-3, 1e-2])
    got = jax.jit(jax.vmap(lambda r: descend(ours(learning_rate=r), tree(START))))(rates)
    for i, rate in enumerate(rates.tolist()):
        want = descend(optax.lion(rate, 0.9), tree(START))
        chex.assert_trees_all_close(jax.tree.map(lambda v, i=i: v[i], got), want, rtol=1e-6)

    assert dict(optim.from_optax(optax.adam, learning_rate=0.1).defaults)["b2"] == 0.999
    assert optim.as_optimizer("nesterov") == optim.nesterov() == optim.as_optimizer(optim.nesterov)
    assert optim.as_optimizer(ours) is ours


def test_a_function_of_optaxs_keeps_narrow_parameters_narrow():
    optimizer = optim.from_optax(optax.adam, learning_rate=0.1)
    params = {"w": jnp.ones(3, jnp.bfloat16)}

    def step(carry, _):
        updates, state = transformation.update(params, carry[1], carry[0])
        return (optax.apply_updates(carry[0], updates), state), None

    transformation = optimizer(learning_rate=jnp.float32(0.1))
    (moved, _), _ = jax.lax.scan(step, (params, transformation.init(params)), length=3)
    assert moved["w"].dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(moved["w"], np.float32), 0.7, rtol=0.01)


def test_extra_arguments_pass_through():
    def update(gradients, state, params=None, *, value, **_):
        return jax.tree.map(lambda g: g * value, gradients), state

    init = optax.init_empty_state
    ready = optax.GradientTransformationExtraArgs(init, update)
    optimizer = optim.from_optax(ready)()
    updates, _ = optimizer.update(tree(START), optimizer.init(None), value=2.0)
    np.testing.assert_allclose(updates["bias"], 2 * START["bias"], rtol=1e-6)


BAD = [
    (lambda: optim.adam()(learning_rat=1), ValueError, r"of adam: .* Did you mean 'learning_rate'"),
    (lambda: optim.sgd()(momentum=0.9), ValueError, "of sgd: unknown name 'momentum'"),
    (lambda: optim.sgd()(clip_norm=jnp.float32(1)), ValueError, "unknown name 'clip_norm'"),
    (lambda: optim.sgd(clipnorm=1.0), ValueError, r"option of sgd: .* Did you mean 'clip_norm'"),
    (lambda: optim.sgd(-1), ValueError, r"learning_rate: .* \[0, inf\), got -1"),
    (lambda: optim.sgd(float("inf")), ValueError, "learning_rate: .* got inf"),
    (lambda: optim.sgd("0.1"), TypeError, "learning_rate: expected a real number, got '0.1'"),
    (lambda: optim.sgd(True), TypeError, "learning_rate: expected a real number, got True"),
    (lambda: optim.adam(b1=1.0), ValueError, r"b1: .* \[0, 1\), got 1"),
    (lambda: optim.adam(clip_norm=0), ValueError, r"clip_norm: .* \(0, inf\), got 0"),
    (lambda: optim.adam()(b2=2.0), ValueError, r"b2: .* \[0, 1\), got 2"),
    (lambda: optim.adam()(b2=jnp.ones(3)), ValueError, r"b2: expected a scalar, got shape \(3,\)"),
    (lambda: optim.adam()(b2="a"), TypeError, "b2: expected a real number, got 'a'"),
    (lambda: optim.adam().check({"b2": 2.0}, "member 3: "), ValueError, "member 3: b2: "),
    (lambda: optim.adam().check({"b3": 2.0}, "member 3: "), ValueError, "member 3: .* 'b3'"),
    (lambda: jax.jit(lambda r: optim.sgd(r)())(0.1), TypeError, "learning_rate: .* traced"),
    (lambda: optim.sgd(schedule="cosine"), TypeError, "schedule: expected a .* got 'cosine'"),
    (lambda: optim.sgd(schedule=lambda s, *, learning_rate=1: s), ValueError, "already has a"),
    (lambda: optim.as_optimizer("adm"), ValueError, "unknown name 'adm'. Did you mean 'adam'"),
    (lambda: optim.as_optimizer(3), TypeError, "optimizer: expected an optax.Gradient"),
    (lambda: optim.as_optimizer(optax.adam), TypeError, "learning_rate: adam has no default"),
    (lambda: optim.from_optax(optax.adam, learning_rate="a"), TypeError, "learning_rate: expected"),
    (lambda: optim.from_optax(optax.adam, learning_rate=1, b3=1), ValueError, "Did you mean 'b2'"),
    (lambda: optim.from_optax(optax.sgd(0.1), b3=1), ValueError, "a ready transformation: unknown"),
    (lambda: optim.from_optax(lambda a=1.0: a)(), TypeError, "should make an optax.Gradient"),
]  # fmt: skip


@pytest.mark.parametrize(("make_it", "error", "message"), BAD)
def test_mistakes(make_it, error, message):
    with pytest.raises(error, match=message):
        make_it()


def test_the_numbers_of_a_users_optimizer_are_part_of_its_structure():
    """Which of a function's arguments are numbers depends on the defaults that are given."""
    plain, heavy = (
        optim.from_optax(optax.sgd, learning_rate=0.1, **k) for k in ({}, {"momentum": 0.9})
    )
    assert plain.structure != heavy.structure
    assert plain.structure == optim.from_optax(optax.sgd, learning_rate=0.2).structure
