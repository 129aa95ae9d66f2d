import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnets import schedules

STEPS = np.arange(0, 130)


def staircase(s, decay_steps, decay_rate):
    return decay_rate ** (s // decay_steps)


def half_cosine(t, final_factor):
    return final_factor + (1 - final_factor) * (1 + np.cos(np.pi * t)) / 2


def cosine(s, decay_steps, final_factor):
    return half_cosine(np.minimum(s / decay_steps, 1), final_factor)


def linear(s, decay_steps, final_factor):
    t = np.minimum(s / decay_steps, 1)
    return 1 + (final_factor - 1) * t


def restarts(s, period, period_factor, final_factor):
    values = []
    for one in s:
        start, length = 0.0, period
        while one >= start + length:
            start, length = start + length, length * period_factor
        values.append(half_cosine((one - start) / length, final_factor))
    return np.array(values)


def triangular(s, period, final_factor):
    t = (s % period) / period
    return final_factor + (1 - final_factor) * (1 - np.abs(2 * t - 1))


def warmed(after, warmup_steps, initial_factor=0.0):
    line = initial_factor + (1 - initial_factor) * STEPS / max(warmup_steps, 1)
    return np.where(warmup_steps > STEPS, line * after(np.zeros(1)), after(STEPS - warmup_steps))


def sgdr(period, period_factor, cycles, alpha=0.0):
    lengths = [int(period * period_factor**i) for i in range(cycles)]
    same = {"init_value": 1.0, "peak_value": 1.0, "warmup_steps": 0, "end_value": alpha}
    return optax.sgdr_schedule([{**same, "decay_steps": n} for n in lengths])


# schedule, float64 reference over STEPS, Optax's own (None: it has none)
CASES = {
    "constant": (schedules.constant(), np.ones(len(STEPS)), optax.constant_schedule(1.0)),
    "step": (
        schedules.step(30, 0.1), staircase(STEPS, 30, 0.1),
        optax.exponential_decay(1.0, 30, 0.1, staircase=True),
    ),
    "step-7": (
        schedules.step(7, 0.7), staircase(STEPS, 7, 0.7),
        optax.exponential_decay(1.0, 7, 0.7, staircase=True),
    ),
    "piecewise": (
        schedules.piecewise({80: 0.5, 40: 0.1}),
        np.select([STEPS >= 80, STEPS >= 40], [0.05, 0.1], 1.0),
        optax.piecewise_constant_schedule(1.0, {40: 0.1, 80: 0.5}),
    ),
    "exponential": (
        schedules.exponential(25, 0.3), 0.3 ** (STEPS / 25), optax.exponential_decay(1.0, 25, 0.3),
    ),
    "cosine": (schedules.cosine(100), cosine(STEPS, 100, 0), optax.cosine_decay_schedule(1.0, 100)),
    "cosine-final": (
        schedules.cosine(77, 0.1), cosine(STEPS, 77, 0.1),
        optax.cosine_decay_schedule(1.0, 77, 0.1),
    ),
    "linear": (
        schedules.linear(90, 0.1), linear(STEPS, 90, 0.1), optax.linear_schedule(1.0, 0.1, 90),
    ),
    "inverse_sqrt": (schedules.inverse_sqrt(20), 1 / np.sqrt(1 + STEPS / 20), None),
    "cyclic_cosine": (
        schedules.cyclic_cosine(13, 1.0, 0.2), restarts(STEPS, 13, 1.0, 0.2), sgdr(13, 1, 11, 0.2),
    ),
    "cyclic_cosine-2": (
        schedules.cyclic_cosine(10, 2.0), restarts(STEPS, 10, 2.0, 0.0), sgdr(10, 2, 5),
    ),
    "cyclic_cosine-3": (
        schedules.cyclic_cosine(3, 3.0), restarts(STEPS, 3, 3.0, 0.0), sgdr(3, 3, 5),
    ),
    "triangular": (schedules.triangular(20, 0.1), triangular(STEPS, 20, 0.1), None),
    "warmup": (
        schedules.warmup(None, 40, 0.2), warmed(np.ones_like, 40, 0.2),
        optax.linear_schedule(0.2, 1.0, 40),
    ),
    "warmup-none": (
        schedules.warmup(schedules.cosine(100), 0), cosine(STEPS, 100, 0.0),
        optax.cosine_decay_schedule(1.0, 100),
    ),
    "warmup-cosine": (
        schedules.warmup(schedules.cosine(80, 0.1), 20),
        warmed(lambda s: cosine(s, 80, 0.1), 20),
        optax.warmup_cosine_decay_schedule(0.0, 1.0, 20, 100, 0.1),
    ),
    "warmup-triangular": (
        schedules.warmup(schedules.triangular(20, 0.1), 15),
        warmed(lambda s: triangular(s, 20, 0.1), 15), None,
    ),
}  # fmt: skip
NUMBERED = [name for name, case in CASES.items() if case[0].defaults]


def over_steps(schedule, **numbers):
    return jax.jit(jax.vmap(lambda s: schedule(s, **numbers)))(jnp.asarray(STEPS))


def test_every_schedule_has_a_case():
    assert {name.split("-")[0] for name in CASES} == set(schedules.SCHEDULES)


@pytest.mark.parametrize("name", CASES)
def test_equals_float64(name):
    schedule, want, _ = CASES[name]
    got = over_steps(schedule)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c[2] is not None])
