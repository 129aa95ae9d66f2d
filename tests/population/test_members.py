"""What one member is, and how many are written down."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnets as jn
from jaxnets.population.members import as_members, label
from jaxnets.rng import Stream
from tests.small import NET

OTHER = jn.nn.MLP([5], outputs=3)


def _init(key, x):
    return {}, {}


def _apply(params, state, x, *, key, train):
    return x, state


def test_a_member_sorts_its_settings():
    one = jn.member(NET, seed=np.int64(3), order_seed=0, learning_rate=np.float32(0.5), l2=1,
                    optimizer="sgd", batch_size=8)  # fmt: skip
    assert one.network == jn.from_linen(NET)
    assert one.seeds == {"seed": 3, "order_seed": 0} and type(one.seeds["seed"]) is int
    assert one.numbers == {"learning_rate": 0.5, "l2": 1.0} and type(one.numbers["l2"]) is float
    assert one.choices == {"optimizer": "sgd", "batch_size": 8}
    assert one.coordinates == {
        "network": one.network.name, "depth": 1, "width": 4, "optimizer": "sgd", "batch_size": 8,
        "learning_rate": 0.5, "l2": 1.0, "seed": 3, "order_seed": 0,
    }  # fmt: skip


def test_a_transformation_is_one_thing():
    """Of Optax's, it is a tuple of two functions."""
    for given in (optax.adam(1e-3), [optax.adam(1e-3)]):
        (one,) = jn.grid(network=NET, optimizer=given)
        assert isinstance(one.choices["optimizer"], optax.GradientTransformation)


def test_the_numbers_of_a_choice_are_coordinates():
    one, two = jn.grid(network=NET, optimizer=[jn.optim.sgd(0.1), jn.optim.momentum(0.2)])
    assert one.coordinates["learning_rate"] == 0.1 and "momentum" not in one.coordinates
    assert two.coordinates["learning_rate"] == 0.2 and two.coordinates["momentum"] == 0.9

    def cosine(learning_rate=0.1, epochs=30.0, width=3.0):
        return optax.sgd(learning_rate)

    (three,) = jn.grid(network=NET, optimizer=jn.optim.from_optax(cosine))
    assert three.coordinates["learning_rate"] == 0.1 and three.coordinates["width"] == 4
    assert "epochs" not in three.coordinates, "results have a label of this name"
    sizes = jn.grid(network=NET, batch_size=list(np.array([2, 4])))
    assert [one.coordinates["batch_size"] for one in sizes] == [2, 4]


@pytest.mark.parametrize("name", ["epochs", "member", "width", "fault", "train_loss", "valid_mine"])
def test_a_number_cannot_have_the_name_of_a_result(name: str):
    with pytest.raises(ValueError, match=f"{name}: results have a label of this name; rename"):
        jn.member(NET, **{name: 2.0})


def test_every_stream_follows_the_seed_unless_it_has_its_own():
    assert jn.member(NET, seed=7).stream_seeds == (7,) * len(Stream)
    own = {stream.seed_name: 10 + stream for stream in Stream}
    assert jn.member(NET, **own).stream_seeds == (10, 11, 12, 13, 14)
    assert jn.member(NET, seed=2**32 - 1, dropout_seed=0).stream_seeds[Stream.DROPOUT] == 0


def test_a_member_made_by_hand_is_checked_too():
    assert jn.Member(NET).seeds == {"seed": 0}
    assert jn.Member(NET, seeds={"order_seed": 2}).stream_seeds[Stream.ORDER] == 2
    with pytest.raises(ValueError, match="seed: expected 0 <= seed"):
        jn.Member(NET, seeds={"seed": -1})
    with pytest.raises(ValueError, match="l2: expected a finite number"):
        jn.Member(NET, numbers={"l2": float("nan")})
    with pytest.raises(ValueError, match="choices: unknown name 'network'"):
        jn.Member(NET, choices={"network": OTHER})


@pytest.mark.parametrize(
    "rates",
    [
        [0.25, 0.5], (0.25, 0.5), np.array([0.25, 0.5]), jnp.array([0.25, 0.5]),
        [np.float32(0.25), np.float64(0.5)],
    ],
    ids=lambda rates: type(rates).__name__,
)  # fmt: skip
@pytest.mark.parametrize("seeds", [range(2), [0, 1], np.arange(2), jnp.arange(2)], ids=str)
def test_axes(rates: object, seeds: object):
    members = jn.grid(network=NET, learning_rate=rates, seed=seeds)
    found = [(m.numbers["learning_rate"], m.seeds["seed"]) for m in members]
    assert found == [(0.25, 0), (0.25, 1), (0.5, 0), (0.5, 1)]


