"""Words for the mistakes a user can make: the argument, what was expected, what came."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


MEANT = {"lr": "learning_rate", "wd": "weight_decay", "bs": "batch_size"}
"""What is meant by names that are too short to be like any."""


def unknown_name(argument: str, got: object, known: Iterable[str]) -> ValueError:
    """The error for a name that is not in a table, with the nearest name that is.

    Args:
        argument: the argument as the user wrote it, for example ``"loss"``.
        got: what the user gave.
        known: the names that would have been right.

    Returns:
        A ``ValueError``, to be raised by the caller.

    Example:
        >>> raise unknown_name("loss", "mean_square", ["mean_squared_error", "huber"])
        Traceback (most recent call last):
        ...
        ValueError: loss: unknown name 'mean_square'. Did you mean 'mean_squared_error'? Known:
        huber, mean_squared_error.
    """
    names = sorted(known)
    near = [meant for meant in (MEANT.get(str(got)),) if meant in names]
    near += difflib.get_close_matches(str(got), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(
        f"{argument}: unknown name {got!r}.{hint} Known: {', '.join(names) or '(none)'}."
    )


def lookup(argument: str, name: str, table: Mapping[str, T]) -> T:
    """The entry of ``table`` called ``name``.

    Args:
        argument: the argument as the user wrote it.
        name: the name to look up.
        table: names and what they stand for.

    Returns:
        ``table[name]``.

    Raises:
        ValueError: ``name`` is not in the table; the message names the nearest that is.

    Example:
        >>> lookup("activation", "relu", {"relu": 1})
        1
    """
    try:
        return table[name]
    except (KeyError, TypeError):
        raise unknown_name(argument, name, table) from None
