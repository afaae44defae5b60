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

from plantseg_app.algorithms.blocks import Block, tile

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
    from scipy.ndimage import gaussian_filter

    dtype = np.float64 if image.dtype == np.float64 else np.float32
    sigma = [width if n > 1 else 0.0 for n, width in zip(image.shape, sigma_vox, strict=True)]
    if not any(sigma):
        return image.astype(dtype, copy=False)
    if image.dtype == np.float16:  # scipy has no filters for half precision.
        image = image.astype(np.float32)
    smooth: NDArray[np.floating[Any]] = gaussian_filter(image, sigma, output=dtype, mode="reflect", truncate=4.0)
    return smooth


def ellipsoid(radius_vox: Sequence[float]) -> NDArray[np.bool_]:
    """Return the voxels whose centre lies within an ellipsoid, as a footprint with odd edges.

    >>> ellipsoid((0.0, 1.0, 1.0)).astype(int)
    array([[[0, 1, 0],
            [1, 1, 1],
            [0, 1, 0]]])
    """
    from skimage.draw import ellipsoid as draw

    # The smallest of radii keeps poles that rounding would lose, and an axis of radius 0. What is drawn has a rim.
    inside: NDArray[np.bool_] = draw(*(radius + 1e-9 for radius in radius_vox))[1:-1, 1:-1, 1:-1]
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
    if image.dtype == np.float16:  # scipy has no filters for half precision.
        image = image.astype(np.float32)
    result = np.empty(image.shape, image.dtype)
    reach = [n // 2 for n in footprint.shape]
    slab = list(image.shape)
    longest = int(np.argmax(slab))
    slab[longest] = max(1, reach[longest], -(-slab[longest] // (4 * n_threads)))

    def filter_slab(block: Block) -> None:
        result[block.inner] = median_filter(image[block.outer], footprint=footprint, mode="reflect")[block.core]

    pool = ThreadPoolExecutor(n_threads)
    try:
        for future in track([pool.submit(filter_slab, block) for block in tile(image.shape, slab, reach, reach)]):
            future.result()
    finally:
        # After an error or a cancel, slabs that have not begun are dropped.
        pool.shutdown(cancel_futures=True)
    return result
