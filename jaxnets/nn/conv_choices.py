"""Which way each convolution of a network takes, and why."""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
from flax import linen as nn

from jaxnets.devices import platform, traced_for
from jaxnets.nn import checks, conv_measured
from jaxnets.nn.conv_cost import Method, Sizes, candidates, estimate
from jaxnets.nn.conv_measured import Question
from jaxnets.nn.geometry import Geometry

QUESTIONS = {
    "input": "gradient of the input",
    "kernel": "gradient of the kernel",
    "output": "value",
}
"""What is computed, in the words of the explanation, in the order of ``Choice.methods``."""


class Choice(NamedTuple):
    """One call of ``convolve``.

    Attributes:
        geometry: of the convolution.
        sizes: batch, channels and features.
        methods: what was chosen for each of ``QUESTIONS``; empty where JAX's own convolution was
            left to XLA.
        asked: the method that was asked for.
        layer: the path of the module that called.
    """

    geometry: Geometry
    sizes: Sizes
    methods: tuple[Method, ...]
    asked: str
    layer: str = ""


class Explanation(NamedTuple):
    """A row of the table.

    Attributes:
        layer: the path of the module in the network.
        part: one of the values of ``QUESTIONS``.
        input: the shape of the input, without the height of a signal.
        kernel: the shape of the kernel, likewise.
        method: what was chosen, as ``"banded(4)"``.
        reason: why, with what was estimated or measured, in milliseconds of one core.
    """

    layer: str
    part: str
    input: tuple[int, ...]
    kernel: tuple[int, ...]
    method: str
    reason: str


_notes: contextvars.ContextVar[list[Choice] | None] = contextvars.ContextVar("notes", default=None)
_layer: contextvars.ContextVar[str] = contextvars.ContextVar("layer", default="")


def note(choice: Choice) -> None:
    """Remembers a choice, if somebody wants to know."""
    notes = _notes.get()
    if notes is not None:
        notes.append(choice._replace(layer=_layer.get()))


def explain_convolutions(network: Any, input_shape: Sequence[int], batch: int) -> list[Explanation]:
    """How `jaxnets.fit` will compute each convolution of a network and its gradients, and why.

    The network is traced with shapes alone; nothing is computed. Convolutions that do not go
    through ``jaxnets.nn.convolve`` are not known here.

    Args:
        network: a `jaxnets.Network`, such as ``jaxnets.from_linen(module)``.
        input_shape: the shape of one example.
        batch: the number of examples in a batch.

    Returns:
        Rows (layer, part, shapes, method, reason): three for each convolution, one where the
        choice is left to XLA; none for a network without convolutions.

    Raises:
        TypeError: no network, or not integers.
        ValueError: a shape that the network refuses.

    Example:
        >>> import jaxnets as jn
        >>> network = jn.from_linen(jn.nn.LeNet(method="patches"))
        >>> rows = explain_convolutions(network, (28, 28, 1), 32)
        >>> rows[0].layer, rows[0].input, rows[0].kernel, rows[0].method
        ('Conv_0', (32, 32, 32, 1), (5, 5, 1, 6), 'patches')
    """
    with traced_for(platform()):
        return [row for choice in traced(network, input_shape, batch) for row in _rows(choice)]


def measure_convolutions(network: Any, input_shape: Sequence[int], batch: int) -> list[Explanation]:
    """Measure the ways to compute each convolution of a network on this machine's CPU; whatever is
    traced from now on in this process takes the fastest.

    Without this the choice is made by estimates that know shapes alone, and are good on some
    machines. What was measured is kept on the disk (``$JAXNETS_CACHE``, else
    ``~/.cache/jaxnets``), by kind of processor, version of JAX and its flags: the same call finds
    the same answers in the next process, and a result its bits again. Where they are lost another
    measurement may come to another choice, and a result to other last bits; ``fit(..., out=...)``
    then trains its members anew instead of mixing the two.

    Call it before training, when the machine is quiet: once 8 s for LeNet on two cores, most of it
    compilation. On an accelerator XLA chooses for itself, and nothing is measured.

    Args:
        network: a `jaxnets.Network`, such as ``jaxnets.from_linen(module)``.
        input_shape: the shape of one example.
        batch: the number of examples in a batch. Another batch is another measurement.

    Returns:
        The rows of `explain_convolutions`, as they are now.

    Raises:
        TypeError: no network, or not integers.
        ValueError: a shape that the network refuses.

    Warns:
        RuntimeWarning: what is kept on the disk cannot be read or written.

    Example:
        >>> import jaxnets as jn
        >>> network = jn.from_linen(jn.nn.ConvNet([3], 2))
        >>> rows = measure_convolutions(network, (9, 1), 4)
        >>> all(row.reason.startswith("measured, ms: ") for row in rows)
        True
    """
    with traced_for(platform()):
        for choice in traced(network, input_shape, batch):
            for role in QUESTIONS if choice.asked == "auto" and choice.methods else ():
                conv_measured.learn(Question(role, choice.geometry, choice.sizes))
    return explain_convolutions(network, input_shape, batch)