def test_equals_optax(name):
    schedule, _, theirs = CASES[name]
    want = [float(theirs(s)) for s in STEPS.tolist()]
    np.testing.assert_allclose(over_steps(schedule), want, rtol=2e-6, atol=5e-7)


@pytest.mark.parametrize("name", NUMBERED)
def test_numbers_are_traced_per_member(name):
    schedule, want, _ = CASES[name]
    numbers = {k: jnp.float32([v, v * 1.25 + 0.01]) for k, v in schedule.defaults}

    @chex.assert_max_traces(n=1)
    def one(numbers):
        return jax.vmap(lambda s: schedule(s, **numbers))(jnp.asarray(STEPS))

    chex.clear_trace_counter()
    population = jax.jit(jax.vmap(one))
    got = population(numbers)
    population(jax.tree.map(lambda v: v * 1.01, numbers))
    np.testing.assert_allclose(got[0], want, rtol=2e-6, atol=2e-7)
    assert not np.allclose(got[1], got[0], rtol=1e-3)


@pytest.mark.parametrize("name", NUMBERED)
def test_derivatives_with_respect_to_the_numbers_are_finite(name):
    schedule, _, _ = CASES[name]
    numbers = {k: jnp.float32(v) for k, v in schedule.defaults}
    slopes = jax.jit(
        jax.vmap(lambda s: jax.grad(lambda n: schedule(s, **n))(numbers))
    )(jnp.asarray(STEPS))  # fmt: skip
    for values in slopes.values():
        assert np.isfinite(values).all()


def test_derivative_equals_a_difference_quotient():
    for name, number in [
        ("exponential", "decay_steps"), ("exponential", "decay_rate"), ("cosine", "decay_steps"),
        ("cosine-final", "final_factor"), ("linear", "decay_steps"), ("inverse_sqrt", "timescale"),
        ("warmup", "warmup_steps"), ("step", "decay_rate"),
    ]:  # fmt: skip
        schedule = CASES[name][0]
        value = dict(schedule.defaults)[number]
        width = 0.01 * value
        got = jax.grad(lambda v, s=schedule, n=number: s(33, **{n: v}))(jnp.float32(value))
        up, down = (float(schedule(33, **{number: value + d})) for d in (width, -width))
        np.testing.assert_allclose(got, (up - down) / (2 * width), rtol=2e-3)


@pytest.mark.parametrize("period", [1, 7, 97, 1000])
def test_borders_of_long_runs_are_exact(period):
    ks = np.arange(1, 1000, 7)
    borders = ks * period
    stairs = jax.jit(jax.vmap(lambda s: jnp.log2(schedules.step(period, 0.5)(s))))
    small = ks < 100  # 0.5^k leaves float32 beyond
    np.testing.assert_array_equal(np.round(stairs(jnp.asarray(borders[small]))), -ks[small])
    np.testing.assert_array_equal(np.round(stairs(jnp.asarray(borders[small] - 1))), 1 - ks[small])
    up = jax.jit(jax.vmap(schedules.cyclic_cosine(period)))
    np.testing.assert_array_equal(up(jnp.asarray(borders)), np.ones(len(ks)))
    low = jax.jit(jax.vmap(schedules.triangular(period, 0.25)))
    np.testing.assert_array_equal(low(jnp.asarray(borders)), np.full(len(ks), 0.25))


@pytest.mark.parametrize("steps", [1, 3, 41, 49, 83, 195])
def test_ends_are_exact_also_where_the_numbers_are_constants(steps):
    for make in (schedules.cosine, schedules.linear):
        ends = jax.jit(jax.vmap(make(steps, 0.1)))(jnp.array([0, steps, steps + 1, 10 * steps]))
        np.testing.assert_array_equal(ends, np.float32([1, 0.1, 0.1, 0.1]))
    ramp = jax.jit(jax.vmap(schedules.warmup(None, steps, 0.1)))(jnp.array([0, steps, steps + 1]))
    np.testing.assert_array_equal(ramp, np.float32([0.1, 1, 1]))


