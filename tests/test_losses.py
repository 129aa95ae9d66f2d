import functools
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import losses

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(7, 5)) * 3
LABELS = RNG.integers(0, 5, size=7)
BITS = RNG.integers(0, 2, size=(7, 5))
REAL = RNG.normal(size=(7, 5))


def log_softmax(x):
    return (
        x
        - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - x.max(-1, keepdims=True)
    )


def softmax_reference(outputs, y, label_smoothing=0.0):
    classes = outputs.shape[-1]
    wanted = (1 - label_smoothing) * np.eye(classes)[y] + label_smoothing / classes
    per_position = -(wanted * log_softmax(outputs)).sum(-1)
    return per_position.reshape(len(y), -1).mean(-1)


def binary_reference(outputs, y, label_smoothing=0.0):
    wanted = (1 - label_smoothing) * y + label_smoothing * 0.5
    p = 1 / (1 + np.exp(-outputs))
    return -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p)).reshape(len(y), -1).mean(-1)


def huber_reference(outputs, y, delta=1.0):
    e = np.abs(outputs - y)
    return np.where(e <= delta, e**2 / 2, delta * (e - delta / 2)).reshape(len(y), -1).mean(-1)


def flat(values):
    return values.reshape(len(values), -1)


# name, outputs, targets, numbers, reference in float64
CASES = [
    ("softmax_cross_entropy", LOGITS, LABELS, {}, softmax_reference),
    ("softmax_cross_entropy", LOGITS, LABELS, {"label_smoothing": 0.1}, softmax_reference),
    ("softmax_cross_entropy", LOGITS, LABELS, {"label_smoothing": 1.0}, softmax_reference),
    ("softmax_cross_entropy", RNG.normal(size=(3, 4, 2, 5)), RNG.integers(0, 5, (3, 4, 2)),
     {"label_smoothing": 0.2}, softmax_reference),
    ("sigmoid_binary_cross_entropy", LOGITS, BITS, {}, binary_reference),
    ("sigmoid_binary_cross_entropy", LOGITS, BITS, {"label_smoothing": 0.1}, binary_reference),
    ("sigmoid_binary_cross_entropy", LOGITS[:, 0], BITS[:, 0], {}, binary_reference),
    ("mean_squared_error", LOGITS, REAL, {}, lambda o, y: ((o - y) ** 2).mean(-1)),
    ("mean_squared_error", LOGITS[:, 0], REAL[:, 0], {}, lambda o, y: (o - y) ** 2),
    ("mean_squared_error", RNG.normal(size=(3, 4, 4, 2)), RNG.normal(size=(3, 4, 4, 2)), {},
     lambda o, y: flat((o - y) ** 2).mean(-1)),
    ("sum_squared_error", LOGITS, REAL, {}, lambda o, y: ((o - y) ** 2).sum(-1)),
    ("mean_absolute_error", LOGITS, REAL, {}, lambda o, y: np.abs(o - y).mean(-1)),
    ("huber", LOGITS, REAL, {}, huber_reference),
    ("huber", LOGITS, REAL, {"delta": 0.3}, huber_reference),
]  # fmt: skip
IDS = [f"{i}-{case[0]}" for i, case in enumerate(CASES)]
TARGETS = {"softmax_cross_entropy": LABELS, "sigmoid_binary_cross_entropy": BITS}


def batch_of(y):
    y = np.asarray(y)
    return SimpleNamespace(y=jnp.asarray(y, jnp.int32 if y.dtype.kind == "i" else jnp.float32))


def call(name, outputs, y, **numbers):
    return losses.get(name)(jnp.asarray(outputs, jnp.float32), batch_of(y), **numbers)


def test_every_loss_has_a_case():
    assert {case[0] for case in CASES} == set(losses.LOSSES)


@pytest.mark.parametrize(("name", "outputs", "y", "numbers", "reference"), CASES, ids=IDS)
def test_equals_float64(name, outputs, y, numbers, reference):
    got = call(name, outputs, y, **numbers)
    assert got.shape == (len(y),)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, reference(outputs, y, **numbers), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_examples_do_not_see_each_other(name):
    y = TARGETS.get(name, REAL)
    whole = call(name, LOGITS, y)
    rows = [call(name, LOGITS[i : i + 1], y[i : i + 1])[0] for i in range(len(y))]
    np.testing.assert_allclose(whole, np.array(rows), rtol=1e-6)


@pytest.mark.parametrize("name", losses.LOSSES)
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
def test_value_and_gradient_finite_at_extremes_and_zero_residual(name, size):
    signs = np.sign(LOGITS) * size
    y = TARGETS.get(name, signs)
    value, gradient = jax.value_and_grad(lambda o: call(name, o, y).sum())(jnp.float32(signs))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if name not in TARGETS:
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