def test_narrow_numbers_are_what_they_print_as():
    """Labels are looked up: 0.1 in float32 is a bit more, and trains as 0.1 does."""
    rates = [0.1, 1e-3]
    for axis in (np.float32(rates), jnp.float32(rates), np.float16(rates)[:1], np.float32(0.1)):
        found = [one.numbers["learning_rate"] for one in jn.grid(network=NET, learning_rate=axis)]
        assert found == rates[: len(found)]
    assert jn.member(NET, learning_rate=jnp.float32(0.3)).numbers == {"learning_rate": 0.3}


def test_a_choice_is_called_by_its_own_name():
    class Loss:
        name = "mine"

    assert [label(value) for value in (Loss(), len, jn.optim.sgd(), 3)] == ["mine", "len", "sgd", 3]


def test_what_is_no_axis_is_the_same_for_all():
    members = jn.grid(network=[NET, OTHER], optimizer="adam", learning_rate=np.array(0.5))
    assert [m.network.name for m in members] == [jn.from_linen(n).name for n in (NET, OTHER)]
    assert {m.choices["optimizer"] for m in members} == {"adam"}
    assert {m.numbers["learning_rate"] for m in members} == {0.5}
    assert len(jn.grid(network=NET)) == 1


def test_a_pair_of_functions_is_one_network_and_a_pair_of_modules_two():
    assert len(jn.grid(network=(_init, _apply))) == 1
    assert len(jn.grid(network=(NET, OTHER))) == 2
    assert len(jn.grid(network=[(_init, _apply), NET])) == 2
    assert len(as_members((_init, _apply))) == 1


def test_lists_of_members():
    one = jn.member(NET)
    assert as_members(one) == [one] and as_members(NET)[0].network == jn.from_linen(NET)
    assert as_members(iter([one, one])) == [one, one]
    assert len(as_members([*jn.grid(network=NET, seed=range(3)), one])) == 4


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: jn.member(NET, seed=-1), ValueError, "seed: expected 0 <= seed < 2**32, got -1."),
        (lambda: jn.member(NET, seed=2**32), ValueError, "got 4294967296."),
        (lambda: jn.member(NET, seed=1.0), TypeError, "seed: expected an integer, got float 1.0."),
        (lambda: jn.member(NET, seed=True), TypeError, "seed: expected an integer, got bool True."),
        (lambda: jn.member(NET, seed=None), TypeError, "got NoneType None."),
        (lambda: jn.member(NET, oder_seed=1), ValueError, "Did you mean 'order_seed'?"),
        (lambda: jn.member(NET, l2="0.1"), TypeError, "l2: expected a real number, got '0.1'."),
        (lambda: jn.member(NET, l2=True), TypeError, "l2: expected a real number, got True."),
        (lambda: jn.member(NET, l2=[1, 2]), TypeError, "l2: expected a real number, got [1, 2]."),
        (lambda: jn.member(NET, l2=float("inf")), ValueError, "l2: expected a finite number"),
        (lambda: jn.member([NET]), TypeError, "network: expected a Network"),
        (
            lambda: jn.grid(learning_rate=[0.1]),
            ValueError,
            "network is missing, got learning_rate.",
        ),
        (lambda: jn.grid(), ValueError, "network is missing, got nothing."),
        (lambda: jn.grid(network=[]), ValueError, "network: expected at least one value, got an"),
        (lambda: jn.grid(network=NET, seed=range(0)), ValueError, "seed: expected at least one"),
        (lambda: jn.grid(network=NET, l2=np.zeros(0)), ValueError, "l2: expected at least one"),
        (lambda: jn.grid(network=[[NET, OTHER]]), TypeError, "network: expected a Network"),
        (lambda: jn.grid(network=NET, l2=np.eye(2)), TypeError, "l2: expected a real number"),
        (lambda: jn.grid(network=NET, seed=[0.5]), TypeError, "seed: expected an integer"),
        (lambda: as_members([]), ValueError, "members: expected at least one, got an empty list."),
        (lambda: as_members([jn.member(NET), NET]), TypeError, "members[1]: expected a Member"),
        (lambda: as_members([[jn.member(NET)]]), TypeError, "members[0]: expected a Member"),
        (lambda: as_members("mlp"), TypeError, "members[0]: expected a Member"),
        (lambda: as_members({"a": 1}), TypeError, "members[0]: expected a Member"),
        (lambda: as_members(3), TypeError, "network: expected a Network"),
    ],
)
def test_what_is_refused(call, kind: type[Exception], message: str):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)


def test_keys_of_a_grid_do_not_start_jax():
    """Members are plain data: two equal ones are paired by their seed, whatever their numbers."""
    a, b = jn.grid(network=NET, learning_rate=[0.1, 0.2], seed=4)
    assert a.stream_seeds == b.stream_seeds and not isinstance(
        a.numbers["learning_rate"], jax.Array
    )