@pytest.mark.parametrize(("period", "growth"), [(1, 2), (10, 2), (3, 3), (7, 5)])
def test_growing_cycles_restart_exactly(period, growth):
    starts = [0]
    while starts[-1] < 1_000_000:
        starts.append(starts[-1] + period * growth ** (len(starts) - 1))
    starts = np.array(starts[1:-1])
    factor = jax.jit(jax.vmap(schedules.cyclic_cosine(period, growth)))
    np.testing.assert_array_equal(factor(jnp.asarray(starts)), np.ones(len(starts)))
    before = np.asarray(factor(jnp.asarray(starts[1:] - 1)))
    assert (before < 0.8).all()


def test_cycles_that_hardly_grow_are_those_that_do_not():
    same = over_steps(schedules.cyclic_cosine(13.0))
    for growth in (1 + 1e-7, 1 + 1e-6, 1 + 3e-6):
        np.testing.assert_allclose(
            over_steps(schedules.cyclic_cosine(13.0, growth)), same, atol=1e-4
        )


def test_equals_torch():
    torch = pytest.importorskip("torch", reason="torch is the second reference of the schedules")
    scheduler = torch.optim.lr_scheduler
    for make, ours in [
        (lambda o: scheduler.CosineAnnealingWarmRestarts(o, 10, 2), schedules.cyclic_cosine(10, 2)),
        (lambda o: scheduler.StepLR(o, 30, 0.1), schedules.step(30)),
        (lambda o: scheduler.MultiStepLR(o, [40], 0.1), schedules.piecewise({40: 0.1})),
        (lambda o: scheduler.LinearLR(o, 1.0, 0.2, 50), schedules.linear(50, 0.2)),
    ]:  # fmt: skip
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        theirs, want = make(optimizer), []
        for _ in STEPS:
            want.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            theirs.step()
        np.testing.assert_allclose(over_steps(ours), want, rtol=1e-5, atol=1e-6)


def test_structure_leaves_the_numbers_out():
    one, two = schedules.warmup(schedules.cosine(10), 5), schedules.warmup(schedules.cosine(20), 9)
    assert one.structure == two.structure
    assert hash(one.structure) == hash(two.structure)
    assert one != two
    assert one == schedules.warmup(schedules.cosine(10), 5)
    assert one.structure != schedules.warmup(schedules.linear(10), 5).structure
    assert one.structure != schedules.cosine(10).structure
    two_steps, three = (dict.fromkeys(range(n), 0.1) for n in (2, 3))
    assert schedules.piecewise(two_steps).structure != schedules.piecewise(three).structure


def test_users_functions():
    ours = schedules.as_schedule(optax.cosine_decay_schedule(1.0, 100))
    np.testing.assert_allclose(over_steps(ours), CASES["cosine"][1], atol=1e-6)

    def mine(step, *, slope=0.5):
        return 1 - slope * step

    assert schedules.as_schedule(mine).defaults == (("slope", 0.5),)
    assert schedules.as_schedule(mine) == schedules.as_schedule(mine)
    assert schedules.as_schedule(ours) is ours
    warm = schedules.warmup(mine, 4)
    assert float(warm(6, slope=0.25)) == 0.5
    with pytest.raises(TypeError, match=r"schedule: expected a .* got 'cosine'"):
        schedules.as_schedule("cosine")


BAD = [
    (lambda: schedules.cosine(0), ValueError, r"decay_steps: .* \(0, inf\), got 0"),
    (lambda: schedules.step(10, -1), ValueError, "decay_rate: .* got -1"),
    (lambda: schedules.linear(float("nan")), ValueError, "decay_steps: .* got nan"),
    (lambda: schedules.linear("10"), TypeError, "decay_steps: expected a real number, got '10'"),
    (lambda: schedules.cyclic_cosine(10, 0.5), ValueError, "period_factor: .* got 0.5"),
    (lambda: schedules.warmup(None, -1), ValueError, "warmup_steps: .* got -1"),
    (lambda: schedules.piecewise({-1: 0.1}), ValueError, "boundary_0: .* got -1"),
    (lambda: schedules.cosine(10)(0, decay_step=3), ValueError, "Did you mean 'decay_steps'"),
    (lambda: schedules.cosine(10)(0, decay_steps=-3.0), ValueError, "decay_steps: .* got -3"),
    (lambda: schedules.cosine(10)(0, decay_steps=jnp.ones(3)), ValueError, r"shape \(3,\)"),
    (lambda: schedules.warmup(schedules.warmup(None, 3), 4), ValueError, "already has a number"),
    (lambda: jax.jit(lambda n: schedules.cosine(n)(0))(3.0), TypeError, "decay_steps: .* traced"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_bad_numbers(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_derivative_by_the_period_factor_where_cycles_are_equal():
    sgdr = schedules.cyclic_cosine(10)
    slope = jax.grad(lambda number: sgdr(17, period_factor=number))(1.0)
    # Step 7 of a second cycle of 10 f steps: cos(0.7 pi / f), by f.
    assert float(slope) == pytest.approx(0.35 * np.pi * np.sin(0.7 * np.pi), rel=1e-5)
