"""Checks of what is handed in for evaluation, with messages for a person. Knows no metric.

>>> import numpy as np
>>> check_labels(np.array([0.5]), "segmentation")
Traceback (most recent call last):
    ...
plantseg_app.errors.InputError: The segmentation holds float64 numbers, but labels must be whole numbers; \
give a label image, not a probability map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError, RequestError


def check_labels(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return a label image as an array, or say what is wrong with it.

    Parameters
    ----------
    labels
        Any shape, integer or bool, no negative number.
    name
        What to call it in a message.

    Raises
    ------
    InputError
        When it is empty, does not hold whole numbers or holds negative ones.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "biu":
        raise InputError(
            f"The {name} holds {array.dtype} numbers, but labels must be whole numbers; "
            "give a label image, not a probability map."
        )
    if array.size == 0:
        raise InputError(f"The {name} has shape {array.shape} and so holds no voxel; there is nothing to score.")
    if array.dtype.kind == "i" and int(array.min()) < 0:
        raise InputError(
            f"The {name} holds the negative label {int(array.min())}; labels must be 0 (background) or positive. "
            "Relabel it before scoring."
        )
    return array.reshape(1) if array.ndim == 0 else array


def check_same_shape(segmentation: tuple[int, ...], reference: tuple[int, ...]) -> None:
    """Raise `InputError` when the two images have different shapes."""
    if segmentation != reference:
        raise InputError(
            f"The segmentation has shape {segmentation} and the reference {reference}, but they must be the same; "
            "crop or resample one onto the other first."
        )


def check_mask(mask: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask of the given shape as bool.

    Raises
    ------
    InputError
        When it is no yes/no image, has another shape or selects nothing.
    """
    array = np.asarray(mask)
    if array.dtype != np.bool_:
        raise InputError(f"The mask holds {array.dtype} numbers, but must be of type bool; use e.g. `mask > 0`.")
    if array.shape != shape:
        raise InputError(f"The mask has shape {array.shape}, but the images have {shape}; they must be the same.")
    if not array.any():
        raise InputError("The mask selects no voxel; there is nothing to score.")
    return array


def check_fraction(value: float, name: str) -> float:
    """Return a number above 0 and at most 1.

    Raises
    ------
    RequestError
        When it is outside.
    """
    if not 0.0 < value <= 1.0:
        raise RequestError(f"The {name} is {value}, but must be above 0 and at most 1.")
    return float(value)
