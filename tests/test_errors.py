"""The words for unknown names."""

import pytest

from jaxnets.errors import lookup, unknown_name

TABLE = {"adam": 1, "adamw": 2, "rmsprop": 3}


def test_lookup_finds():
    assert lookup("optimizer", "adamw", TABLE) == 2


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (
            "rms_prop",
            "unknown name 'rms_prop'. Did you mean 'rmsprop'? Known: adam, adamw, rmsprop.",
        ),
        ("Adam", "unknown name 'Adam'. Did you mean 'adam'?"),
        ("zzz", "unknown name 'zzz'. Known: adam, adamw, rmsprop."),
        (None, "unknown name None."),
        (["adam"], "unknown name ['adam']."),
        ({}, "unknown name {}."),
        (3, "unknown name 3."),
    ],
)
def test_unknown_names(got: object, expected: str):
    with pytest.raises(ValueError) as caught:
        lookup("optimizer", got, TABLE)
    assert str(caught.value).startswith("optimizer: ")
    assert expected in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_short_names_are_known_by_what_they_stand_for():
    with pytest.raises(ValueError, match="Did you mean 'learning_rate'"):
        lookup("hyperparameter", "lr", {"l2": 0, "learning_rate": 1})
    with pytest.raises(ValueError, match="Did you mean 'l2'"):  # where there is none
        lookup("hyperparameter", "lr", {"l2": 0})


def test_an_empty_table_has_no_nearest_name():
    assert str(unknown_name("x", "y", [])) == "x: unknown name 'y'. Known: (none)."
