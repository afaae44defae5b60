"""What a W-Net learns from labels: how deep each pixel lies in its object. Knows arrays alone.

>>> labels = np.array([[[0, 0, 3, 3, 3, 3, 3, 7, 7, 7]]])
>>> [round(float(depth), 2) for depth in relative_depth(labels, None, by_slice=True)[0, 0]]
[0.0, 0.0, 0.33, 0.67, 1.0, 0.67, 0.33, 0.33, 0.67, 1.0]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.core.volume import VoxelSize


def relative_depth(labels: NDArray[Any], voxel_size_um: VoxelSize | None, by_slice: bool) -> NDArray[np.float32]:
    """Return (Z, Y, X) float32: the distance to the border of the object, 1 where it is largest in it, 0 outside.

    Parameters
    ----------
    labels
        (Z, Y, X), 0 is background. Beyond the image objects go on.
    voxel_size_um
        By which distances are measured; None: voxels are cubes.
    by_slice
        Whether each slice is measured by itself.
    """
    import edt

    dense = np.ascontiguousarray(make_dense(labels)[0].astype(np.uint32))
    spacing = tuple(voxel_size_um or (1.0, 1.0, 1.0))
    if by_slice:
        planes = [edt.edt(plane, anisotropy=spacing[1:], black_border=False, parallel=1) for plane in dense]
        distance = np.stack(planes)
        names = dense + np.arange(len(dense), dtype=np.int64)[:, None, None] * (int(dense.max(initial=0)) + 1)
    else:
        distance = edt.edt(dense, anisotropy=spacing, black_border=False, parallel=1)
        names = dense.astype(np.int64)
    # An object that fills everything has no border: it is deep everywhere.
    distance = np.where(np.isfinite(distance), distance, 1.0)
    largest = np.zeros(int(names.max(initial=0)) + 1, np.float32)
    np.maximum.at(largest, names.ravel(), distance.ravel().astype(np.float32))
    depth = distance / np.maximum(largest, np.float32(1e-6))[names]
    return np.asarray(np.where(dense > 0, depth, 0), np.float32)
