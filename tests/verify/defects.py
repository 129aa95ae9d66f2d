"""`jaxnets.fit` with one defect each; a fresh process finds them here by name."""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import jax
import numpy as np

import jaxnets as jn
from jaxnets.population.program import executables
from jaxnets.population.store import Store


def altered(runs: jn.Runs, change: Callable[[int, np.ndarray], Any]) -> jn.Runs:
    """Other kept weights: ``change(row, leaf)`` for every array of every member."""

    def group(one: Any) -> Any:
        rows = one.program.group.rows
        kept = jax.tree.map(
            lambda a: np.stack([change(row, a[i]) for i, row in enumerate(rows)]), one.kept
        )
        return dataclasses.replace(one, kept=kept)

    return dataclasses.replace(runs, groups=tuple(map(group, runs.groups)))


def nudged(row: int, leaf: np.ndarray) -> np.ndarray:
    """The next number: the least that can go wrong."""
    return np.nextafter(leaf, np.float32(np.inf))


def with_rates(members: list[jn.Member], factor: Callable[[int], float]) -> list[jn.Member]:
    return [
        dataclasses.replace(
            one,
            numbers={**one.numbers, "learning_rate": one.numbers["learning_rate"] * factor(i)},
        )
        for i, one in enumerate(members)
    ]


def process_decides(key, data, members, **options):
    """Law 1: a fresh process gives other bits."""
    runs = jn.fit(key, data, members, **options)
    name = getattr(sys.modules["__main__"].__spec__, "name", "")
    return altered(runs, nudged) if name == "jaxnets.verify.child" else runs


def compilation_decides(key, data, members, **options):
    """Law 1: a fresh compilation gives other bits."""
    anew = executables.cache_info().currsize == 0
    runs = jn.fit(key, data, members, **options)
    return altered(runs, nudged) if anew else runs


_CALLS = []


def calls_decide(key, data, members, **options):
    """Law 1: every call gives other bits than the one before."""
    _CALLS.append(os.getpid())
    return jn.fit(key, data, with_rates(members, lambda _: 1 + 1e-6 * len(_CALLS)), **options)


def place_decides(key, data, members, **options):
    """Law 2: a member depends on its place."""
    return jn.fit(key, data, with_rates(members, lambda i: 1 + 1e-6 * i), **options)


def clips_together(key, data, members, **options):
    """Laws 2, 4 and 5: one norm over all members."""
    norm = np.linalg.norm([one.numbers["learning_rate"] for one in members])
    return jn.fit(key, data, with_rates(members, lambda _: 1 / (1 + 3e-5 * norm)), **options)


def shares_a_key(key, data, members, **options):
    """Law 3: two members share the key of their dropout."""
    shared = [
        dataclasses.replace(one, seeds={**one.seeds, "dropout_seed": one.seeds["seed"] | 1})
        for one in members
    ]
    return jn.fit(key, data, shared, **options)


def devices_decide(key, data, members, *, devices, **options):
    """Law 3, and between devices: other draws on two devices."""
    train = shares_a_key if len(devices) == 2 else jn.fit
    return train(key, data, members, devices=devices, **options)


@contextmanager
def _loading(change: Callable[[Any], Any]) -> Iterator[None]:
    load = Store.load

    def changed(*arguments: Any) -> Any:
        rows = load(*arguments)
        train = change(rows.run.train)
        return dataclasses.replace(rows, run=rows.run._replace(train=train))

    with mock.patch.object(Store, "load", changed):
        yield


def loses_a_step(key, data, members, **options):
    """Law 4: what is continued takes one step for taken that was not."""
    with _loading(lambda train: train._replace(step=train.step + 1)):
        return jn.fit(key, data, members, **options)


def loses_the_optimizer(key, data, members, **options):
    """Law 4: what is continued begins with new moments."""

    def change(train):
        return train._replace(opt_state=jax.tree.map(np.zeros_like, train.opt_state))

    with _loading(change):
        return jn.fit(key, data, members, **options)


def saves_nothing(key, data, members, *, out=None, save_every=0.0, **options):
    """Law 4: the folder stays empty."""
    return jn.fit(key, data, members, **options)


def lets_nan_leak(key, data, members, **options):
    """Law 5: the others notice that one has diverged."""
    runs = jn.fit(key, data, members, **options)
    bad = {row for row, _, _ in runs.diverged}
    return altered(runs, lambda row, a: a if row in bad else nudged(row, a)) if bad else runs


def does_not_freeze(key, data, members, **options):
    """Law 5: a diverged member is not frozen at its last finite state."""
    runs = jn.fit(key, data, members, **options)
    bad = {row for row, _, _ in runs.diverged}
    return altered(runs, lambda row, a: a + np.float32(np.inf) if row in bad else a)


def freezes_too_soon(key, data, members, **options):
    """Law 5: a diverged member is frozen at a state that is finite, but not the last one."""
    runs = jn.fit(key, data, members, **options)
    bad = {row for row, _, _ in runs.diverged}
    return altered(runs, lambda row, a: 0.5 * a if row in bad else a)


def names_nobody(key, data, members, **options):
    """Law 5: a diverged member is not named."""
    runs = jn.fit(key, data, members, **options)
    groups = [dataclasses.replace(g, fault=np.zeros_like(g.fault)) for g in runs.groups]
    return dataclasses.replace(runs, groups=tuple(groups))


def breaks(key, data, members, **options):
    """Every law: nothing comes back."""
    raise RuntimeError("out of order")
