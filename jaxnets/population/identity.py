"""What makes a member who it is, in words that another process understands."""

import hashlib
import json

from jaxnets import rng
from jaxnets.population.plan import Program
from jaxnets.population.spec import Spec
from jaxnets.population.words import Words, describe
from jaxnets.population.workshop import Blueprint


def members(spec: Spec, program: Program) -> tuple[str, ...]:
    """The identity of every member of a group, as 32 hexadecimal digits.

    Two members of equal identity under one root key, one data set and one environment have the
    same result, bit for bit. Not part of it: the other members, the place in the list, the number
    of epochs.

    Args:
        spec: the population.
        program: of one group.

    Returns:
        One text per member, in the order of ``program.group.rows``.
    """
    blueprint = describe(Blueprint.of(spec, program))
    # How much is recorded between two looks, and how many take turns, decides nothing; flags do,
    # and are part of the environment.
    del blueprint["periods"], blueprint["turns"], blueprint["flags"]
    common = digest(blueprint)
    group = program.group
    seeds = [stream.seed_name for stream in rng.Stream]
    return tuple(
        digest({
            "program": common,
            "seeds": dict(zip(seeds, group.seeds[place].tolist(), strict=True)),
            "numbers": {name: float(values[place]) for name, values in group.numbers.items()},
        })
        for place in range(len(group.rows))
    )  # fmt: skip


def digest(words: Words) -> str:
    """A short name for what `jaxnets.population.words.describe` returned.

    Example:
        >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
        True
    """
    text = json.dumps(words, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
