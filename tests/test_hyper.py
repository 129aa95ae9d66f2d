import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import hyper


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1), np.array(1.0), jnp.ones(())])
def test_numbers_of_all_kinds(value):
    got = hyper.check_number("x", value)
    assert type(got) is float
    assert got == 1.0


@pytest.mark.parametrize("value", [True, None, "1", 1j, [1.0], np.ones(1), jnp.ones(2), np.True_])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match="here: x: expected a real number"):
        hyper.check_number("x", value, where="here: ")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.0, -0.001])
def test_out_of_bounds(value):
    with pytest.raises(ValueError, match=r"x: expected a finite number in \[0, 1\), got"):
        hyper.check_number("x", value, hyper.DECAY)


def test_intervals():
    assert 0.0 not in hyper.POSITIVE
    assert 0.0 in hyper.NON_NEGATIVE
    assert 1.0 in hyper.UNIT
    assert -1e30 in hyper.ANY
    assert str(hyper.POSITIVE) == "(0, inf)"
    assert str(hyper.ANY) == "(-inf, inf)"


def test_fill_makes_one_kind_of_scalar_of_everything():
    given = {"a": 1, "b": np.float64(2), "c": jnp.float16(3)}
    filled = hyper.fill("it", {"a": 0.0, "b": 0.0, "c": 0.0, "d": 4.0}, {}, given)
    assert list(filled) == ["a", "b", "c", "d"]
    for want, value in enumerate(filled.values(), start=1):
        assert float(value) == want
        assert value.shape == ()
        assert value.dtype == jnp.float32
        # A weak type would make another program of the same number.
        assert not value.weak_type


def test_fill_makes_float32_of_everything_whatever_the_default_is():
    with jax.enable_x64(True):
        filled = hyper.fill("it", {"a": 0.5, "b": 1.0}, {}, {"b": jnp.float32(2.0)})
        assert all(value.dtype == jnp.float32 for value in filled.values())


def test_fill_accepts_traced_numbers_and_refuses_stacked_ones():
    def one(a):
        return hyper.fill("it", {"a": 0.0}, {"a": hyper.POSITIVE}, {"a": a})["a"]

    np.testing.assert_array_equal(jax.jit(jax.vmap(one))(jnp.arange(3.0)), [0, 1, 2])
    with pytest.raises(ValueError, match=r"a: expected a scalar, got shape \(3,\)"):
        jax.jit(one)(jnp.arange(3.0))
    with pytest.raises(ValueError, match=r"a: .* \(0, inf\), got 0"):
        one(0)


def test_hyperparameters_are_keyword_only_numbers():
    def loss(outputs, batch, fixed=3.0, *, a=1, b=0.5): ...

    assert hyper.hyperparameters(loss) == {"a": 1.0, "b": 0.5}
    assert hyper.hyperparameters(functools.partial(loss, a=7)) == {"a": 7.0, "b": 0.5}

    def bad(outputs, batch, *, a): ...

    with pytest.raises(TypeError, match=r"a: a keyword-only argument of bad .* got none"):
        hyper.hyperparameters(bad)


def test_labels():
    assert hyper.label(functools.partial(print, 1)) == "print"
    assert hyper.label(hyper.Interval(0, 1)) == "Interval"


@pytest.mark.parametrize("value", [1e39, 10**400, -1e39], ids=["large", "huge", "negative"])
def test_a_number_that_float32_does_not_hold(value):
    with pytest.raises(ValueError, match="rate: expected a finite number in"):
        hyper.check_number("rate", value)
