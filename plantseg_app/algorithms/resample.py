"""Change the number of voxels of an image without moving it: the field of view stays, the grid changes.

Both grids cover the same box, so voxel ``i`` of ``n`` has its centre at ``(i + 0.5) / n`` of it ("grid mode").
Along each axis the new image is a banded matrix times the old one; interpolation, the low-pass filter that shrinking
needs, and the mirrored border are all in that matrix, which is applied block by block with BLAS.

>>> import numpy as np
>>> resample(np.array([[0.0, 1.0, 2.0, 3.0]]), (1, 2), order=0)
array([[1., 3.]])
>>> resample(np.array([[2, 7]], np.uint32), (2, 4), order=0)
array([[2, 2, 7, 7],
       [2, 2, 7, 7]], dtype=uint32)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.bands import ROWS, Band, apply_bands, gaussian_kernel, mirrored
from plantseg_app.errors import RequestError

NEAREST, LINEAR, CUBIC = 0, 1, 3


def resample(
    image: NDArray[Any], shape: Sequence[int], order: int = LINEAR, *, anti_aliasing: bool = True
) -> NDArray[Any]:
    """Return `image` on a grid of `shape` that covers the same field of view.

    Parameters
    ----------
    image
        Any number of leading axes, which stay, then as many axes as `shape` has; for example (C, Z, Y, X).
    shape
        The new number of voxels along the last axes, each 1 or more.
    order
        0 takes the nearest voxel (the only choice for labels), 1 interpolates linearly, 3 with the cubic
        convolution of Keys (a = -0.5), which passes through the old values.
    anti_aliasing
        Smooth each axis that shrinks by a factor f with a Gaussian of sigma ``(f - 1) / 2`` old voxels first, so that
        structures finer than the new grid fade instead of making patterns. Not used with order 0.

    Returns
    -------
    ndarray
        Of the dtype of `image`, whole numbers rounded; `image` itself, not a copy, when the shape is already right.
        Cubic results are kept within the range of `image`.

    Raises
    ------
    RequestError
        If `shape` has an axis too many or an entry below 1, or `order` is none of 0, 1, 3.

    References
    ----------
    Keys (1981), Cubic convolution interpolation for digital image processing, doi:10.1109/TASSP.1981.1163711.
    """
    target = _checked_shape(image, shape)
    if order not in (NEAREST, LINEAR, CUBIC):
        raise RequestError(f"Images are resampled with order 0, 1 or 3; order {order} was given.")
    first = image.ndim - len(target)
    axes = [axis for axis in range(first, image.ndim) if image.shape[axis] != target[axis - first]]
    if not axes:
        return image
    axes.sort(key=lambda axis: target[axis - first] / image.shape[axis])  # What shrinks most goes first: less work.
    result = np.asarray(image)  # Without the behaviour of memory maps.
    for axis in axes:
        n_new = target[axis - first]
        if order == NEAREST:
            result = np.take(result, nearest_indices(image.shape[axis], n_new), axis=axis)
        else:
            result = apply_bands(
                result, axis, n_new, _resampling_bands(result.shape[axis], n_new, order, anti_aliasing)
            )
    if order == CUBIC:
        np.clip(result, float(image.min()), float(image.max()), out=result)
    return _as_dtype(result, image.dtype)


def nearest_indices(n_old: int, n_new: int) -> NDArray[np.int64]:
    """Return for each of `n_new` voxels the old one in which its centre lies.

    Exact in whole numbers; a centre on the border of two old voxels takes the later one.

    >>> nearest_indices(2, 6)
    array([0, 0, 0, 1, 1, 1])
    """
    centres = 2 * np.arange(n_new, dtype=np.int64) + 1
    return centres * n_old // (2 * n_new)


def shape_for_spacing(shape: Sequence[int], spacing: Sequence[float], new_spacing: Sequence[float]) -> tuple[int, ...]:
    """Return how many voxels of `new_spacing` cover the field of view, rounded, at least one along each axis.

    >>> shape_for_spacing((32, 128, 128), (0.235, 0.15, 0.15), (0.235, 0.3, 0.3))
    (32, 64, 64)
    """
    return tuple(max(1, round(n * old / new)) for n, old, new in zip(shape, spacing, new_spacing, strict=True))


def spacing_for_shape(shape: Sequence[int], spacing: Sequence[float], new_shape: Sequence[int]) -> tuple[float, ...]:
    """Return the voxel size that `new_shape` voxels over the same field of view have.

    >>> spacing_for_shape((32, 128, 100), (0.5, 0.5, 0.5), (32, 64, 200))
    (0.5, 1.0, 0.25)
    """
    return tuple(old * n / new for n, old, new in zip(shape, spacing, new_shape, strict=True))


def _checked_shape(image: NDArray[Any], shape: Sequence[int]) -> tuple[int, ...]:
    target = tuple(int(n) for n in shape)
    if len(target) > image.ndim:
        raise RequestError(f"The new shape {target} has more axes than the image, whose shape is {image.shape}.")
    if any(n < 1 for n in target):
        raise RequestError(f"Each axis needs at least one voxel; the new shape {target} was given.")
    return target


def _as_dtype(result: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if result.dtype == dtype:
        return result
    if dtype.kind == "b":
        return result >= 0.5
    if dtype.kind in "iu":
        np.rint(result, out=result)
        limits = np.iinfo(dtype)
        np.clip(result, limits.min, limits.max, out=result)
    return result.astype(dtype)


def _resampling_bands(n_old: int, n_new: int, order: int, anti_aliasing: bool) -> Iterator[Band]:
    """Yield the bands of the matrix that takes `n_old` voxels to `n_new`."""
    factor = n_old / n_new
    kernel = gaussian_kernel((factor - 1.0) / 2.0) if anti_aliasing and factor > 1.0 else np.ones(1)
    for start in range(0, n_new, ROWS):
        indices, weights = _taps(np.arange(start, min(start + ROWS, n_new)), factor, order, kernel)
        yield Band.from_taps(start, mirrored(indices, n_old), weights)


def _taps(
    new: NDArray[Any], factor: float, order: int, kernel: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return which old voxels, possibly beyond the border, make each new one, and their weights."""
    position = (new + 0.5) * factor - 0.5
    below = np.floor(position).astype(np.int64)
    t = (position - below)[:, None]
    if order == LINEAR:
        reach, weights = 0, np.hstack([1 - t, t])
    else:
        reach, weights = 1, _keys_weights(t)
    radius = len(kernel) // 2
    indices = below[:, None] + np.arange(-reach - radius, reach + radius + 2)
    smoothed = np.zeros(indices.shape)
    for tap in range(weights.shape[1]):
        smoothed[:, tap : tap + len(kernel)] += weights[:, tap : tap + 1] * kernel
    return indices, smoothed


def _keys_weights(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of the voxels at -1, 0, 1, 2 for a point at `t` in [0, 1) (cubic convolution, a = -0.5)."""
    square, cube = t * t, t * t * t
    return 0.5 * np.hstack(
        [-cube + 2 * square - t, 3 * cube - 5 * square + 2, -3 * cube + 4 * square + t, cube - square]
    )
