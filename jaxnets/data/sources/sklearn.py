"""The small real data sets that scikit-learn carries: no download.

Values are as scikit-learn holds them, in their own units: call ``.standardized()``.
"""

from typing import Any

import jax
import numpy as np

from jaxnets.data.dataset import Dataset
from jaxnets.data.splits import from_arrays


def _bunch(name: str, **arguments: Any) -> Any:
    """scikit-learn's ``load_<name>``."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            f"{name}: this data set comes with scikit-learn; pip install 'jaxnets[sklearn]'."
        ) from error
    return getattr(datasets, f"load_{name}")(**arguments)


def _names(values: Any) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def digits(
    *,
    images: bool = False,
    key: jax.Array | None = None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
    stratify: bool = False,
) -> Dataset:
    """1797 handwritten digits of 8 by 8 pixels, values 0 to 16.

    Args:
        images: whether ``x`` is ``(n, 8, 8, 1)`` instead of ``(n, 64)``.
        key: a typed key that deals the rows out; None is the constant ``jax.random.key(0)``.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.
        stratify: whether each part gets every class in proportion.

    Returns:
        A ``Dataset`` with labels 0 to 9.

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI.

    Example:
        >>> digits(images=True)
        Dataset('digits': train 1257, valid 270, test 270; x (8, 8, 1) float32; y 10 classes)
    """
    bunch = _bunch("digits")
    x = bunch.images[..., None] if images else bunch.data
    return from_arrays(
        x,
        bunch.target,
        key=key,
        valid=valid,
        test=test,
        stratify=stratify,
        name="digits",
        classes=_names(bunch.target_names),
        features=None if images else _names(bunch.feature_names),
        description="Handwritten digits, 8 by 8 pixels, values 0 to 16.",
        source="UCI, Optical Recognition of Handwritten Digits, test part, through scikit-learn",
        license="CC BY 4.0",
    )


def breast_cancer(
    *,
    key: jax.Array | None = None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
    stratify: bool = False,
) -> Dataset:
    """569 breast tumours, 30 measurements of cell nuclei each, malignant (0) or benign (1).

    Args:
        key: a typed key that deals the rows out; None is the constant ``jax.random.key(0)``.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.
        stratify: whether each part gets both classes in proportion.

    Returns:
        A ``Dataset`` with ``x`` ``(n, 30)`` in very different units: standardise it.

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Wolberg, Street and Mangasarian, Breast Cancer Wisconsin (Diagnostic), UCI.

    Example:
        >>> breast_cancer().classes
        ('malignant', 'benign')
    """
    bunch = _bunch("breast_cancer")
    return from_arrays(
        bunch.data,
        bunch.target,
        key=key,
        valid=valid,
        test=test,
        stratify=stratify,
        name="breast_cancer",
        classes=_names(bunch.target_names),
        features=_names(bunch.feature_names),
        description="Measurements of cell nuclei in breast tumours, malignant or benign.",
        source="UCI, Breast Cancer Wisconsin (Diagnostic), through scikit-learn",
        license="CC BY 4.0",
    )


def wine(
    *,
    key: jax.Array | None = None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
    stratify: bool = False,
) -> Dataset:
    """178 wines from three growers, 13 chemical measurements each.

    Args:
        key: a typed key that deals the rows out; None is the constant ``jax.random.key(0)``.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.
        stratify: whether each part gets every class in proportion.

    Returns:
        A ``Dataset`` with ``x`` ``(n, 13)`` in very different units: standardise it.

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Aeberhard and Forina, Wine, UCI.

    Example:
        >>> wine(stratify=True)
        Dataset('wine': train 124, valid 27, test 27; x (13,) float32; y 3 classes)
    """
    bunch = _bunch("wine")
    return from_arrays(
        bunch.data,
        bunch.target,
        key=key,
        valid=valid,
        test=test,
        stratify=stratify,
        name="wine",
        classes=_names(bunch.target_names),
        features=_names(bunch.feature_names),
        description="Chemical measurements of wines from three growers.",
        source="UCI, Wine, through scikit-learn",
        license="CC BY 4.0",
    )


def diabetes(
    *,
    key: jax.Array | None = None,
    valid: float | None = 0.15,
    test: float | None = 0.15,
) -> Dataset:
    """442 diabetes patients, 10 measurements each, and the disease's progression after a year.

    The measurements are in their own units. scikit-learn's default is scaled by statistics of all
    rows, test rows among them; this is not.

    Args:
        key: a typed key that deals the rows out; None is the constant ``jax.random.key(0)``.
        valid: fraction or count of validation rows; None or 0 for no such part.
        test: fraction or count of test rows; None or 0 for no such part.

    Returns:
        A ``Dataset`` with ``x`` ``(n, 10)`` and float32 targets ``(n, 1)``, from 25 to 346.

    Raises:
        ImportError: scikit-learn is not installed.

    Source: Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression, 2004.

    Example:
        >>> diabetes()
        Dataset('diabetes': train 310, valid 66, test 66; x (10,) float32; y (1,) float32)
    """
    bunch = _bunch("diabetes", scaled=False)
    return from_arrays(
        bunch.data,
        np.asarray(bunch.target, np.float64)[:, None],
        key=key,
        valid=valid,
        test=test,
        name="diabetes",
        features=_names(bunch.feature_names),
        description="Ten measurements of patients and their diabetes a year later.",
        source="Efron et al., Least Angle Regression (2004), through scikit-learn",
        license="not stated by its authors",
    )
