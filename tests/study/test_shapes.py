import jax
import jax.numpy as jnp
import pytest

from jaxnets.nn import MLP
from jaxnets.study import equal_parameters, mlp_parameters


def test_the_published_widths():
    shapes = equal_parameters(15_200, [1, 2, 3, 4], inputs=40, outputs=10)
    assert shapes == [(1, 298), (2, 100), (3, 75), (4, 63)]
    counts = [mlp_parameters(40, [width] * depth, 10) for depth, width in shapes]
    assert counts == [15_208, 15_210, 15_235, 15_319]


@pytest.mark.parametrize("widths", [[], [5], [4, 7, 2]])
def test_the_count_is_that_of_the_network(widths):
    params = MLP(widths, outputs=3).init(jax.random.key(0), jnp.zeros((1, 6)))["params"]
    assert mlp_parameters(6, widths, 3) == sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("budget", [60, 61, 62, 500, 12_345])
def test_no_other_width_is_nearer(depth, budget):
    [(_, width)] = equal_parameters(budget, [depth], inputs=3, outputs=2)
    distances = [
        abs(mlp_parameters(3, [other] * depth, 2) - budget) for other in range(1, budget + 1)
    ]
    assert width == 1 + distances.index(min(distances))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            (50, [1], 40, 10),
            ValueError,
            "budget: 1 hidden layers .* at least 61 parameters, got 50",
        ),
        ((100, [], 4, 1), ValueError, "depths: expected at least one"),
        ((100, [2, 2], 4, 1), ValueError, "depths: expected different depths, got 2"),
        ((100, [0], 4, 1), ValueError, r"depths\[0\]: expected at least 1, got 0"),
        ((100, [1.5], 4, 1), TypeError, r"depths\[0\]: expected an integer, got float"),
        ((True, [1], 4, 1), TypeError, "budget: expected an integer"),
        ((100, [1], 0, 1), ValueError, "inputs: expected at least 1"),
    ],
)
def test_what_does_not_fit_is_named(arguments, kind, message):
    with pytest.raises(kind, match=message):
        equal_parameters(*arguments)
