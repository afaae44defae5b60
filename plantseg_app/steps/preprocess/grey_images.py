"""Grey-value images as the preprocessing steps take them: their kinds, lengths in voxels, one channel at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError

LengthUnit = Literal["voxel", "um"]
"""``voxel`` means voxels of the finest axis, so that a length is the same in all directions of space."""

IMAGE_KINDS = (
    Kind.RAW,
    Kind.BOUNDARY,
    Kind.FOREGROUND,
    Kind.NUCLEI,
    Kind.DISTANCE,
    Kind.AFFINITIES,
    Kind.LAYERS,
)
"""Grey-value images, whose values may be averaged."""


def lengths_vox(volume: Volume, length: float, unit: LengthUnit, per_slice: bool) -> tuple[float, float, float]:
    """Return `length` in voxels along Z, Y, X; 0 along Z for a 2D image or when slices are treated one by one.

    Raises
    ------
    InputError
        If the length is in micrometres and the voxel size is unknown.
    """
    from plantseg_app.algorithms.filters import in_voxels

    if unit == "um" and volume.voxel_size_um is None:
        raise InputError(
            f"A length of {length:g} um needs the voxel size, which this image does not have; "
            "give the length in voxels or use the step set-voxel-size first."
        )
    if per_slice or volume.is_2d:
        y, x = in_voxels(length, volume.spacing[1:], physical=unit == "um")
        return 0.0, y, x
    z, y, x = in_voxels(length, volume.spacing, physical=unit == "um")
    return z, y, x


def on_each_channel(data: NDArray[Any], function: Callable[[NDArray[Any]], NDArray[Any]]) -> NDArray[Any]:
    """Apply `function` to (Z, Y, X), or to each (Z, Y, X) of (C, Z, Y, X)."""
    if data.ndim == 3:
        return function(data)
    result = None
    for channel, image in enumerate(data):
        changed = function(image)
        if result is None:
            result = np.empty((len(data), *changed.shape), changed.dtype)
        result[channel] = changed
    if result is None:
        raise InputError("The image has no channels.")
    return result
