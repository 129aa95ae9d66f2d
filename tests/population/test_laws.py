"""Laws 1, 2, 3 and 5 over every network of the table.

All through quickly compiled programs, and a few through optimised ones too, since the laws are
about bits. One test per network: most of its time is the compilation, which all laws share.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnets as jn
from jaxnets.population import Runs
from tests.cases import CASES, RUN, Case

ROOT = jax.random.key(5)
EPOCHS, BATCH, RATE, POISON = 2, 6, 0.01, 1e38
HEALTHY, POISONED = (0, 1, 2, 7), 9
OPTIMIZED = ("mlp_all", "residual_all", "convnet_images")


def dataset(case: Case) -> jn.data.Dataset:
    """Two batches of six, and for the networks in `RUN` one of five: it is compiled apart, and
    compiling is what takes the time. No fewer: normalised over two examples every unit is 1 or -1,
    and a rounding that turns a sign makes another network of it.
    """
    rng = np.random.default_rng(3)

    def part(n: int, seed: int):
        return case.inputs(n, seed), rng.standard_normal((n, *case.outputs)).astype(np.float32)

    return jn.data.Dataset.from_splits(
        train=part(17 if case.name in RUN else 12, 1), valid=part(6, 2), test=None
    )


def members(case: Case) -> list[jn.Member]:
    """Healthy ones, and in their midst one whose first step is far too long."""
    found = jn.grid(network=case.module, learning_rate=RATE, seed=HEALTHY)
    found.insert(2, jn.member(case.module, learning_rate=POISON, seed=POISONED))
    return found


def train(case: Case, chosen: list[jn.Member]) -> Runs:
    return jn.fit(
        ROOT, dataset(case), chosen, loss="mean_squared_error", optimizer="momentum",
        batch_size=BATCH, epochs=EPOCHS, keep="last",
    )  # fmt: skip


def bits(runs: Runs, index: int) -> list[np.ndarray]:
    """Everything that came out for one member."""
    trained = runs[index]
    curves = [runs.history[name].values[index] for name in ("train_loss", "valid_loss")]
    return [*jax.tree.leaves((trained.params, trained.collections)), *curves]


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True)
    )


def check_laws(case: Case) -> Runs:
    everyone = members(case)
    runs = train(case, everyone)
    before = [bits(runs, i) for i in range(len(everyone))]

    again = train(case, everyone)
    assert all(same(before[i], bits(again, i)) for i in range(len(everyone))), "law 1"

    # Other places, other neighbours, another number of them, the poisoned one among them or not.
    for order in ([4, 0, 2], [3, 1, 0, 4], [1]):
        others = train(case, [everyone[i] for i in order])
        for place, i in enumerate(order):
            assert same(before[i], bits(others, place)), f"laws 2 and 5: {i} in {order}"
    assert same(before[3], bits(runs.replay(3), 0)), "law 2: replay"

    assert [row for row, _, _ in runs.diverged] == ([2] if case.parameters else []), "law 5"
    if case.parameters:
        assert all(np.isfinite(leaf).all() for leaf in bits(runs, 2)[:-2]), "law 5: last finite"
    for i in (0, 1, 3, 4):
        assert not case.parameters or np.isfinite(runs.history["valid_loss"].values[i]).all()
    return runs


class PlainLoop:
    """What somebody would write with Flax and Optax alone: no population, no scan, no guard."""

    def __init__(self, case: Case) -> None:
        self.module, self.data = case.module, dataset(case)
        self.init = jax.jit(self.module.init)
        self.update = jax.jit(self._update)

    def _update(self, params, rest, opt_state, rate, x, y, key):
        def loss(params):
            outputs, changed = self.module.apply(
                {"params": params, **rest}, x, train=True, rngs={"params": key},
                mutable=[name for name in rest if name != "hyper"],
            )  # fmt: skip
            return jnp.mean(jnp.square(outputs.astype(jnp.float32) - y)), changed

        (value, changed), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = optax.sgd(rate, momentum=0.9).update(gradient, opt_state, params)
        after = optax.apply_updates(params, updates), {**rest, **changed}, opt_state
        return after, value, gradient

    def steps(self, seed: int, rate: float):
        """Step by step: before which epoch, of how many rows, what came out of it."""
        train, member = self.data.train, jax.random.fold_in(ROOT, seed)
        init_key, order_key, dropout_key = (jax.random.fold_in(member, s) for s in range(3))
        rest = dict(self.init(init_key, jnp.asarray(train.x[:1])))
        params = rest.pop("params", {})
        state, step = (params, rest, optax.sgd(rate, momentum=0.9).init(params)), 0
        yield 0, 0, (state, jnp.float32(0), {})
        for epoch in range(EPOCHS):
            order = np.asarray(jn.rng.epoch_order(order_key, epoch, len(train)))
            for start in range(0, len(train), BATCH):
                rows, key = order[start : start + BATCH], jax.random.fold_in(dropout_key, step)
                found = self.update(*state, rate, train.x[rows], train.y[rows], key)
                state, step = found[0], step + 1
                yield epoch, len(rows), found

    def trained(self, seed: int) -> tuple[dict, dict, np.ndarray]:
        """The weights after the last step, and the mean loss of every epoch."""
        losses = np.zeros(EPOCHS)
        for epoch, rows, (state, loss, _) in self.steps(seed, RATE):  # noqa: B007
            losses[epoch] += float(loss) * rows / len(self.data.train)
        return state[0], state[1], losses

    def diverged(self, seed: int, rate: float) -> tuple[dict, int, str]:
        """The last finite weights, the number of the step that was not finite, and what was not."""
        params: dict = {}
        for taken, (_, _, (state, loss, gradient)) in enumerate(self.steps(seed, rate)):
            if not finite(loss):
                return params, taken - 1, "loss"
            if not finite(state):
                return params, taken - 1, "update" if finite(gradient) else "gradient"
            params = state[0]
        raise AssertionError("it has not diverged")


def finite(tree) -> bool:
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


def check_equivalence(case: Case, runs: Runs) -> None:
    """Law 3: 1e-4 after four to six steps with momentum; 3e-2 in bfloat16, whose own steps are
    4e-3. And of law 5 what is said of the member that diverges.
    """
    tolerance = 3e-2 if getattr(case.module, "dtype", None) == jnp.bfloat16 else 1e-4
    loop = PlainLoop(case)
    for place in (0, 3):
        params, rest, losses = loop.trained(HEALTHY[place - (place > 2)])
        assert jax.tree.structure(params) == jax.tree.structure(runs[place].params)
        scale = max([1.0, *[float(np.abs(leaf).max()) for leaf in jax.tree.leaves(params)]])
        for ours, theirs in zip(
            jax.tree.leaves((runs[place].params, runs[place].collections)),
            jax.tree.leaves((params, rest)),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)
        np.testing.assert_allclose(
            runs.history["train_loss"].values[place], losses, rtol=tolerance, atol=tolerance
        )
    if case.parameters:
        params, step, what = loop.diverged(POISONED, POISON)
        assert runs.diverged == [(2, step, what)], "law 5: step and quantity"
        pairs = zip(jax.tree.leaves(runs[2].params), jax.tree.leaves(params), strict=True)
        errors = [np.abs(np.float64(ours) - np.float64(theirs)).max() for ours, theirs in pairs]
        largest = max(np.abs(np.float64(leaf)).max() for leaf in jax.tree.leaves(params))
        assert max(errors) <= 10 * tolerance * largest, "law 5: weights"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_purity_independence_isolation_and_equivalence(case: Case):
    check_equivalence(case, check_laws(case))


@pytest.mark.optimized
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in OPTIMIZED], ids=lambda case: case.name
)
def test_purity_independence_and_isolation_optimized(case: Case):
    check_laws(case)
