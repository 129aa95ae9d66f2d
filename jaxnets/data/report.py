"""What a data set says of itself: one line, a few lines, and a fingerprint."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxnets.data.dataset import Dataset


def fingerprint(data: "Dataset") -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all arrays, as 64 hex digits."""
    digest = hashlib.sha256()
    for name, part in data.parts().items():
        for letter, array in (("x", part.x), ("y", part.y)):
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{name}.{letter} {little.dtype.str} {little.shape};".encode())
            digest.update(little.data)
    return digest.hexdigest()


def _targets(data: "Dataset") -> str:
    if data.train.reconstructs:
        return "the inputs"
    if data.is_classification:
        each = "" if data.target_shape == () else f" {data.target_shape}"
        return f"{data.num_classes} classes{each}"
    return f"{data.target_shape} float32"


def short(data: "Dataset") -> str:
    """One line: name, sizes, shapes."""
    sizes = ", ".join(
        f"{name} {'none' if part is None else len(part)}"
        for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test))
    )
    scaled = "" if data.scaling is None else f"; standardised per {data.scaling.axis}"
    return (
        f"Dataset({data.name!r}: {sizes}; x {data.input_shape} float32; y {_targets(data)}{scaled})"
    )


def long(data: "Dataset") -> str:
    """A few lines: also ranges, class counts, where it comes from, and the fingerprint."""
    lines = [short(data)]
    lines += [f"  {data.description}"] if data.description else []
    for name, part in data.parts().items():
        line = f"  {name:5} {len(part):6} rows, x from {part.x.min():.4g} to {part.x.max():.4g}"
        if data.is_classification and data.target_shape == ():
            counts = np.bincount(part.y, minlength=data.num_classes or 0)
            line += f", per class {counts.min()} to {counts.max()}"
        lines.append(line)
    for word, names in (("classes", data.classes), ("features", data.features)):
        if names is not None:
            lines.append(f"  {word}: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}")
    lines += [f"  source: {data.source}"] if data.source else []
    lines += [f"  licence: {data.license}"] if data.license else []
    return "\n".join([*lines, f"  fingerprint: {data.fingerprint()}"])
