"""Smoothing: Gaussian and median, for (Z, Y, X) images whose voxels need not be cubes.

Borders are mirrored at the outer faces of the image. Widths are in voxels, one for each axis; turn a length in
micrometres into them with `in_voxels`.

>>> import numpy as np
>>> image = np.zeros((1, 1, 5)); image[0, 0, 2] = 1.0
>>> gaussian(image, (0.0, 0.0, 1.0)).round(2)
array([[[0.06, 0.24, 0.4 , 0.24, 0.06]]])
>>> median(image, (0.0, 0.0, 1.0)).max()
np.float64(0.0)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.bands import apply_bands, smoothing_bands

Track = Callable[[Iterable[Any]], Iterable[Any]]
"""Passes items on one by one; a caller reports progress or stops the work in it."""


def in_voxels(length: float, spacing: Sequence[float], *, physical: bool) -> tuple[float, ...]:
    """Return how many voxels `length` is along each axis.

    Parameters
    ----------
    length
        In the unit of `spacing` if `physical`, else in voxels of the finest axis.
    spacing
        Edge lengths of a voxel, one for each axis.
    physical
        Which of the two `length` is.

    >>> in_voxels(2.0, (0.5, 0.25, 0.25), physical=False)
    (1.0, 2.0, 2.0)
    """
    unit = 1.0 if physical else min(spacing)
    return tuple(length * unit / step for step in spacing)


def gaussian(image: NDArray[Any], sigma_vox: Sequence[float]) -> NDArray[np.floating[Any]]:
    """Return `image` smoothed with a Gaussian, cut at four sigma.

    Parameters
    ----------
    image
        (Z, Y, X), any real numbers. An axis of length 1 is not smoothed.
    sigma_vox
        Width along each axis in voxels; 0 leaves that axis alone.

    Returns
    -------
    ndarray
        (Z, Y, X) float32; float64 for float64. The image itself, not a copy, when there is nothing to do and it is of
        that type.
    """
    out_dtype = np.float64 if image.dtype == np.float64 else np.float32
    result = image
    for axis in range(image.ndim):
        if sigma_vox[axis] > 0 and image.shape[axis] > 1:
            result = apply_bands(result, axis, image.shape[axis], smoothing_bands(image.shape[axis], sigma_vox[axis]))
    return result.astype(out_dtype, copy=False)


def ellipsoid(radius_vox: Sequence[float]) -> NDArray[np.bool_]:
    """Return the voxels whose centre lies within an ellipsoid, as a footprint with odd edges.

    >>> ellipsoid((0.0, 1.0, 1.0)).astype(int)
    array([[[0, 1, 0],
            [1, 1, 1],
            [0, 1, 0]]])
    """
    reach = [int(radius + 1e-9) for radius in radius_vox]
    squared = np.zeros([2 * r + 1 for r in reach])
    for axis, (r, radius) in enumerate(zip(reach, radius_vox, strict=True)):
        if r:
            shape = [1] * len(reach)
            shape[axis] = -1
            squared = squared + ((np.arange(-r, r + 1) / radius) ** 2).reshape(shape)
    inside: NDArray[np.bool_] = squared <= 1.0 + 1e-9
    return inside


def median(
    image: NDArray[Any], radius_vox: Sequence[float], *, n_threads: int = 1, track: Track = iter
) -> NDArray[Any]:
    """Return the median of the ellipsoid around each voxel.

    Parameters
    ----------
    image
        (Z, Y, X), any real numbers.
    radius_vox
        Radius along each axis in voxels; below 1 the axis is left alone.
    n_threads
        How many slabs are filtered at a time.
    track
        Receives the slabs; see `Track`.

    Returns
    -------
    ndarray
        (Z, Y, X), of the dtype of `image`; float32 for float16.
    """
    from scipy.ndimage import median_filter

    footprint = ellipsoid([radius if n > 1 else 0.0 for n, radius in zip(image.shape, radius_vox, strict=True)])
    if footprint.size == 1:
        return image
    if image.dtype == np.float16:  # scipy has no rank filter for it.
        image = image.astype(np.float32)
    result = np.empty(image.shape, image.dtype)
    axis = 0 if image.shape[0] >= 2 * n_threads else 1
    margin = footprint.shape[axis] // 2
    n = image.shape[axis]
    thickness = max(1, margin, -(-n // (4 * n_threads)))

    def filter_slab(start: int) -> None:
        stop = min(n, start + thickness)
        # Mirroring needs the voxels up to `margin` inside a border, so a slab that touches one still sees them all.
        low, high = max(0, start - 2 * margin), min(n, stop + 2 * margin)
        source = [slice(None)] * 3
        source[axis] = slice(low, high)
        inner, target = list(source), list(source)
        inner[axis], target[axis] = slice(start - low, stop - low), slice(start, stop)
        filtered = median_filter(image[tuple(source)], footprint=footprint, mode="reflect")
        result[tuple(target)] = filtered[tuple(inner)]

    starts = range(0, n, thickness)
    pool = ThreadPoolExecutor(n_threads)
    try:
        futures = [pool.submit(filter_slab, start) for start in starts]
        for future in track(futures):
            future.result()
    finally:
        # After an error or a cancel, slabs that have not begun are dropped.
        pool.shutdown(cancel_futures=True)
    return result
