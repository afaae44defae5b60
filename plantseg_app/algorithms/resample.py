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

from plantseg_app.errors import RequestError

NEAREST, LINEAR, CUBIC = 0, 1, 3

_BLOCK = 32  # New voxels a matrix block makes: larger blocks multiply more zeros, smaller ones starve BLAS.
_CHUNK = 2**20  # Numbers of the old image converted at a time, so that they stay in the cache.
_GEMM = (
    2**18
)  # Multiplications in one call of BLAS: OpenBLAS starts threads above, which cost more than they save here.


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
    result = image
    for axis in axes:
        n_new = target[axis - first]
        if order == NEAREST:
            result = np.take(result, nearest_indices(image.shape[axis], n_new), axis=axis)
        else:
            result = _interpolate_axis(result, axis, n_new, order, anti_aliasing)
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


def _working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return float32 where it holds every value exactly enough, else float64."""
    return np.dtype(np.float64 if dtype.itemsize > 2 and dtype != np.float32 else np.float32)


def _interpolate_axis(image: NDArray[Any], axis: int, n_new: int, order: int, anti_aliasing: bool) -> NDArray[Any]:
    """Resample one axis; the result is float32 or float64."""
    dtype = _working_dtype(image.dtype)
    n_old = image.shape[axis]
    before = int(np.prod(image.shape[:axis], dtype=np.int64))
    after = int(np.prod(image.shape[axis + 1 :], dtype=np.int64))
    old = image.reshape(before, n_old, after)
    new = np.empty((before, n_new, after), dtype)
    for start, first, matrix in _matrix_blocks(n_old, n_new, order, anti_aliasing):
        matrix = matrix.astype(dtype)
        rows = slice(start, start + matrix.shape[0])
        columns = slice(first, first + matrix.shape[1])
        for a, b in _chunks(before, after, matrix.shape[1]):
            part = old[a, columns, b].astype(dtype, copy=False)
            if after == 1:
                _multiply_rows(matrix, part[:, :, 0], new[a, rows, 0])
            else:
                _multiply_columns(matrix, part, new[a, rows, b])
    return new.reshape(*image.shape[:axis], n_new, *image.shape[axis + 1 :])


def _multiply_rows(matrix: NDArray[Any], old: NDArray[Any], new: NDArray[Any]) -> None:
    """Set new (A, R) to old (A, W) times the transpose of matrix (R, W), a few rows of old at a time."""
    n_rows = max(1, min(len(old), _GEMM // matrix.size))
    whole = len(old) // n_rows * n_rows
    batch = old[:whole].reshape(-1, n_rows, old.shape[1])
    new[:whole] = (batch @ matrix.T).reshape(whole, -1)
    if whole < len(old):
        new[whole:] = old[whole:] @ matrix.T


def _multiply_columns(matrix: NDArray[Any], old: NDArray[Any], new: NDArray[Any]) -> None:
    """Set new (A, R, B) to matrix (R, W) times old (A, W, B), a few columns of old at a time."""
    step = max(1, _GEMM // matrix.size)
    for start in range(0, old.shape[2], step):
        columns = slice(start, start + step)
        new[:, :, columns] = matrix @ old[:, :, columns]


def _chunks(before: int, after: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Cut the axes before and after the one in work so that a piece of `width` voxels holds about `_CHUNK` numbers."""
    n_after = min(after, max(1, _CHUNK // width))
    n_before = max(1, _CHUNK // (width * n_after))
    for a in range(0, before, n_before):
        for b in range(0, after, n_after):
            yield slice(a, a + n_before), slice(b, b + n_after)


def _matrix_blocks(
    n_old: int, n_new: int, order: int, anti_aliasing: bool
) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Yield the band of the resampling matrix as (first new voxel, first old voxel, dense block)."""
    factor = n_old / n_new
    kernel = gaussian_kernel((factor - 1.0) / 2.0) if anti_aliasing and factor > 1.0 else np.ones(1)
    for start in range(0, n_new, _BLOCK):
        indices, weights = _taps(np.arange(start, min(start + _BLOCK, n_new)), factor, order, kernel)
        indices = mirrored(indices, n_old)
        first = int(indices.min())
        block = np.zeros((len(indices), int(indices.max()) - first + 1))
        np.add.at(block, (np.arange(len(indices))[:, None], indices - first), weights)
        yield start, first, block


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


def gaussian_kernel(sigma: float) -> NDArray[np.float64]:
    """Return a normalised Gaussian, cut at four sigma; the single weight 1 when `sigma` is 0 or less."""
    if sigma <= 0.0:
        return np.ones(1)
    radius = int(4.0 * sigma + 0.5)
    weights: NDArray[np.float64] = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    return weights


def mirrored(indices: NDArray[Any], n: int) -> NDArray[Any]:
    """Map indices beyond 0 .. n - 1 back by mirroring at the outer faces of the border voxels.

    >>> mirrored(np.arange(-3, 5), 2)
    array([1, 1, 0, 0, 1, 1, 0, 0])
    """
    folded = indices % (2 * n)
    mirror: NDArray[Any] = np.minimum(folded, 2 * n - 1 - folded)
    return mirror
