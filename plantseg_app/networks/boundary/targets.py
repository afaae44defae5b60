"""What a boundary network learns to predict, made from cell labels. Knows arrays alone.

Examples
--------
>>> import numpy as np
>>> labels = np.repeat([1, 1, 1, 1, 2, 2, 2, 2], 6 * 6).reshape(8, 6, 6)
>>> boundary_target(labels)[:, 3, 3].astype(int)
array([0, 0, 0, 1, 1, 0, 0, 0])
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMOOTHING_SIGMA_VOX = 1.0
# Wolny et al. cut at 0.5, which opens holes in oblique walls (a cell leaks into its neighbour); at 0.4 none was found.
SMOOTHED_THRESHOLD = 0.4


def thick_boundaries(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the voxels that touch (by a face) a voxel of another label: two voxels thick, one on each side.

    Parameters
    ----------
    labels
        Labels of any integer type and any number of axes; 0, the background, counts as a label.

    Returns
    -------
    NDArray[np.bool_]
        The mask, of the same shape.
    """
    boundary = np.zeros(labels.shape, dtype=bool)
    for axis in range(labels.ndim):
        lower = (slice(None),) * axis + (slice(None, -1),)
        upper = (slice(None),) * axis + (slice(1, None),)
        differs = labels[lower] != labels[upper]
        boundary[lower] |= differs
        boundary[upper] |= differs
    return boundary


def boundary_target(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the boundary mask to be learned: thick boundaries, evened out.

    The mask is smoothed (Gaussian, sigma 1 voxel) and cut at 0.4, which evens out the steps of a digital wall and
    leaves it without holes.

    Parameters
    ----------
    labels
        Labels (Z, Y, X) or (Y, X); an axis of one voxel is not smoothed over.

    Returns
    -------
    NDArray[np.bool_]
        The mask, of the same shape.

    References
    ----------
    Wolny et al., eLife 2020, doi:10.7554/eLife.57613.
    """
    from scipy import ndimage

    mask = thick_boundaries(labels).astype(np.float32)
    sigma = [SMOOTHING_SIGMA_VOX if size > 1 else 0.0 for size in labels.shape]
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(mask, sigma, truncate=3.0)
    return smooth > SMOOTHED_THRESHOLD
