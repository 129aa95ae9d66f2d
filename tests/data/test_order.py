"""Random orders: functions of the key and the purpose alone."""

import jax
import numpy as np
import pytest

from jaxnets.data.order import permutation, philox

RECORDED = ([5, 3, 2, 0, 4, 7, 6, 1], [5, 2, 1, 6, 0, 3, 7, 4])


def test_recorded():
    # Recorded once: a change of any of these numbers changes every split ever made.
    assert permutation(jax.random.key(0), 8, "split").tolist() == RECORDED[0]
    assert permutation(jax.random.key(2**40 + 1), 8, "split").tolist() == RECORDED[1]


def test_every_row_once_and_keys_matter():
    orders = [permutation(jax.random.key(i), 200, "split") for i in range(4)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(200))
    assert len({tuple(order) for order in orders}) == 4
    assert tuple(permutation(jax.random.key(0), 200, "kfold")) != tuple(orders[0])
    np.testing.assert_array_equal(orders[0], permutation(jax.random.key(0), 200, "split"))


def test_both_words_of_a_key_count():
    first, second = (
        jax.random.wrap_key_data(np.array(words, np.uint32)) for words in ((0, 1), (1, 1))
    )
    assert tuple(permutation(first, 50, "a")) != tuple(permutation(second, 50, "a"))


def test_no_key_is_the_constant_key():
    np.testing.assert_array_equal(
        permutation(None, 50, "a"), permutation(jax.random.key(0), 50, "a")
    )


def test_uniform():
    # 24 orders of 4, 4800 draws: chi-squared with 23 degrees of freedom, 99.9 % below 49.7.
    counts: dict[tuple[int, ...], int] = {}
    words = philox(jax.random.key(1), "uniform").random_raw(4 * 4800).reshape(4800, 4)
    for row in np.argsort(words, axis=1, kind="stable"):
        counts[tuple(row)] = counts.get(tuple(row), 0) + 1
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 49.7


def test_global_generator_is_not_moved():
    before = np.random.mtrand.get_state(legacy=False)
    permutation(jax.random.key(0), 100, "split")
    after = np.random.mtrand.get_state(legacy=False)
    np.testing.assert_array_equal(before["state"]["key"], after["state"]["key"])
    assert before["state"]["pos"] == after["state"]["pos"]


BAD_KEYS = {
    "integer": (lambda: 0, TypeError, r"jax.random.key\(0\)"),
    "raw": (lambda: jax.random.PRNGKey(0), TypeError, r"jax.random.key\(0\)"),
    "rbg": (lambda: jax.random.key(0, impl="rbg"), ValueError, "rbg"),
    "several": (lambda: jax.random.split(jax.random.key(0)), ValueError, r"\(2,\)"),
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_bad_keys(case):
    make, error, words = BAD_KEYS[case]
    with pytest.raises(error, match=words):
        permutation(make(), 5, "a")


def test_traced_keys():
    with pytest.raises(TypeError, match="outside jit"):
        jax.jit(lambda key: permutation(key, 5, "a"))(jax.random.key(0))
