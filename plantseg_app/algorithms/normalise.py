"""Bring grey values of any camera to one range: what networks are trained on and must be given again.

Statistics are taken over the whole array, so normalise a stack before it is cut into tiles, and each channel by itself.

>>> import numpy as np
>>> percentile_normalise(np.array([0, 50, 100, 200], np.uint8), 0, 100)
array([0.  , 0.25, 0.5 , 1.  ], dtype=float32)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError

_LARGEST_HISTOGRAM = 2**16


def percentile_normalise(image: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Return `image` with its percentile `low` moved to 0 and `high` to 1, without clipping.

    Parameters
    ----------
    image
        Real numbers of any shape and type.
    low, high
        Percentiles, 0 <= low < high <= 100, linearly interpolated between neighbouring values.

    Returns
    -------
    NDArray[np.float32]
        A new array. Where both percentiles are the same value, the smallest and the largest value become 0 and 1;
        a constant image becomes 0.

    Raises
    ------
    InputError
        If `low` is not below `high` or one lies outside 0 to 100.
    """
    if not 0 <= low < high <= 100:
        raise InputError(f"Percentiles lie between 0 and 100, the lower one first; {low} and {high} were given.")
    bottom, top = percentiles(image, (low, high))
    if top <= bottom:
        bottom, top = float(image.min()), float(image.max())
    return _shifted_and_scaled(image, bottom, top - bottom)


def unit_range(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return `image` as float32 stretched to 0 .. 1; a constant image becomes 0.

    >>> unit_range(np.uint8([10, 20, 30]))
    array([0. , 0.5, 1. ], dtype=float32)
    """
    low, high = float(image.min()), float(image.max())
    return _shifted_and_scaled(image, low, high - low)


def zscore(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return `image` as float32 with mean 0 and standard deviation 1 (population); a constant image becomes 0."""
    mean = float(image.mean(dtype=np.float64))
    # In two passes, as numpy does it, but without its full-size temporary in float64.
    variance = np.mean([float(np.square(plane - mean).mean()) for plane in np.atleast_2d(image)])
    return _shifted_and_scaled(image, mean, float(np.sqrt(variance)))


def percentiles(image: NDArray[Any], wanted: tuple[float, ...]) -> tuple[float, ...]:
    """Return percentiles as `numpy.percentile` does; small whole numbers are counted instead of sorted.

    >>> percentiles(np.array([1, 2, 3, 4], np.uint8), (50.0, 100.0))
    (2.5, 4.0)
    """
    if image.dtype.kind in "ui":
        lowest = int(image.min())
        if int(image.max()) - lowest < _LARGEST_HISTOGRAM:
            return _counted_percentiles(image, lowest, wanted)
    if image.dtype.kind != "f":
        # numpy.percentile subtracts in the type of the image, which overflows in whole numbers.
        image = image.astype(np.float64)
    return tuple(float(value) for value in np.percentile(image, wanted))


def _counted_percentiles(image: NDArray[Any], lowest: int, wanted: tuple[float, ...]) -> tuple[float, ...]:
    counts = np.zeros(1, np.int64)
    for plane in np.atleast_2d(image):
        shifted = np.bincount((plane.astype(np.int64) - lowest).ravel(), minlength=len(counts))
        shifted[: len(counts)] += counts
        counts = shifted
    below = np.cumsum(counts)

    def value_at_rank(rank: int) -> int:
        return lowest + int(np.searchsorted(below, rank, side="right"))

    found = []
    for percentile in wanted:
        rank = percentile / 100 * (image.size - 1)
        left = value_at_rank(int(rank))
        right = value_at_rank(min(int(rank) + 1, image.size - 1))
        found.append(left + (rank - int(rank)) * (right - left))
    return tuple(float(value) for value in found)


def _shifted_and_scaled(image: NDArray[Any], offset: float, width: float) -> NDArray[np.float32]:
    """Return (image - offset) / width as float32, computed plane by plane in float64; 0 where `width` is 0."""
    result = np.zeros(image.shape, np.float32)
    if not width > 0:
        return result
    for plane, out in zip(np.atleast_2d(image), np.atleast_2d(result), strict=True):
        # In float64, because 65535 - 0.5 or a tiny contrast on a large offset does not survive float32.
        np.divide(plane.astype(np.float64) - offset, width, out=out, casting="unsafe")
    return result
