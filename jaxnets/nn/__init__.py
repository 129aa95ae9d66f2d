"""Networks as ordinary Linen modules, one family per file.

=================  ===================================================================  ============
name               what it is                                                           file
=================  ===================================================================  ============
MLP                fully connected layers                                               dense
ResidualMLP        fully connected residual blocks                                      residual
ConvNet            convolutional layers in one or two dimensions                        convnet
LeNet              LeNet-5 in its modern form                                           lenet
ResNet             the CIFAR ResNet of 6 n + 2 layers                                   residual
Autoencoder        encoder, code, decoder, fully connected                              autoencoder
Dense, Flatten     layers                                                               dense
Conv, convolve     convolution, in the way that is the fastest for its shapes              conv
explain_convolutions which way each convolution of a network takes, and why         conv_choices
measure_convolutions which way is the fastest on this machine                    conv_choices
max_pool, avg_pool pooling                                                              pool
Dropout            dropout with a traced rate                                           noise
GaussianNoise      additive noise with a traced scale                                   noise
normalize          batch or layer normalisation by name                                 norm
ACTIVATIONS        activations by name                                                  activations
KERNEL_INITIALIZERS initialisers of kernels by name                                     initializers
BIAS_INITIALIZERS  initialisers of biases by name                                       initializers
hyperparameter     a network's own number, one per member of a population               hyper
=================  ===================================================================  ============

Every module is a frozen dataclass that compares and hashes by its fields, takes
``(x, train=False)`` and keeps float32 parameters. ``None`` for a rate or a scale means that the
operation is not in the program; a number means that it is, with its strength traced.
"""

from jaxnets.nn.activations import ACTIVATIONS, Activation, activation_function
from jaxnets.nn.autoencoder import Autoencoder
from jaxnets.nn.conv import Conv, convolve
from jaxnets.nn.conv_choices import explain_convolutions, measure_convolutions
from jaxnets.nn.convnet import ConvNet
from jaxnets.nn.dense import MLP, Dense, Flatten, flatten
from jaxnets.nn.hyper import hyperparameter
from jaxnets.nn.initializers import (
    BIAS_INITIALIZERS,
    KERNEL_INITIALIZERS,
    bias_initializer,
    kernel_initializer,
)
from jaxnets.nn.lenet import LeNet
from jaxnets.nn.noise import Dropout, GaussianNoise, dropout
from jaxnets.nn.norm import normalize
from jaxnets.nn.pool import avg_pool, max_pool
from jaxnets.nn.residual import ResidualMLP, ResNet

__all__ = [
    "ACTIVATIONS",
    "BIAS_INITIALIZERS",
    "KERNEL_INITIALIZERS",
    "MLP",
    "Activation",
    "Autoencoder",
    "Conv",
    "ConvNet",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "LeNet",
    "ResNet",
    "ResidualMLP",
    "activation_function",
    "avg_pool",
    "bias_initializer",
    "convolve",
    "dropout",
    "explain_convolutions",
    "flatten",
    "hyperparameter",
    "kernel_initializer",
    "max_pool",
    "measure_convolutions",
    "normalize",
]