def measured_for(network: Any, input_shape: Sequence[int], batch: int) -> tuple[str, ...]:
    """What a program with this network depends on besides estimates: the methods that were measured
    for its convolutions, as texts; none if nothing was measured.

    Example:
        >>> import jaxnets as jn
        >>> measured_for(jn.from_linen(jn.nn.MLP([4], outputs=2)), (3,), 5)
        ()
    """
    if not conv_measured.count():
        return ()
    return conv_measured.alike(
        (choice.geometry, choice.sizes) for choice in traced(network, input_shape, batch)
    )


def traced(network: Any, input_shape: Sequence[int], batch: int) -> list[Choice]:
    """The calls of ``convolve`` in a network that is applied, with shapes alone.

    Raises:
        TypeError: no network, or not integers.
        ValueError: a shape that the network refuses.

    Example:
        >>> import jaxnets as jn
        >>> len(traced(jn.from_linen(jn.nn.LeNet()), (28, 28, 1), 32))
        2
    """
    if isinstance(network, nn.Module) or not (
        hasattr(network, "init") and hasattr(network, "apply")
    ):
        raise TypeError(
            "network: expected a jaxnets.Network, such as jaxnets.from_linen(module), "
            f"got {type(network).__name__}."
        )
    shape = (checks.integer("batch", batch), *checks.integers("input_shape", input_shape))
    x = jax.ShapeDtypeStruct(shape, "float32")
    with _noted() as notes:
        key = jax.eval_shape(lambda: jax.random.key(0))
        params, state = jax.eval_shape(network.init, key, x)
        notes.clear()
        jax.eval_shape(
            lambda *a: network.apply(*a[:3], key=a[3], train=True), params, state, x, key
        )
    return notes


@contextlib.contextmanager
def _noted() -> Iterator[list[Choice]]:
    notes: list[Choice] = []

    def enter(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
        before = _layer.set("/".join(context.module.path))
        try:
            return call(*arguments, **keywords)
        finally:
            _layer.reset(before)

    before = _notes.set(notes)
    try:
        with nn.intercept_methods(enter):
            yield notes
    finally:
        _notes.reset(before)


def _rows(choice: Choice) -> Iterator[Explanation]:
    g, (batch, channels, features, bits) = choice.geometry, choice.sizes
    signal = g.size[0] == g.window[0] == 1
    shapes = (
        (batch, *g.size[signal:], channels),
        (*g.window[signal:], channels, features),
    )
    if not choice.methods:
        reason = f"XLA's own convolution on a {platform()}"
        yield Explanation(choice.layer, "all", *shapes, "lax", reason)
        return
    for (role, part), method in zip(QUESTIONS.items(), choice.methods, strict=True):
        told = conv_measured.times(Question(role, g, choice.sizes))
        source = "measured, "
        if choice.asked != "auto" or told is None:
            ways = candidates(g, choice.asked, bits)
            told, source = {way: estimate(role, way, g, choice.sizes) for way in ways}, ""
        least: dict[str, tuple[float, Method]] = {}
        for way, ms in told.items():
            least[way.name] = min(least.get(way.name, (ms, way)), (ms, way))
        numbers = ", ".join(f"{m} {ms:.3g}" for ms, m in sorted(least.values()))
        asked = "" if choice.asked == "auto" else f"asked for {choice.asked}; "
        yield Explanation(choice.layer, part, *shapes, str(method), f"{asked}{source}ms: {numbers}")
