"""Data sets by name or by path, as the command line knows them."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxnets.data.dataset import Dataset
from jaxnets.data.sources.arrays import csv, npy_folder, npz
from jaxnets.data.sources.idx import idx_folder, is_idx_folder
from jaxnets.data.sources.mnist1d import mnist1d
from jaxnets.data.sources.sklearn import breast_cancer, diabetes, digits, wine
from jaxnets.data.sources.synthetic import moons, sine, spirals
from jaxnets.errors import lookup, unknown_name

SOURCES: dict[str, Callable[..., Dataset]] = {
    "breast_cancer": breast_cancer,
    "diabetes": diabetes,
    "digits": digits,
    "mnist1d": mnist1d,
    "moons": moons,
    "sine": sine,
    "spirals": spirals,
    "wine": wine,
}


def load(name: str | os.PathLike[str], **arguments: Any) -> Dataset:
    """A data set by name or from a path.

    Args:
        name: a name among ``SOURCES``, or a path: a folder of IDX files or of npy files, an npz
            file, a CSV file (which needs ``target=``). ``"./digits"`` is always a path.
        **arguments: what the source takes, see there.

    Returns:
        The ``Dataset``.

    Raises:
        FileNotFoundError: a path that leads nowhere.
        TypeError: ``name`` is neither text nor a path.
        ValueError: an unknown name, with the nearest that is known; an argument that the source
            does not have; a kind of file that is not read.

    Example:
        >>> load("moons", samples=20, valid=None, test=None)
        Dataset('moons': train 20, valid none, test none; x (2,) float32; y 2 classes)
        >>> load("digit")
        Traceback (most recent call last):
        ...
        ValueError: dataset: unknown name 'digit'. Did you mean 'digits'? Known: breast_cancer,
        diabetes, digits, mnist1d, moons, sine, spirals, wine. A path to a folder or an npz file is
        also possible, with target=... that of a CSV file.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(f"dataset: expected a name or a path, got {name!r}.")
    if isinstance(name, str) and name in SOURCES:
        function = SOURCES[name]
        _check_arguments(name, function, arguments)
        return function(**arguments)
    function = _reader(name)
    _check_arguments(os.fspath(name), function, arguments)
    return function(name, **arguments)


def _reader(name: str | os.PathLike[str]) -> Callable[..., Dataset]:
    """The function that reads what lies at a path."""
    text = os.fspath(name)
    place = Path(text).expanduser()
    if text and place.is_dir():
        return idx_folder if is_idx_folder(place) else npy_folder
    readers: dict[str, Callable[..., Dataset]] = {".npz": npz, ".csv": csv}
    if place.is_file():
        return lookup(f"dataset {text!r}: kind of file", place.suffix.lower(), readers)
    if isinstance(name, os.PathLike) or os.sep in text or place.suffix.lower() in readers:
        raise FileNotFoundError(f"dataset: there is no file or folder {text!r}.")
    known = unknown_name("dataset", text, SOURCES)
    raise ValueError(
        f"{known} A path to a folder or an npz file is also possible, with target=... that of a "
        "CSV file."
    )


def _check_arguments(
    name: str, function: Callable[..., Dataset], arguments: dict[str, Any]
) -> None:
    parameters = inspect.signature(function).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    for argument in arguments:
        lookup(f"{name}: argument", argument, dict.fromkeys(set(parameters) - {"path"}))
    for needed, parameter in parameters.items():
        if (
            parameter.default is inspect.Parameter.empty
            and needed not in arguments
            and needed != "path"
        ):
            raise ValueError(f"{name}: the argument {needed}= is needed.")
