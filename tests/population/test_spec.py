"""How members become groups: one per architecture and set of numbers."""

import itertools
import warnings
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnets as jn
from jaxnets.population.spec import make_group, make_spec
from tests.small import BATCH, DATA, LOSS, NET, ROOT, compilations, regression

OTHER = jn.nn.MLP([5], outputs=3)


class Somebodys(nn.Module):
    """A network that normalises with Flax's own layer."""

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        x = nn.Dense(3)(x.reshape(len(x), -1))
        return nn.BatchNorm(use_running_average=not train)(x)


def spec(members: list[jn.Member], **options):
    given = {"loss": LOSS, "optimizer": "sgd", "batch_size": BATCH, "epochs": 2} | options
    return make_spec(ROOT, DATA, members, **given)


def rows(*members: list[jn.Member], **options) -> list[tuple[int, ...]]:
    return [group.rows for group in spec([*itertools.chain(*members)], **options).groups]


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (jn.nn.MLP([4], 3, norm="batch"), True),
        (jn.nn.LeNet(3, norm="batch"), True),  # its dense layers
        (jn.nn.ConvNet([4], 3, norm="batch"), False),  # a place each of one image is enough
        (jn.nn.MLP([4], 3), False),
        (Somebodys(), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
@pytest.mark.parametrize(("rows", "size"), [(9, 4), (9, 8), (3, 1), (8, 4)])
def test_a_last_batch_of_one_that_normalises_to_zero_is_told(network, told, rows, size):
    x, y = np.zeros((rows, 8, 8, 1), np.float32), np.zeros(rows, np.int32)
    data = jn.data.Dataset.from_splits(train=(x, y), valid=None, test=None)
    for _ in range(2):  # also where everything has been traced before
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            make_spec(ROOT, data, jn.member(network), loss=LOSS, batch_size=size, epochs=1)
        found = [str(one.message) for one in said if "its own mean" in str(one.message)]
        assert len(found) == (told and rows % size == 1)


@pytest.mark.parametrize(
    ("epochs", "every", "records"),
    [(7, 2, (2, 4, 6, 7)), (6, 2, (2, 4, 6)), (2, 1, (1, 2)), (1, 5, (1,)), (5, 5, (5,))],
)
def test_the_last_epoch_has_a_record(epochs: int, every: int, records: tuple[int, ...]):
    assert spec([jn.member(NET)], epochs=epochs, history_every=every).records == records


def test_numbers_and_seeds_do_not_make_programs():
    members = jn.grid(network=[NET, OTHER], learning_rate=[0.1, 0.2], seed=range(2))
    assert rows(members) == [(0, 1, 2, 3), (4, 5, 6, 7)]
    again = jn.grid(network=jn.nn.MLP((4,), 3), learning_rate=0.3)
    assert rows(members, again) == [(0, 1, 2, 3, 8), (4, 5, 6, 7)]


def test_optimizers_that_differ_in_their_numbers_alone_share_a_program():
    choices = ["sgd", jn.optim.sgd(0.3), jn.optim.sgd]
    members = jn.grid(network=NET, optimizer=choices)
    (group,) = spec(members).groups
    np.testing.assert_allclose(group.numbers["learning_rate"], [0.01, 0.3, 0.01])
    clipped = jn.grid(network=NET, optimizer=[jn.optim.sgd(clip_norm=c) for c in (1.0, 2.0)])
    assert rows(members, clipped) == [(0, 1, 2), (3, 4)]


def test_what_makes_a_program_of_its_own():
    transformation = optax.sgd(0.1)
    choices = [
        {}, {"batch_size": 5}, {"loss": "mean_absolute_error"}, {"optimizer": "adam"},
        {"optimizer": transformation}, {"l2": 0.0},
    ]  # fmt: skip
    found = make_spec(
        ROOT, jn.data.Dataset.from_splits((DATA.train.x, DATA.train.x), valid=None, test=None),
        [jn.member(NET, **choice) for choice in choices for _ in range(2)],
        loss="mean_squared_error", optimizer="sgd", epochs=1, batch_size=4,
    )  # fmt: skip
    assert [group.rows for group in found.groups] == [(i, i + 1) for i in range(0, 12, 2)]


@dataclass(frozen=True)
class Capped:
    """``False``: without a cap, which is equal to 0."""

    cap: float

    def __call__(self, outputs: jax.Array, batch: jn.data.Batch) -> jax.Array:
        errors = ((outputs - batch.y) ** 2).mean(1)
        return errors if self.cap is False else jnp.minimum(errors, self.cap)


@dataclass(frozen=True)
class Lower:
    """An augmentation."""

    cap: float

    def __call__(self, key: jax.Array, x: jax.Array) -> jax.Array:
        return x if self.cap is False else jnp.minimum(x, self.cap)


def test_parts_that_are_equal_and_of_other_kinds_are_other_programs():
    """Beside each other and one after the other."""
    network, how = jn.nn.MLP([4], outputs=2), {"loss": Capped(0.0), "epochs": 2, "batch_size": 5}
    members = jn.grid(network=network, loss=[Capped(0.0), Capped(False)])
    runs = jn.fit(ROOT, regression(), members, **how)
    zero, free = runs.history["train_loss"].values[:, -1]
    assert zero == 0 < free
    assert runs.history["loss"].values.tolist() == ["Capped #1", "Capped #2"]
    alone = jn.fit(ROOT, regression(), network, **how | {"loss": Capped(False)})
    assert alone.history["train_loss"].values[0, -1] == free
    for given in (lambda cap: {"augment": Lower(cap)}, lambda cap: {"metrics": {"m": Capped(cap)}}):
        zero, free = (
            make_spec(ROOT, regression(), network, **how | given(cap)).groups[0].recipe
            for cap in (0.0, False)
        )
        assert zero != free


def test_groups_hold_what_differs():
    members = [jn.member(NET, learning_rate=0.1 * i, seed=i, order_seed=9) for i in range(3)]
    (group,) = spec(members).groups
    assert group.names == ("label_smoothing", "learning_rate")
    np.testing.assert_array_equal(group.numbers["learning_rate"], np.float32([0, 0.1, 0.2]))
    assert group.seeds.dtype == np.uint32
    np.testing.assert_array_equal(group.seeds, [[i, 9, i, i, i] for i in range(3)])
    part = make_group(group, [2])
    assert part.rows == (0,) and part.seeds.tolist() == [[2, 9, 2, 2, 2]]


def test_the_best_weights_are_kept_where_there_is_a_validation_part():
    assert spec([jn.member(NET)]).groups[0].recipe.keep == "best"
    assert spec([jn.member(NET)], keep="last").groups[0].recipe.keep == "last"
    found = make_spec(ROOT, regression(), jn.nn.MLP([4], 2), loss="huber", epochs=1, batch_size=4)
    assert found.groups[0].recipe.keep == "last"


def test_nothing_is_compiled():
    with compilations() as compiled:
        spec(jn.grid(network=jn.nn.MLP([9], 3, norm="batch", dropout_rate=0.2), seed=range(3)))
    assert not compiled


def test_the_default_generator_does_not_matter():
    with jax.default_prng_impl("rbg"):
        assert str(jn.rng.abstract_key().dtype) == "key<fry>"
        spec(jn.grid(network=jn.nn.MLP([11], 3, dropout_rate=0.2)))
