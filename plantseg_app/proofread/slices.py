"""Shapes between slices: what was drawn on a few becomes a body.

>>> drawn = np.zeros((3, 1, 5), bool)
>>> drawn[0, 0, 0:3] = drawn[2, 0, 2:5] = True
>>> fill_between(drawn, 0).astype(int)[1].tolist()
[[0, 1, 1, 1, 0]]
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fill_between(
    drawn: NDArray[np.bool_], axis: int, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> NDArray[np.bool_]:
    """Return the mask with the slices between drawn ones filled.

    Parameters
    ----------
    drawn
        (Z, Y, X); slices along `axis` that hold something are key slices and stay as they are.
    axis
        Across which slices were drawn.
    spacing
        Edge lengths of a voxel.

    Notes
    -----
    Between two key slices the signed distances to both outlines are blended after their centres were brought over each
    other, so that a shape that wanders is not lost on the way (Raya and Udupa, IEEE Transactions on Medical Imaging 9,
    1990, doi:10.1109/42.52980).
    """
    slices = np.moveaxis(drawn, axis, 0)
    result = slices.copy()
    keys = np.flatnonzero(slices.any((1, 2)))
    flat = tuple(step for number, step in enumerate(spacing) if number != axis)
    for first, last in itertools.pairwise(keys):
        if last - first > 1:
            _blend(result, int(first), int(last), flat)
    return np.ascontiguousarray(np.moveaxis(result, 0, axis))


def _blend(slices: NDArray[np.bool_], first: int, last: int, spacing: tuple[float, ...]) -> None:
    centres = [np.argwhere(slices[key]).mean(0) for key in (first, last)]
    depths = [_signed_distance(slices[key], spacing) for key in (first, last)]
    for place in range(first + 1, last):
        share = (place - first) / (last - first)
        centre = (1 - share) * centres[0] + share * centres[1]
        moved = [_shifted(depth, np.rint(centre - own).astype(int)) for depth, own in zip(depths, centres, strict=True)]
        slices[place] = ((1 - share) * moved[0] + share * moved[1] > 0)[1:-1, 1:-1]


def _signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[Any]:
    """Return how deep each pixel lies inside, negative outside, with a rim that is outside."""
    from scipy.ndimage import distance_transform_edt

    padded = np.pad(mask, 1)
    return np.asarray(distance_transform_edt(padded, spacing) - distance_transform_edt(~padded, spacing))


def _shifted(image: NDArray[Any], by: NDArray[Any]) -> NDArray[Any]:
    """Return the image moved by whole pixels; what comes in from the rim repeats it."""
    indices = [np.clip(np.arange(n) - step, 0, n - 1) for n, step in zip(image.shape, by, strict=True)]
    return np.asarray(image[np.ix_(*indices)])
