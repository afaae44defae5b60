"""Change the number of voxels of an image without moving it: the field of view stays, the grid changes.

Both grids cover the same box, so voxel ``i`` of ``n`` has its centre at ``(i + 0.5) / n`` of it ("grid mode").
The border is mirrored. Grey values are interpolated by scikit-image; labels are picked with exact whole numbers, which
also holds for ids that no floating-point number can represent.

>>> import numpy as np
>>> resample(np.array([[0.0, 1.0, 2.0, 3.0]]), (1, 2), order=0)
array([[1., 3.]])
>>> resample(np.array([[2, 7]], np.uint32), (2, 4), order=0)
array([[2, 2, 7, 7],
       [2, 2, 7, 7]], dtype=uint32)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        0 takes the nearest voxel (the only choice for labels), 1 interpolates linearly, 3 with a cubic spline, which
        is smoother, passes through the old values and takes several times longer.
    anti_aliasing
        Smooth each axis that shrinks by a factor f with a Gaussian of sigma ``(f - 1) / 2`` old voxels first, so that
        structures finer than the new grid fade instead of making patterns. Not used with order 0.

    Returns
    -------
    ndarray
        Of the dtype of `image`, whole numbers rounded; `image` itself, not a copy, when the shape is already right.
        Results are kept within the range of `image`, of each leading index by itself.

    Raises
    ------
    RequestError
        If `shape` has an axis too many or an entry below 1, or `order` is none of 0, 1, 3.
    """
    target = _checked_shape(image, shape)
    if order not in (NEAREST, LINEAR, CUBIC):
        raise RequestError(f"Images are resampled with order 0, 1 or 3; order {order} was given.")
    first = image.ndim - len(target)
    if image.shape[first:] == target:
        return image
    image = np.asarray(image)  # Without the behaviour of memory maps.
    if order == NEAREST:
        for axis, n_new in enumerate(target, start=first):
            if image.shape[axis] != n_new:
                image = np.take(image, nearest_indices(image.shape[axis], n_new), axis=axis)
        return image
    result = np.empty((*image.shape[:first], *target), image.dtype)
    for channel in np.ndindex(*image.shape[:first]):
        result[channel] = _interpolated(image[channel], target, order, anti_aliasing)
    return result


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


def _interpolated(image: NDArray[Any], shape: tuple[int, ...], order: int, anti_aliasing: bool) -> NDArray[Any]:
    from skimage.transform import resize

    # scikit-image makes float64 of all whole numbers; float32 is enough for small ones and half as large.
    small = image.dtype.itemsize <= 2 or image.dtype == np.float32
    image_as_float = image.astype(np.float32 if small else np.float64, copy=False)
    result: NDArray[Any] = resize(
        image_as_float, shape, order, mode="symmetric", preserve_range=True, anti_aliasing=anti_aliasing
    )
    if image.dtype.kind == "b":
        return result >= 0.5
    return np.rint(result, out=result) if image.dtype.kind in "iu" else result
