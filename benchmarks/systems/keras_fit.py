"""Keras 3 on the JAX backend: `fit` on arrays in memory, steps per execution tuned."""

import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from keras import layers

from benchmarks.problems import OUTPUTS, Problem, loaded
from benchmarks.protocol import Job, Outcome, Variant


def _block(x: Any, features: int, stride: int) -> Any:
    h = x
    for index, step in enumerate((stride, 1)):
        h = layers.ReLU()(h) if index else h
        h = layers.ZeroPadding2D(1)(h)
        h = layers.Conv2D(features, 3, step, use_bias=False, kernel_initializer="he_normal")(h)
        h = layers.BatchNormalization(momentum=0.99, epsilon=1e-5)(h)
    if stride > 1:
        more = features - x.shape[-1]
        x = layers.AveragePooling2D(1, strides=stride)(x)
        x = layers.Lambda(lambda x: keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, more))))(x)
    return layers.ReLU()(layers.Add()([x, h]))


def network(problem: Problem, shape: tuple[int, ...]) -> keras.Model:
    """The problem's."""
    he = {"kernel_initializer": "he_normal"}
    x = inputs = keras.Input(shape)
    if problem.network == "mlp":
        for width in problem.widths:
            x = layers.Dense(width, activation="relu", **he)(x)
    elif problem.network == "lenet":
        for features, padding in ((6, "same"), (16, "valid")):
            x = layers.Conv2D(features, 5, padding=padding, activation="relu", **he)(x)
            x = layers.MaxPooling2D()(x)
        x = layers.Flatten()(x)
        for width in (120, 84):
            x = layers.Dense(width, activation="relu", **he)(x)
    elif problem.network == "cnn1d":
        x = layers.Reshape((*shape, 1))(x)
        for kernel in (5, 3, 3):
            x = layers.ZeroPadding1D(1)(x)
            x = layers.Conv1D(25, kernel, 2, activation="relu", **he)(x)
        x = layers.Flatten()(x)
    else:
        x = layers.Conv2D(16, 3, padding="same", use_bias=False, **he)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.99, epsilon=1e-5)(x))
        for stage, features in enumerate((16, 32, 64)):
            for block in range(3):
                x = _block(x, features, 2 if stage > 0 and block == 0 else 1)
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(OUTPUTS, **he)(x))


def variants(job: Job) -> Iterator[Variant]:
    """Steps per execution: one, 32, a whole epoch."""
    # A convolution in a compiled loop is so slow on a CPU that only one of them is tried.
    sizes = {1, min(32, job.problem.steps), job.problem.steps}
    for steps in sorted(sizes if job.problem.network == "mlp" else {1, job.problem.steps}):
        yield _variant(job, steps)


def _variant(job: Job, steps: int) -> Variant:
    problem = job.problem
    x, y = loaded(job.data)
    model = network(problem, x.shape[1:])
    rate = problem.learning_rate
    model.compile(
        optimizer=keras.optimizers.Adam(rate)
        if problem.optimizer == "adam"
        else keras.optimizers.SGD(rate, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=steps,
        jit_compile=True,
    )
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    fresh = [np.array(variable) for variable in model.non_trainable_variables]

    def train(seed: int) -> Outcome:
        # Building a model anew would compile it anew: its variables are set back instead.
        keras.utils.set_random_seed(seed)
        for layer in model.layers:
            for variable in layer.trainable_variables:
                if variable.name == "kernel":
                    drawn = keras.initializers.HeNormal(seed)(variable.shape)
                    seed += 1
                    variable.assign(drawn)
                else:
                    variable.assign(np.full(variable.shape, float(variable.name == "gamma")))
        for variable, first in zip(model.non_trainable_variables, fresh, strict=True):
            variable.assign(first)
        for variable in model.optimizer.variables:
            if variable.name != "learning_rate":
                variable.assign(np.zeros(variable.shape, variable.dtype))
        history = model.fit(x, y, batch_size=problem.batch, epochs=job.epochs, verbose=0)
        losses = np.array(history.history["loss"])[None]
        return Outcome(losses, int(model.optimizer.iterations), parameters)

    return Variant(f"{steps} step{'s' * (steps > 1)} per execution", train)
