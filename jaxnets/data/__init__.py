"""Data sets: rows with targets, split by a key, standardised on the training part alone."""

from jaxnets.data.dataset import Dataset
from jaxnets.data.part import Batch, Split
from jaxnets.data.registry import SOURCES, load
from jaxnets.data.scaling import Scaling, fit_scaling
from jaxnets.data.sources.arrays import csv, npy_folder, npz
from jaxnets.data.sources.disk import from_memmap, from_source
from jaxnets.data.sources.idx import idx_folder, read_idx
from jaxnets.data.sources.mnist1d import mnist1d
from jaxnets.data.sources.sklearn import breast_cancer, diabetes, digits, wine
from jaxnets.data.sources.synthetic import moons, sine, spirals
from jaxnets.data.splits import from_arrays, kfold, split
from jaxnets.data.stream import StreamedDataset, StreamedSplit

__all__ = [
    "SOURCES",
    "Batch",
    "Dataset",
    "Scaling",
    "Split",
    "StreamedDataset",
    "StreamedSplit",
    "breast_cancer",
    "csv",
    "diabetes",
    "digits",
    "fit_scaling",
    "from_arrays",
    "from_memmap",
    "from_source",
    "idx_folder",
    "kfold",
    "load",
    "mnist1d",
    "moons",
    "npy_folder",
    "npz",
    "read_idx",
    "sine",
    "spirals",
    "split",
    "wine",
]
