"""Which way of computing a convolution is the fastest on this machine: measured, kept on the disk.

Nothing here happens by itself. A measurement is never the same twice, and the ways differ in the
last bits: unless somebody asks, the estimates of ``conv_cost`` decide, which know shapes alone.
Once measured, an answer never changes: it is kept by kind of processor and version of JAX, and the
first process that has written it down is right.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets import environment, files
from jaxnets.compilation import not_kept, processor
from jaxnets.nn import conv_cost
from jaxnets.nn.conv_cost import Method, Sizes
from jaxnets.nn.geometry import Geometry
from jaxnets.nn.trilinear import others, trilinear

WORTH = 3.0
"""What is estimated to take more than so many times the least estimate is not measured."""

GAIN = 0.05
"""What is chosen by estimate stays unless another way is faster by more than this share: what two
measurements of the same thing may differ by does not decide."""

ROUNDS = 5
"""Turns of which the median counts."""

DTYPES = {16: jnp.bfloat16, 32: jnp.float32, 64: jnp.float64}


class Question(NamedTuple):
    """What is computed.

    Attributes:
        role: ``"output"``, ``"input"`` or ``"kernel"``.
        geometry: of the convolution.
        sizes: batch, channels, features, bits.
    """

    role: str
    geometry: Geometry
    sizes: Sizes


Times = dict[Method, float]
"""Milliseconds of one core by method."""

_known: dict[Question, Times] = {}


def times(question: Question) -> Times | None:
    """What was measured; None if this process has not asked for it."""
    return _known.get(question)


def count() -> int:
    """How many answers this process knows. It only grows, and no answer changes."""
    return len(_known)


def choose(question: Question, name: str = "auto") -> Method:
    """The method to take: as measured, if it was and nobody has fixed one; else as estimated.

    Args:
        question: what is computed.
        name: ``"auto"``, or the name that the user fixed.

    Returns:
        The method.

    Example:
        >>> g = Geometry((32, 32), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1))
        >>> str(choose(Question("output", g, Sizes(32, 1, 6))))
        'banded(4)'
    """
    role, geometry, sizes = question
    guess = conv_cost.choose(role, geometry, sizes, name)
    found = _known.get(question) if name == "auto" else None
    if not found:
        return guess
    best = min(found, key=lambda method: found[method])
    return guess if found[guess] <= (1 + GAIN) * found[best] else best


def alike(convolutions: Iterable[tuple[Geometry, Sizes]]) -> tuple[str, ...]:
    """What a program with these convolutions depends on here: the methods that were measured for
    them, whatever their batch.

    Returns:
        Texts, sorted; none if nothing was measured.
    """
    wanted = {(g, s.channels, s.features) for g, s in convolutions}
    return tuple(
        sorted(
            f"{q} {choose(q)}"
            for q in _known
            if (q.geometry, q.sizes.channels, q.sizes.features) in wanted
        )
    )


def learn(question: Question) -> Times:
    """The times of the ways worth trying: known, or kept on the disk, or measured now.

    Args:
        question: what is computed, in float32, bfloat16 or (with ``jax_enable_x64``) float64.
    """
    if question not in _known:
        kept = _place(question)
        found = None if kept is None else _read(kept, question)
        if found is None:
            found = measure(question, worth_trying(question))
            if kept is not None:
                found = _keep(kept, question, found)
        _known[question] = found
    return _known[question]


def worth_trying(question: Question) -> list[Method]:
    """The methods whose estimates are not far from the least one."""
    role, g, sizes = question
    guesses = {
        m: conv_cost.estimate(role, m, g, sizes) for m in conv_cost.candidates(g, bits=sizes.bits)
    }
    least = min(guesses.values())
    return [method for method, guess in guesses.items() if guess <= WORTH * least]


def measure(
    question: Question, methods: Sequence[Method], rounds: int = ROUNDS, seconds: float = 0.02
) -> Times:
    """The times of some ways, which take turns: what slows the machine for a while slows all.

    Each runs inside a compiled loop, as training does, and is fed by an array that is computed anew
    in every round of the loop, as a layer's input is. What counts is the time of the cores, of all
    threads together: less disturbed by other programs than the time on the wall, and what decides
    when every core trains its own member.

    Args:
        question: what is computed.
        methods: the ways.
        rounds: turns of each, of which the median counts.
        seconds: about how long a turn takes.

    Returns:
        Milliseconds of the cores per call, by method.
    """
    timers = {method: _timer(question, method, seconds) for method in methods}
    found: dict[Method, list[float]] = {method: [] for method in methods}
    for number in range(rounds):
        for method in list(timers)[:: -1 if number % 2 else 1]:
            found[method].append(timers[method]())
    return {method: statistics.median(spent) * 1e3 for method, spent in found.items()}


def _timer(question: Question, method: Method, seconds: float) -> Callable[[], float]:
    """What measures one way once: seconds of the cores per call. It is compiled and warm."""
    role, g, sizes = question
    batch, channels, features, bits = sizes
    generator, dtype = np.random.default_rng(0), DTYPES[bits]
    shapes = {
        "input": (batch, *g.size, channels),
        "kernel": (*g.window, channels, features),
        "output": (batch, *g.out, features),
    }
    first, second = (
        jnp.asarray(generator.standard_normal(shapes[name]), dtype) for name in others(role)
    )

    def body(i: jax.Array, carry: Any) -> Any:
        a, b, _ = carry
        moved = 1 + jnp.asarray(1e-9, dtype) * i.astype(dtype)
        a_now, b_now = (a, b * moved) if role == "input" else (a * moved, b)
        y = trilinear(role, a_now, b_now, geometry=g, methods=(method,) * 3)
        return a, b, y

    @jax.jit
    def run(count: int) -> jax.Array:
        start = (first, second, jnp.zeros(shapes[role], dtype))
        return jax.lax.fori_loop(0, count, body, start)[2]

    def cores(count: int) -> float:
        start = time.process_time()
        run(count).block_until_ready()
        return (time.process_time() - start) / count

    with not_kept() if method.name == "onednn" else contextlib.nullcontext():
        cores(1)
    count = max(2, min(200, int(seconds / max(cores(2), 1e-6))))
    return lambda: cores(count)


def _place(question: Question) -> Path | None:
    """The file of an answer: by processor, by what changes programs, by the question."""
    base = files.cache_folder()
    if base is None:
        return None
    programs = [
        version("jax"),
        version("jaxlib"),
        os.environ.get("XLA_FLAGS", ""),
        environment.onednn(),
        *environment.flags(),
    ]
    return base / "convolutions" / processor() / _name(programs) / f"{_name(_words(question))}.json"


def _name(words: Any) -> str:
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]


def _words(question: Question) -> list[Any]:
    role, g, sizes = question
    return json.loads(json.dumps([role, dataclasses.astuple(g), sizes]))


def _read(place: Path, question: Question) -> Times | None:
    """What the file says; None if there is none, or none that can be read."""
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError:
        kept = None
    wanted = {str(method): method for method in worth_trying(question)}
    if (
        not isinstance(kept, dict)
        or kept.get("question") != _words(question)
        or not isinstance(kept.get("ms"), dict)
        or kept["ms"].keys() != wanted.keys()
        or not all(isinstance(ms, float) and 0 < ms < float("inf") for ms in kept["ms"].values())
    ):
        warnings.warn(
            f"{place} is damaged or of another version of jaxnets: measured anew.",
            RuntimeWarning,
            stacklevel=2,
        )
        with contextlib.suppress(OSError):  # then the new answer is not kept, either
            place.unlink()
        return None
    return {wanted[name]: ms for name, ms in kept["ms"].items()}


def _keep(place: Path, question: Question, found: Times) -> Times:
    """Write an answer down, unless another process was faster: then its answer is the right one.

    Where nothing can be written, this process knows it, and the next one measures again.
    """
    words = {
        "question": _words(question),
        "ms": {str(method): ms for method, ms in found.items()},
    }
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=files.TEMPORARY) as folder:
            whole = Path(folder) / place.name
            whole.write_text(json.dumps(words, indent=1) + "\n", encoding="utf-8")
            try:
                os.link(whole, place)  # all of it, and only if there is none
            except FileExistsError:
                return _read(place, question) or found
    except OSError as error:
        warnings.warn(
            f"{place} could not be written ({error}): what was measured is lost with this process.",
            RuntimeWarning,
            stacklevel=2,
        )
    return found
