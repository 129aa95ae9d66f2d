"""Training as a pure function: the state, the step, the epoch, the run.

Nothing in here is jitted, knows that there are other members, or knows how a network was made.
"""

from jaxnets.train.epoch import epoch, steps_per_epoch
from jaxnets.train.evaluate import evaluate
from jaxnets.train.loop import make_train
from jaxnets.train.recipe import Recipe, make_recipe
from jaxnets.train.selection import Best, Run
from jaxnets.train.state import Fault, TrainState, init_state
from jaxnets.train.step import step

__all__ = [
    "Best",
    "Fault",
    "Recipe",
    "Run",
    "TrainState",
    "epoch",
    "evaluate",
    "init_state",
    "make_recipe",
    "make_train",
    "step",
    "steps_per_epoch",
]
