"""Maps of probabilities as float32 between 0 and 1, whatever integer type they were saved as.

>>> import numpy as np
>>> as_probability(np.array([0, 255], np.uint8), "boundary map")
array([0., 1.], dtype=float32)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError

TOLERANCE = 1e-3


def as_probability(values: NDArray[Any], noun: str) -> NDArray[np.float32]:
    """Return the map as float32 in [0, 1]; no copy if it already is.

    Parameters
    ----------
    values
        Floats between 0 and 1, or unsigned integers that stand for them: 0 ... 1 if nothing is larger, else scaled by
        the largest number of their type (255, 65535).
    noun
        What the map is called in an error message.

    Raises
    ------
    InputError
        If floats or signed integers lie outside.
    """
    if values.dtype.kind == "b":
        return values.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "u":
        scale = 1.0 if high <= 1 else float(np.iinfo(values.dtype).max)
        return values.astype(np.float32) / np.float32(scale)
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise InputError(
            f"The values of the {noun} lie between {low:.4g} and {high:.4g}; they have to lie between 0 and 1. "
            "Bring them there first, for example with the step normalise."
        )
    if low < 0 or high > 1:
        return np.asarray(np.clip(values, 0, 1), np.float32)
    return values.astype(np.float32, copy=False)