@pytest.mark.parametrize("name", [n for n in losses.LOSSES if losses.hyperparameters(n)])
def test_numbers_are_traced_per_member_and_differentiable(name):
    (number,) = losses.hyperparameters(name)
    y = TARGETS.get(name, REAL)

    @chex.assert_max_traces(n=1)
    def one(value):
        return call(name, LOGITS, y, **{number: value}).mean()

    chex.clear_trace_counter()
    values = jnp.array([0.05, 0.3, 0.9])
    population = jax.jit(jax.vmap(jax.value_and_grad(one)))
    got, slope = population(values)
    population(values + 0.05)
    for i, value in enumerate(values.tolist()):
        plain = call(name, LOGITS, y, **{number: value}).mean()
        np.testing.assert_allclose(got[i], plain, rtol=1e-6)
    assert np.isfinite(slope).all()
    assert (slope != 0).all()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_narrow_outputs_are_reduced_in_float32(name):
    y = TARGETS.get(name, REAL)
    narrow = jnp.asarray(LOGITS, jnp.bfloat16)
    got = losses.get(name)(narrow, batch_of(y))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, call(name, np.asarray(narrow, np.float32), y), rtol=1e-6)


@pytest.mark.parametrize("name", [n for n in losses.LOSSES if n != "softmax_cross_entropy"])
def test_a_trailing_axis_of_one_may_be_missing(name):
    o, y = LOGITS[:, 0], BITS[:, 0]
    both = call(name, o, y)
    np.testing.assert_array_equal(call(name, o[:, None], y), both)
    np.testing.assert_array_equal(call(name, o, y[:, None]), both)
    np.testing.assert_array_equal(call(name, o[:, None], y[:, None]), both)


@pytest.mark.parametrize("name", losses.LOSSES)
@pytest.mark.parametrize(
    ("outputs", "targets"), [((4, 3), (4, 2)), ((4, 3), (3,)), ((), ()), ((4, 3, 1), (4,))]
)
def test_shapes_that_do_not_fit(name, outputs, targets):
    loss = losses.get(name)
    batch = SimpleNamespace(y=jnp.zeros(targets, jnp.int32))
    # eval_shape: raised while tracing, nothing is compiled.
    with pytest.raises(ValueError, match=name) as caught:
        jax.eval_shape(lambda o: loss(o, batch), jnp.zeros(outputs))
    assert str(outputs) in str(caught.value)
    assert str(targets) in str(caught.value)


def test_float_labels_are_refused():
    with pytest.raises(ValueError, match="expected integer labels, got targets of dtype float32"):
        call("softmax_cross_entropy", LOGITS, LABELS.astype(float))


def test_a_label_outside_the_classes_is_nan_for_its_row_alone():
    y = np.array([0, 5, -1, 4, 0, 0, 0])
    np.testing.assert_array_equal(
        np.isnan(call("softmax_cross_entropy", LOGITS, y)), (y < 0) | (y > 4)
    )


def test_one_neuron_example_of_the_lectures():
    x, y = np.array([0.5, 2.3, 2.9]), np.array([3.2, 1.9, 1.0])
    outputs = 0.01 * x + 0.01
    assert round(float(call("mean_absolute_error", outputs, y).sum()), 3) == 6.013
    assert round(float(call("sum_squared_error", outputs, y).sum()), 2) == 14.55


def test_get_and_hyperparameters():
    def mine(outputs, batch, *, tilt=2):
        return outputs * tilt

    assert losses.get(mine) is mine
    assert losses.hyperparameters(mine) == {"tilt": 2.0}
    assert losses.hyperparameters(functools.partial(losses.huber, delta=3.0)) == {"delta": 3.0}
    assert losses.check_hyperparameters(mine, {"tilt": -3}) == {"tilt": -3.0}
    with pytest.raises(ValueError, match=r"Did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")
    with pytest.raises(TypeError, match="loss: expected a name or a function"):
        losses.get(3)
    with pytest.raises(ValueError, match=r"member 2: label_smoothing: .* \[0, 1\], got 1.5"):
        losses.check_hyperparameters(
            "softmax_cross_entropy", {"label_smoothing": 1.5}, "member 2: "
        )
    with pytest.raises(ValueError, match=r"hyperparameter of huber: unknown name 'delte'"):
        losses.check_hyperparameters("huber", {"delte": 1.5})


