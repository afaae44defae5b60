"""Linear work along one axis of an image, as a banded matrix that is multiplied block by block with BLAS.

Smoothing and resampling are such matrices: each new voxel is a weighted sum of a few neighbouring old ones. Small
dense blocks along the diagonal multiply some zeros, and are still many times faster than a loop over taps.

>>> import numpy as np
>>> apply_bands(np.float32([[0, 4, 0]]), 1, 3, smoothing_bands(3, 1.0)).round(2)
array([[1.18, 1.63, 1.18]], dtype=float32)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

ROWS = 32
"""New voxels that one band makes: larger bands multiply more zeros, smaller ones starve BLAS."""

_CHUNK = 2**20  # Numbers of the old image converted at a time, so that they stay in the cache.
_GEMM = (
    2**18
)  # Multiplications in one call of BLAS: OpenBLAS starts threads above, which cost more than they save here.


@dataclasses.dataclass(frozen=True)
class Band:
    """Some rows of a matrix, dense where they are not zero.

    Attributes
    ----------
    first_new, first_old
        The row and the column of its corner.
    weights
        (rows, columns).
    """

    first_new: int
    first_old: int
    weights: NDArray[np.float64]

    @classmethod
    def from_taps(cls, first_new: int, indices: NDArray[Any], weights: NDArray[np.float64]) -> Self:
        """Build a band from the old voxels (rows, taps) that make each new one; repeated voxels add up."""
        first_old = int(indices.min())
        dense = np.zeros((len(indices), int(indices.max()) - first_old + 1))
        np.add.at(dense, (np.arange(len(indices))[:, None], indices - first_old), weights)
        return cls(first_new, first_old, dense)


def smoothing_bands(n: int, sigma: float) -> Iterator[Band]:
    """Yield the matrix that smooths `n` voxels with a Gaussian of `sigma` voxels, the border mirrored."""
    kernel = gaussian_kernel(sigma)
    radius = len(kernel) // 2
    reach = np.arange(-radius, radius + 1)
    for start in range(0, n, ROWS):
        indices = np.arange(start, min(start + ROWS, n))[:, None] + reach
        yield Band.from_taps(start, mirrored(indices, n), np.broadcast_to(kernel, indices.shape))


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


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return float32 where it holds every value exactly enough, else float64."""
    return np.dtype(np.float64 if dtype.itemsize > 2 and dtype != np.float32 else np.float32)


def apply_bands(image: NDArray[Any], axis: int, n_new: int, bands: Iterable[Band]) -> NDArray[np.floating[Any]]:
    """Return the matrix that `bands` make up, applied along one axis of `image`.

    Parameters
    ----------
    image
        Any number of axes, any real numbers.
    axis
        The axis in work, which gets `n_new` voxels.
    bands
        Together all rows 0 .. `n_new` - 1.

    Returns
    -------
    ndarray
        Of the type that `working_dtype` names.
    """
    dtype = working_dtype(image.dtype)
    n_old = image.shape[axis]
    before = int(np.prod(image.shape[:axis], dtype=np.int64))
    after = int(np.prod(image.shape[axis + 1 :], dtype=np.int64))
    old = image.reshape(before, n_old, after)
    new = np.empty((before, n_new, after), dtype)
    for band in bands:
        matrix = band.weights.astype(dtype)
        rows = slice(band.first_new, band.first_new + matrix.shape[0])
        columns = slice(band.first_old, band.first_old + matrix.shape[1])
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
