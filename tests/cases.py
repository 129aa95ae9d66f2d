"""The one table of networks: every contract runs over every row.

A new network is one more row. ``parameters`` is the exact number of entries of ``params``, worked
out by hand or published, never copied from what the code says.
"""

import dataclasses
import itertools

import numpy as np
from flax import linen as nn

from jaxnets.nn import (
    MLP,
    Autoencoder,
    Conv,
    ConvNet,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    LeNet,
    ResidualMLP,
    ResNet,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, what goes in and comes out, and how many parameters it has.

    Attributes:
        name: unique, for the test's id.
        module: the network.
        shape: of one example.
        outputs: the shape of one example's output.
        parameters: how many, exactly.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: int

    def inputs(self, batch: int = 4, seed: int = 0) -> np.ndarray:
        """Standard normal examples, float32, of shape ``(batch, *shape)``."""
        rng = np.random.default_rng(seed)
        return rng.standard_normal((batch, *self.shape)).astype(np.float32)


def dense(*widths: int) -> int:
    """How many parameters dense layers of these widths have, inputs first, biases included."""
    return sum(a * b + b for a, b in itertools.pairwise(widths))


def conv(window: int, *channels: int) -> int:
    """The same for convolutions, each with a window of ``window`` places."""
    return sum(window * a * b + b for a, b in itertools.pairwise(channels))


def resnet(depth: int, channels: int, outputs: int) -> int:
    """The same for the CIFAR ResNet: kernels without bias, two numbers per normalised channel."""
    n = (depth - 2) // 6
    widths = [channels, *[16] * (2 * n + 1), *[32] * (2 * n), *[64] * (2 * n)]
    pairs = itertools.pairwise(widths)
    return sum(9 * a * b + 2 * b for a, b in pairs) + dense(64, outputs)


CASES = [
    Case("dense", Dense(3), (5,), (3,), dense(5, 3)),
    Case("dense_no_bias", Dense(3, use_bias=False), (5,), (3,), 15),
    Case("dense_dropconnect", Dense(3, dropconnect_rate=0.5), (5,), (3,), dense(5, 3)),
    Case("dense_bf16", Dense(3, dtype="bfloat16"), (5,), (3,), dense(5, 3)),
    Case("flatten", Flatten(), (2, 3), (6,), 0),
    Case("dropout", Dropout(0.5), (6,), (6,), 0),
    Case("gaussian_noise", GaussianNoise(0.5), (6,), (6,), 0),
    Case("linear", MLP([], 10), (40,), (10,), 410),
    Case("mlp", MLP([64, 64], 10), (40,), (10,), dense(40, 64, 64, 10)),
    Case("mlp_depth_1", MLP([298], 10), (40,), (10,), 15_208),
    Case("mlp_depth_2", MLP([100] * 2, 10), (40,), (10,), 15_210),
    Case("mlp_depth_3", MLP([75] * 3, 10), (40,), (10,), 15_235),
    Case("mlp_depth_4", MLP([63] * 4, 10), (40,), (10,), 15_319),
    Case("mlp_images", MLP([7], 3, activation="tanh"), (4, 4, 2), (3,), dense(32, 7, 3)),
    Case("mlp_batch", MLP([8, 8], 3, norm="batch"), (5,), (3,), dense(5, 8, 8, 3) + 32),
    Case("mlp_layer", MLP([8, 8], 3, norm="layer"), (5,), (3,), dense(5, 8, 8, 3) + 32),
    Case("mlp_prelu", MLP([8, 8], 3, activation="prelu"), (5,), (3,), dense(5, 8, 8, 3) + 2),
    Case("mlp_dropout", MLP([8, 8], 3, dropout_rate=0.5), (5,), (3,), dense(5, 8, 8, 3)),
    Case(
        "mlp_all",
        MLP(
            (8, 8),
            3,
            activation="selu",
            kernel_init="torch_uniform",
            bias_init="torch_uniform",
            norm="batch",
            dropout_rate=0.1,
            dropconnect_rate=0.2,
            dtype="bfloat16",
        ),
        (5,),
        (3,),
        dense(5, 8, 8, 3) + 32,
    ),
    Case(
        "residual_mnist1d",
        ResidualMLP(100, 1, 10, layers_per_block=1, preactivation=False),
        (40,),
        (10,),
        15_210,
    ),
    Case("residual", ResidualMLP(8, 3, 2), (5,), (2,), dense(5, 8, 8, 8, 8, 8, 8, 8, 2)),
    Case(
        "residual_all",
        ResidualMLP(8, 2, 2, norm="layer", branch_scale=0.5, dropout_rate=0.1),
        (5,),
        (2,),
        dense(5, 8, 8, 8, 8, 8, 2) + 5 * 16,
    ),
    Case(
        "residual_batch",
        ResidualMLP(8, 2, 2, layers_per_block=1, preactivation=False, norm="batch"),
        (5,),
        (2,),
        dense(5, 8, 8, 8, 2) + 3 * 16,
    ),
    Case("conv_1d", Conv(4, 3, 2, 1), (9, 2), (5, 4), conv(3, 2, 4)),
    Case("conv_2d", Conv(4, (3, 2), dilation=2), (6, 7, 2), (6, 7, 4), conv(6, 2, 4)),
    Case("conv_lax", Conv(4, 3, method="lax"), (6, 6, 2), (6, 6, 4), conv(9, 2, 4)),
    Case(
        "convnet_mnist1d",
        ConvNet([25, 25, 25], 10, kernel_size=[5, 3, 3], strides=2, padding=1),
        (40,),
        (10,),
        5_210,
    ),
    Case(
        "convnet_signals",
        ConvNet([4, 8], 3, norm="batch", pool="max", dropout_rate=0.5),
        (16, 2),
        (3,),
        conv(3, 2, 4, 8) + 2 * (4 + 8) + dense(4 * 8, 3),
    ),
    Case(
        "convnet_images",
        ConvNet([4, 8], 3, norm="layer", pool="avg", pool_size=[2, 1], head="mean"),
        (8, 8, 1),
        (3,),
        conv(9, 1, 4, 8) + 2 * (4 + 8) + dense(8, 3),
    ),
    Case(
        "convnet_lax",
        ConvNet([4], 3, strides=[(2, 1)], padding="VALID", method="lax", dtype="bfloat16"),
        (8, 8, 1),
        (3,),
        conv(9, 1, 4) + dense(3 * 6 * 4, 3),
    ),
    Case(
        "convnet_onednn",
        ConvNet([4, 8], 3, strides=[1, 2], norm="batch", method="onednn"),
        (8, 7, 2),
        (3,),
        conv(9, 2, 4, 8) + 2 * (4 + 8) + dense(4 * 4 * 8, 3),
    ),
    Case("lenet", LeNet(), (28, 28, 1), (10,), 61_706),
    Case("lenet_no_channels", LeNet(dropout_rate=0.5, pool="avg"), (32, 32), (10,), 61_706),
    Case("lenet_digits", LeNet(3, norm="batch"), (8, 8), (3,), 61_706 - 85 * 7 + 2 * 226),
    Case("resnet_8", ResNet(8), (8, 8, 1), (10,), resnet(8, 1, 10)),
    Case(
        "resnet_8_all",
        ResNet(8, 3, branch_scale=0.5, dropout_rate=0.5),
        (7, 6, 3),
        (3,),
        resnet(8, 3, 3),
    ),
    # Its parameters do not depend on the size of the image; 32 x 32 takes minutes to run here.
    Case("resnet_20", ResNet(20), (8, 8, 3), (10,), 269_722),
    Case("autoencoder", Autoencoder([16], 2), (30,), (30,), dense(30, 16, 2, 16, 30)),
    Case("autoencoder_linear", Autoencoder([], 4), (8, 8), (8, 8), dense(64, 4, 64)),
    Case(
        "autoencoder_all",
        Autoencoder(
            [16, 8],
            2,
            activation="elu",
            code_activation="tanh",
            output_activation="sigmoid",
            norm="batch",
            dropout_rate=0.1,
            noise_scale=0.3,
        ),
        (4, 4, 1),
        (4, 4, 1),
        dense(16, 16, 8, 2, 8, 16, 16) + 2 * 2 * (16 + 8),
    ),
]
"""Every public network, in several configurations."""

RUN = {
    "dense_dropconnect",
    "dropout",
    "gaussian_noise",
    "mlp",
    "mlp_all",
    "mlp_prelu",
    "residual_mnist1d",
    "residual_all",
    "conv_2d",
    "convnet_mnist1d",
    "convnet_signals",
    "convnet_images",
    "convnet_onednn",
    "lenet_digits",
    "resnet_8_all",
    "autoencoder_linear",
    "autoencoder_all",
}
"""Rows that between them use every module but Flatten, and most options (not ``method="lax"``,
nor the full-size networks): the others are traced, but neither compiled nor run, because compiling
is what the tests spend their time on."""

SMALL_CASES = [case for case in CASES if case.name in RUN]
"""Those for contracts that compile and run a network."""
