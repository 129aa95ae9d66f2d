"""The way in: check, plan, train, and give back a population."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from jaxnets.devices import tell_if_cores_idle
from jaxnets.population.folder import check_save_every, keeping, shared_settings
from jaxnets.population.group_result import GroupResult
from jaxnets.population.plan import Plan, make_plan
from jaxnets.population.progress import make_progress
from jaxnets.population.results import Runs
from jaxnets.population.run import execute
from jaxnets.population.saver import SAVE_EVERY
from jaxnets.population.spec import arguments_of, check_arguments, make_spec
from jaxnets.train import make_recipe


def fit(
    key: jax.Array,
    data: Any,
    members: object,
    *,
    loss: Any,
    epochs: int,
    optimizer: Any = "adam",
    batch_size: int = 32,
    lanes: int | None = None,
    devices: Sequence[jax.Device] | None = None,
    progress: bool | None = None,
    out: str | Path | None = None,
    save_every: float = SAVE_EVERY,
    **options: Any,
) -> Runs:
    """Train a population; a single network is a population of one.

    A member's result is a function of the root key, its own seeds and its own settings: not of
    the other members, their number or their order (see the laws in the README).

    Args:
        key: the root key, ``jax.random.key(...)``.
        data: a `jaxnets.data.Dataset`. If it has a validation part, each member keeps the weights
            that were best on it. Training rows may stay on the disk (`jaxnets.data.from_memmap`,
            `jaxnets.data.from_source`); then a run is saved and continued within an epoch, too.
        members: a list of members (`jaxnets.grid`, `jaxnets.member`), or one network.
        loss: a name of `jaxnets.losses.LOSSES` or ``(outputs, batch, **numbers) -> (batch,)``. It
            is compiled once: an array that it has closed over and that you change afterwards stays
            what it was. Give every value a function of its own, or make it one of ``numbers``.
        epochs: passes over the training part.
        optimizer: a name, `jaxnets.optim.adam(...)`, any ``optax.GradientTransformation``, or a
            function of named numbers that returns one.
        batch_size: examples per step; the last batch of an epoch is smaller where it must be.
        lanes: members side by side on each device, see `make_plan`.
        devices: where to run; ``None``: every local device.
        progress: show a progress bar; ``None``: if standard error is a terminal.
        out: a folder in which what has been reached is saved and found again: the same call
            continues where it was stopped or killed, and ends in the same bits. A call for more
            members or more epochs trains only what is new. Everything else must stay the same;
            of your own functions their code is compared, see `jaxnets.population.words`. (What
            they name in their module is compiled into a program as it is the first time: change it
            in another process.) The
            first Ctrl-C or SIGTERM finishes the chunk and saves.
        save_every: seconds between two saves; more where saving would take over 3 % of the time.
            0: whenever it is possible, whatever it takes.
        **options: ``metrics``, ``shuffle`` (True), ``augment``, ``keep`` (``"best"`` with a
            validation part, else ``"last"``), ``monitor`` (``"valid_loss"``), ``mode``,
            ``patience``, ``unroll`` (1), see `jaxnets.train.Recipe`; ``history_every`` (1: epochs
            between two records), ``precision`` of matrix products (``"highest"``) and ``widths``
            (``"exact"``; ``"padded"``: networks that differ in width share programs), see
            `make_spec`.

    Returns:
        The trained members with their history.

    Raises:
        ValueError, TypeError: before anything is compiled, naming member and argument; or
            ``out`` holds something else, naming the first difference.
        OSError: ``out`` cannot be written to, or another process is at work there.
        KeyboardInterrupt: stopped; with ``out``, saved, and the text says how to go on.

    Warns:
        RuntimeWarning: a saved state is damaged and not used, or could not be written; one CPU
            device on several cores (once in a process, see `jaxnets.use_all_cores`).

    Example:
        >>> import jax, jaxnets as jn
        >>> x = jax.random.normal(jax.random.key(1), (60, 2))
        >>> data = jn.data.from_arrays(x, (x[:, 0] > 0).astype("int32"), key=jax.random.key(2))
        >>> network = jn.nn.MLP([8], outputs=2)
        >>> members = jn.grid(network=network, learning_rate=[0.01, 0.1], seed=range(2))
        >>> runs = fit(jax.random.key(0), data, members, loss="softmax_cross_entropy", epochs=3)
        >>> dict(runs.history.sizes)
        {'member': 4, 'epoch': 3}
    """
    check_arguments(options, arguments_of(fit, make_spec, make_recipe))
    _check_arguments(progress, out, save_every)
    spec = make_spec(
        key, data, members, epochs=epochs, loss=loss, optimizer=optimizer, batch_size=batch_size,
        **options,
    )  # fmt: skip
    plan = make_plan(spec, lanes=lanes, devices=devices)
    if devices is None and len(spec.members) > 1:
        tell_if_cores_idle()
    if out is None:
        with make_progress(plan, progress) as bar:
            return runs_of(plan, execute(plan, bar))
    settings = shared_settings(
        spec, loss=loss, optimizer=optimizer, batch_size=batch_size, lanes=lanes, **options
    )
    with (
        keeping(Path(out).expanduser(), plan, settings, save_every=save_every) as keep,
        make_progress(plan, progress) as bar,
    ):
        return runs_of(plan, execute(plan, bar, keep))


def _check_arguments(progress: object, out: object, save_every: object) -> None:
    if progress is not None and not isinstance(progress, bool):
        raise TypeError(f"progress: expected True, False or None, got {progress!r:.80}.")
    if out is not None and not isinstance(out, str | os.PathLike):
        raise TypeError(f"out: expected the path of a folder, got {out!r:.80}.")
    check_save_every(save_every)


def runs_of(plan: Plan, results: Iterable[GroupResult]) -> Runs:
    """The trained members, with the plan as it was carried out: a program that a device had no
    memory for was made smaller.
    """
    groups = tuple(results)
    return Runs(replace(plan, programs=tuple(group.program for group in groups)), groups)
