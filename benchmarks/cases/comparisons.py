"""The comparisons with peers, as data."""

from benchmarks.cases.throughput import Throughput, Work
from benchmarks.problems import Problem

SMALL_MLP = Throughput(
    "40-64-64-10, batch 32, Adam",
    Problem("mlp", "mnist1d", 4000, 32, widths=(64, 64)),
    (
        Work("torch", 1, 16),
        Work("torch-compile", 1, 16),
        Work("keras", 1, 16),
        Work("sklearn", 1, 16),
        Work("flax-loop", 1, 16),
        Work("flax-scan", 1, 16),
        Work("flax-scan", 32, 4),
        Work("torch-func", 8, 4),
        Work("torch-func", 32, 4),
        Work("torch-func", 128, 4),
        Work("torch-func", 512, 4),
        Work("jaxnets", 1, 16),
        Work("jaxnets", 8, 16),
        Work("jaxnets", 32, 16),
        Work("jaxnets", 128, 4),
        Work("jaxnets", 1000, 2),
        Work("jaxnets", 10_000, 1),
        Work("jaxnets-lanes", 32, 16),
        Work("jaxnets-lanes", 128, 4),
        Work("jaxnets-lanes", 10_000, 1),
        Work("ceiling"),
        Work("ceiling-torch"),
    ),
)

MNIST1D_MLP = Throughput(
    "40-100-100-10 (15,210 parameters), batch 100, Adam",
    Problem("mlp", "mnist1d", 4000, 100, widths=(100, 100)),
    (
        Work("torch", 1, 25),
        Work("torch-compile", 1, 25),
        Work("keras", 1, 25),
        Work("sklearn", 1, 25),
        Work("flax-loop", 1, 25),
        Work("flax-scan", 1, 25),
        Work("flax-scan", 32, 5),
        Work("torch-func", 8, 5),
        Work("torch-func", 32, 5),
        Work("torch-func", 128, 5),
        Work("torch-func", 512, 5),
        Work("jaxnets", 1, 25),
        Work("jaxnets", 8, 25),
        Work("jaxnets", 32, 25),
        Work("jaxnets", 128, 10),
        Work("jaxnets-lanes", 32, 25),
        Work("jaxnets-lanes", 128, 10),
        Work("ceiling"),
        Work("ceiling-torch"),
    ),
)

LENET = Throughput(
    "LeNet, 28x28, batch 32, Adam",
    Problem("lenet", "digits", 1536, 32),
    (
        Work("torch", 1, 4),
        Work("torch-compile", 1, 4),
        Work("keras", 1, 4),
        Work("flax-loop", 1, 4),
        Work("flax-scan", 1, 2),
        Work("flax-scan", 8, 1),
        Work("torch-func", 8, 2),
        Work("torch-func", 32, 1),
        Work("jaxnets", 1, 4),
        Work("jaxnets", 8, 4),
        Work("jaxnets", 32, 4),
    ),
)

CNN1D = Throughput(
    "the convolutional network of MNIST-1D (5,210 parameters), batch 100, Adam",
    Problem("cnn1d", "mnist1d", 4000, 100, learning_rate=1e-2),
    (
        Work("torch", 1, 5),
        Work("torch-compile", 1, 5),
        Work("keras", 1, 5),
        Work("flax-loop", 1, 5),
        Work("flax-scan", 1, 5),
        Work("flax-scan", 8, 1),
        Work("torch-func", 32, 1),
        Work("jaxnets", 1, 5),
        Work("jaxnets", 32, 5),
    ),
)

RESNET20 = Throughput(
    "ResNet-20, 32x32, batch 128, SGD with momentum",
    Problem("resnet20", "objects", 512, 128, "momentum", 0.02),
    (
        Work("torch", 1, 1),
        Work("torch-compile", 1, 1),
        Work("keras", 1, 1),
        Work("flax-loop", 1, 1),
        Work("jaxnets", 1, 1),
        Work("jaxnets", 4, 1),
    ),
)
