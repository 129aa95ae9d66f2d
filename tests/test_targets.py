import jax.numpy as jnp
import numpy as np
import pytest

from jaxnets import targets

SHAPES = [
    ((4,), (4,), True),
    ((4, 1), (4,), True),
    ((4,), (4, 1), True),
    ((4, 2, 1), (4, 2), True),
    ((4, 2), (4,), False),
    ((4, 1), (1,), False),
    ((4, 1, 1), (4,), False),
    ((4, 2), (2, 4), False),
    ((), (), False),
]


@pytest.mark.parametrize(("outputs", "wanted", "fits"), SHAPES)
def test_aligned(outputs, wanted, fits):
    o, y = jnp.zeros(outputs), jnp.arange(np.prod(wanted)).reshape(wanted)
    if not fits:
        with pytest.raises(
            ValueError, match="mine: expected outputs and targets of the same shape"
        ):
            targets.aligned("mine", o, y)
        return
    got = targets.aligned("mine", o, y)
    assert [a.shape for a in got] == [outputs, outputs]
    assert [a.dtype for a in got] == [jnp.float32, jnp.float32]
    np.testing.assert_array_equal(got[1].ravel(), np.ravel(y))


@pytest.mark.parametrize(("outputs", "labels"), [((4,), (4,)), ((4, 3), (4, 1)), ((4, 3), (3,))])
def test_class_labels_refuses(outputs, labels):
    with pytest.raises(ValueError, match=r"mine: expected outputs \(batch, ..., classes\)"):
        targets.class_labels("mine", jnp.zeros(outputs), jnp.zeros(labels, jnp.int32))


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int32])
def test_class_labels_of_every_integer_dtype(dtype):
    """Wide enough for any number of classes, which need not fit into what the labels fit into."""
    found = targets.class_labels("mine", jnp.zeros((4, 3)), jnp.zeros(4, dtype))
    assert found.dtype == jnp.int32


def test_per_example():
    x = jnp.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_array_equal(targets.per_example(x), [2.5, 8.5])
    np.testing.assert_array_equal(targets.per_example(x, jnp.sum), [15.0, 51.0])
    np.testing.assert_array_equal(targets.per_example(jnp.arange(3.0)), [0, 1, 2])
