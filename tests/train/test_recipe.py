"""The static half of a run: what a user writes, and what is refused."""

import numpy as np
import optax
import pytest

import jaxnets as jn
from jaxnets.train import make_recipe
from tests.small import LOSS, NET


def test_names_become_what_they_stand_for():
    recipe = make_recipe(NET, loss=LOSS, optimizer="momentum", batch_size=np.int64(4))
    assert recipe.loss is jn.losses.softmax_cross_entropy
    assert recipe.defaults == {"learning_rate": 0.01, "momentum": 0.9, "label_smoothing": 0.0}
    assert recipe.record_names == ("loss", "accuracy") and type(recipe.batch_size) is int
    assert recipe == make_recipe(jn.from_linen(NET), loss=LOSS, optimizer=jn.optim.momentum(),
                                 batch_size=4)  # fmt: skip
    assert len({recipe, make_recipe(NET, loss=LOSS, optimizer="momentum", batch_size=4)}) == 1


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        (None, ("loss", "accuracy")),
        ([], ("loss",)),
        ("top_5_accuracy", ("loss", "top_5_accuracy")),
        (("accuracy", "squared_error"), ("loss", "accuracy", "squared_error")),
        ({"mine": jn.metrics.accuracy, "top": "top_5_accuracy"}, ("loss", "mine", "top")),
        (iter(["accuracy"]), ("loss", "accuracy")),
    ],
)
def test_metrics(metrics: object, names: tuple[str, ...]):
    assert make_recipe(NET, loss=LOSS, metrics=metrics).record_names == names


@pytest.mark.parametrize(
    ("monitor", "mode", "maximized"),
    [
        ("valid_loss", "auto", False),
        ("valid_accuracy", "auto", True),
        ("train_loss", "auto", False),
        ("train_accuracy", "auto", True),
        ("valid_accuracy", "min", False),
        ("valid_loss", "max", True),
    ],
)
def test_which_monitors_are_maximised(monitor: str, mode: str, maximized: bool):
    recipe = make_recipe(NET, loss=LOSS, monitor=monitor, mode=mode, keep="best")
    assert recipe.maximized is maximized


def r2(outputs, batch):
    return outputs[:, 0]


def test_a_metric_of_ones_own_has_a_direction():
    """An accuracy is known by its function, too; of another one nobody knows."""
    own = {"metrics": {"mine": "top_5_accuracy"}, "monitor": "valid_mine", "keep": "best"}
    assert make_recipe(NET, loss=LOSS, **own).maximized
    off = {"metrics": {"mine": "squared_error"}, "monitor": "valid_mine", "keep": "best"}
    assert not make_recipe(NET, loss=LOSS, **off).maximized
    for name in ("r2", "inaccuracy"):
        unknown = {"metrics": {name: r2}, "monitor": f"valid_{name}"}
        for selects in ({"keep": "best"}, {"patience": 3}):
            with pytest.raises(ValueError, match=rf"mode: expected .* got 'auto': .*_{name} is"):
                make_recipe(NET, loss=LOSS, **unknown, **selects)
            assert make_recipe(NET, loss=LOSS, mode="max", **unknown, **selects).maximized
        with pytest.raises(ValueError, match="monitor: expected keep='best' or a patience beside"):
            make_recipe(NET, loss=LOSS, **unknown)  # nothing is selected by it


def test_metrics_of_a_set_have_an_order():
    names = {"accuracy", "top_5_accuracy"}
    assert make_recipe(NET, loss=LOSS, metrics=names).record_names == ("loss", *sorted(names))


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"loss": "cross_entropy"}, ValueError, "loss: unknown name 'cross_entropy'"),
        ({"loss": None}, TypeError, "loss: expected a name or a function"),
        ({"optimizer": "adma"}, ValueError, "Did you mean 'adam'?"),
        ({"optimizer": 0.1}, TypeError, "optimizer: expected"),
        ({"optimizer": optax.sgd}, TypeError, "learning_rate: sgd has no default"),
        ({"mode": "maximum"}, ValueError, "mode: unknown name 'maximum'"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0."),
        ({"batch_size": 4.0}, TypeError, "batch_size: expected an integer, got float 4.0."),
        ({"batch_size": True}, TypeError, "batch_size: expected an integer, got bool True."),
        ({"unroll": 0}, ValueError, "unroll: expected at least 1"),
        ({"patience": 0}, ValueError, "patience: expected at least 1"),
        ({"patience": 1.5}, TypeError, "patience: expected an integer"),
        ({"shuffle": "no"}, TypeError, "shuffle: expected True or False, got 'no'."),
        ({"shuffle": 1}, TypeError, "shuffle: expected True or False, got 1."),
        ({"augment": "flip"}, TypeError, "augment: expected a function"),
        ({"keep": "first"}, ValueError, "keep: expected 'last' or 'best', got 'first'."),
        ({"monitor": "valid_los"}, ValueError, "monitor: unknown name 'valid_los'. Did you mean"),
        ({"monitor": "valid_accuracy", "metrics": []}, ValueError, "Known: train_loss, valid_loss"),
        ({"monitor": "valid_loss"}, ValueError, "monitor: expected keep='best' or a patience"),
        ({"mode": "max"}, ValueError, "mode: expected keep='best' or a patience beside mode='max'"),
        ({"metrics": {3}}, TypeError, "metrics: expected names, or functions by name"),
        ({"metrics": "acuracy"}, ValueError, "Did you mean 'accuracy'?"),
        ({"metrics": 5}, TypeError, "metrics: expected names or functions by name, got 5."),
        ({"metrics": [jn.metrics.accuracy]}, TypeError, "metrics: expected names, or functions by"),
        ({"metrics": {"loss": jn.metrics.accuracy}}, ValueError, "metrics: 'loss' is the loss"),
        ({"metrics": {"mine": 3}}, TypeError, "metric: expected a name or a function"),
        ({"network": 3}, TypeError, "network: expected a Network"),
    ],
    ids=lambda value: str(value).split(" at 0x")[0],  # no addresses: workers must agree
)  # fmt: skip
def test_what_is_refused(options: dict, kind: type[Exception], message: str):
    given = {"network": NET, "loss": LOSS} | options
    with pytest.raises(kind) as caught:
        make_recipe(given.pop("network"), **given)
    assert message in str(caught.value)
