"""Keys and orders: every draw is a function of root key, seed, stream and step alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxnets import rng
from jaxnets.rng import Stream

ROOT = jax.random.key(3)
POWERS = [2**k + d for k in (3, 8, 16) for d in (-1, 0, 1)]


def test_the_numbers_of_the_streams_are_part_of_the_contract():
    assert {stream.seed_name: int(stream) for stream in Stream} == {
        "init_seed": 0, "order_seed": 1, "dropout_seed": 2, "augment_seed": 3, "noise_seed": 4,
    }  # fmt: skip
    assert rng.SEED_NAMES[0] == "seed" and len(rng.SEED_NAMES) == 6


def test_stream_keys_by_hand():
    seeds = {"seed": 7, "order_seed": 2, "noise_seed": 2**32 - 1}
    keys = rng.stream_keys(ROOT, seeds)
    for stream in Stream:
        seed = seeds.get(stream.seed_name, 7)
        assert keys[stream] == jax.random.fold_in(jax.random.fold_in(ROOT, seed), int(stream))


def test_a_member_key_gives_the_keys_of_its_streams():
    member = rng.member_keys(jax.random.fold_in(ROOT, 5))
    assert all(member[s] == rng.stream_keys(ROOT, {"seed": 5})[s] for s in Stream)


def test_traced_seeds_give_the_same_keys():
    seeds = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)
    mapped = jax.jit(jax.vmap(lambda seed: rng.stream_keys(ROOT, {"seed": seed})[Stream.ORDER]))
    alone = [rng.stream_keys(ROOT, {"seed": int(seed)})[Stream.ORDER] for seed in seeds]
    assert (mapped(seeds) == jnp.stack(alone)).all()


def test_no_two_streams_of_any_two_members_share_a_key():
    found = [
        tuple(jax.random.key_data(key).tolist())
        for seed in range(20)
        for key in rng.stream_keys(ROOT, {"seed": seed}).values()
    ]
    assert len(set(found)) == 20 * len(Stream)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 1000, *POWERS, 2**20])
def test_a_permutation_is_a_bijection(n: int):
    order = jax.jit(rng.permutation, static_argnums=1)(ROOT, n)
    assert order.dtype == jnp.int32 and order.shape == (n,)
    assert (np.bincount(np.asarray(order), minlength=n) == 1).all()


def test_beyond_what_fits_into_a_word_jax_permutes():
    n = 2**20 + 1
    assert (rng.permutation(ROOT, n) == jax.random.permutation(ROOT, n)).all()


def test_all_orders_of_four_are_equally_frequent():
    draws = 24 * 200
    keys = jax.random.split(jax.random.key(0), draws)
    orders = np.asarray(jax.vmap(lambda key: rng.permutation(key, 4))(keys))
    index = {order: i for i, order in enumerate(itertools.permutations(range(4)))}
    counts = np.bincount([index[tuple(order)] for order in orders.tolist()], minlength=24)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("n", [33, 300])
def test_every_place_is_equally_likely(n: int):
    keys = jax.random.split(jax.random.key(1), 10 * n)
    orders = np.asarray(jax.vmap(lambda key: rng.permutation(key, n))(keys))
    for column in (0, n // 2, n - 1):
        assert stats.chisquare(np.bincount(orders[:, column], minlength=n)).pvalue > 1e-3
    follows = (orders[:, 1] - orders[:, 0]) % n  # neighbours know nothing of each other
    assert stats.chisquare(np.bincount(follows, minlength=n)[1:]).pvalue > 1e-3


@pytest.mark.parametrize("n", [5, 1000])
def test_a_mapped_permutation_is_the_single_one(n: int):
    keys = jax.random.split(ROOT, 5)
    mapped = jax.jit(jax.vmap(lambda key: rng.permutation(key, n)))(keys)
    assert (mapped == jnp.stack([rng.permutation(key, n) for key in keys])).all()


def test_epoch_order():
    key = rng.member_keys(ROOT)[Stream.ORDER]
    traced = jax.jit(lambda epoch: rng.epoch_order(key, epoch, 50))
    orders = [rng.epoch_order(key, epoch, 50) for epoch in range(4)]
    for epoch, order in enumerate(orders):
        assert (order == rng.permutation(jax.random.fold_in(key, epoch), 50)).all()
        assert (order == traced(jnp.int32(epoch))).all()
    assert not any((a == b).all() for a, b in itertools.combinations(orders, 2))


def test_a_key_is_taken_as_it_is():
    assert rng.check_key(ROOT) is ROOT
    jax.jit(rng.check_key)(ROOT)
    jax.vmap(rng.check_key)(jax.random.split(ROOT, 3))


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        (0, TypeError, "got int 0."),
        (None, TypeError, "got NoneType None."),
        (np.uint32([0, 1]), TypeError, "got ndarray"),
        (jax.random.PRNGKey(0), TypeError, "got uint32 array of shape (2,). Raw keys"),
        (jnp.zeros(()), TypeError, "got float32 array of shape ()."),
        (jax.random.split(ROOT, 2), ValueError, "got an array of keys of shape (2,)"),
        (jax.random.key(0, impl="rbg"), ValueError, "got 'rbg'"),
        (jax.random.key(0, impl="unsafe_rbg"), ValueError, "got 'unsafe_rbg'"),
    ],
    ids=str,
)
def test_what_is_no_root_key(key: object, kind: type[Exception], message: str):
    with pytest.raises(kind) as caught:
        rng.check_key(key, "root")
    assert str(caught.value).startswith("root: expected") and message in str(caught.value)


def test_the_abstract_key_is_threefry_whatever_the_default():
    with jax.default_prng_impl("rbg"):
        assert rng.abstract_key().dtype == ROOT.dtype