@pytest.mark.parametrize(("default", "shown"), [("'a'", "'a'"), ("None", "None"), ("True", "True")])
def test_hyperparameters_need_numeric_defaults(default, shown):
    scope = {}
    exec(f"def mine(outputs, batch, *, tilt={default}): ...", scope)
    with pytest.raises(TypeError, match=f"tilt: a keyword-only argument of mine .* got {shown}"):
        losses.hyperparameters(scope["mine"])


CHECKS = [
    ("softmax_cross_entropy", np.array([0, 2, 3]), (1, 3), "labels in 0..2, got 3 in row 2"),
    ("softmax_cross_entropy", np.array([0, -1, 3]), (1, 3), "got -1 in row 1"),
    ("softmax_cross_entropy", np.array([[0, 1], [1, 7]]), (1, 2, 3), "got 7 in row 1"),
    ("softmax_cross_entropy", np.array([0.0, 1.0]), (1, 3), "integer labels, got .* float64"),
    ("softmax_cross_entropy", np.array([[0], [1]]), (1, 3), r"labels \(2, 1\)"),
    ("softmax_cross_entropy", np.array(["a", "b"]), (1, 3), "integer labels, got .* <U1"),
    ("sigmoid_binary_cross_entropy", np.array([0, 1, 2]), (1, 1), "got 2 in row 2"),
    ("sigmoid_binary_cross_entropy", np.array([0, np.nan]), (1, 1), "got nan in row 1"),
    ("sigmoid_binary_cross_entropy", np.array([0, 1]), (1, 2), r"\(2, 2\) and targets \(2,\)"),
    ("mean_squared_error", np.array([[0, 1], [np.inf, 1]]), (1, 2), "finite .*, got inf in row 1"),
    ("mean_squared_error", np.array(["a"]), (1,), "numeric targets, got dtype <U1"),
    ("huber", np.array([0.0, np.nan]), (1,), "finite targets, got nan in row 1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "y", "shape", "message"), CHECKS)
def test_bad_targets_are_found_on_the_host(name, y, shape, message):
    with pytest.raises(ValueError, match=f"train: {name}: .*{message}"):
        losses.check_targets(name, y, shape, where="train: ")


@pytest.mark.parametrize("name", losses.LOSSES)
def test_good_targets_pass(name):
    losses.check_targets(name, TARGETS.get(name, REAL), (1, 5))


def test_targets_of_a_users_loss_are_not_checked():
    losses.check_targets(lambda outputs, batch: outputs, np.array(["a"]), (1, 3))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_torch(smoothing):
    torch = pytest.importorskip("torch", reason="torch is the second reference of the losses")
    functional = torch.nn.functional
    want = functional.cross_entropy(
        torch.tensor(LOGITS), torch.tensor(LABELS), label_smoothing=smoothing, reduction="none"
    )
    got = call("softmax_cross_entropy", LOGITS, LABELS, label_smoothing=smoothing)
    np.testing.assert_allclose(got, want.numpy(), rtol=2e-6)
    want = functional.huber_loss(
        torch.tensor(LOGITS), torch.tensor(REAL), delta=0.5, reduction="none"
    )
    got = call("huber", LOGITS, REAL, delta=0.5)
    np.testing.assert_allclose(got, want.numpy().mean(-1), rtol=2e-6)


def test_a_masked_class_costs_nothing_unless_it_is_asked_for():
    logits = jnp.array([[1.0, 2.0, -jnp.inf], [0.0, 1.0, -jnp.inf]])
    found = losses.softmax_cross_entropy(logits, SimpleNamespace(y=jnp.array([0, 1])))
    np.testing.assert_allclose(found, np.log1p(np.exp([1.0, -1.0])), rtol=1e-6)
    slope = jax.grad(
        lambda z: losses.softmax_cross_entropy(z, SimpleNamespace(y=jnp.array([0, 1]))).sum()
    )(logits)
    assert np.isfinite(slope).all()
    for y, smoothing in (([2, 1], 0.0), ([0, 1], 0.1)):
        batch = SimpleNamespace(y=jnp.array(y))
        worse = losses.softmax_cross_entropy(logits, batch, label_smoothing=smoothing)
        assert np.isinf(worse[0])


@pytest.mark.parametrize(("classes", "dtype"), [(256, "uint8"), (300, "uint8"), (200, "int8")])
def test_labels_may_be_narrower_than_the_number_of_classes(classes: int, dtype: str):
    batch = SimpleNamespace(y=jnp.array([0, 43, 100], dtype))
    found = losses.softmax_cross_entropy(jnp.zeros((3, classes)), batch)
    np.testing.assert_allclose(found, np.log(classes), rtol=1e-6)
