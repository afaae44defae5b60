"""How well the drawn boundaries agree, within a tolerance: the boundary F score.

>>> import numpy as np
>>> reference = np.repeat([[1, 1, 1, 2, 2, 2]], 4, axis=0)
>>> segmentation = np.repeat([[1, 1, 2, 2, 2, 2]], 4, axis=0)
>>> boundary_f_score(segmentation, reference, tolerance=0.0).f1
0.5
>>> boundary_f_score(segmentation, reference, tolerance=1.0).f1
1.0
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import RequestError
from plantseg_app.evaluate.inputs import check_labels, check_same_shape

# Distances are float32: 3 x 0.15 um must not lie outside a tolerance of 0.45 um.
_SLACK = 1e-5


class BoundaryScore(NamedTuple):
    """Agreement of boundaries, each in [0, 1]: falls with surplus ones, with missing ones, with either."""

    precision: float
    recall: float
    f1: float


def boundary_f_score(
    segmentation: NDArray[Any],
    reference: NDArray[Any],
    *,
    tolerance: float = 2.0,
    voxel_size: tuple[float, ...] | None = None,
) -> BoundaryScore:
    """Compare the boundaries of two label images.

    A boundary voxel has a face neighbour of another label (background counts as a label), so a boundary between two
    cells is two voxels thick. Precision is the fraction of the segmentation's boundary voxels with a boundary voxel
    of the reference at most ``tolerance`` away; recall the reverse; F1 their harmonic mean.

    Parameters
    ----------
    segmentation, reference
        Label images of one shape, 2D or 3D, e.g. ``(Z, Y, X)``, any integer type.
    tolerance
        Euclidean distance, at least 0: in voxels, or in the unit of ``voxel_size`` when that is given.
    voxel_size
        Length of a voxel along each axis, e.g. ``(0.235, 0.15, 0.15)`` um.

    Returns
    -------
    BoundaryScore
        All 1 when neither image has a boundary, all 0 when one has none.

    Raises
    ------
    InputError
        When the images do not fit each other or are no label images.
    RequestError
        When the tolerance or the voxel size makes no sense.

    References
    ----------
    Csurka et al. (2013), What is a good evaluation measure for semantic segmentation?,
    https://doi.org/10.5244/C.27.32
    """
    segmentation = check_labels(segmentation, "segmentation")
    reference = check_labels(reference, "reference")
    check_same_shape(segmentation.shape, reference.shape)
    spacing = _check_spacing(voxel_size, segmentation.ndim)
    if not 0.0 <= tolerance < np.inf:
        raise RequestError(f"The tolerance is {tolerance}, but must be a distance of at least 0.")
    drawn, wanted = find_label_boundaries(segmentation), find_label_boundaries(reference)
    if not drawn.any() or not wanted.any():
        score = 1.0 if not drawn.any() and not wanted.any() else 0.0
        return BoundaryScore(score, score, score)
    precision = _fraction_near(drawn, wanted, tolerance, spacing)
    recall = _fraction_near(wanted, drawn, tolerance, spacing)
    total = precision + recall
    return BoundaryScore(precision, recall, 2.0 * precision * recall / total if total else 0.0)


def find_label_boundaries(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the voxels that have a face neighbour of another label, same shape."""
    boundary = np.zeros(labels.shape, dtype=np.bool_)
    for axis in range(labels.ndim):
        along, moved = np.moveaxis(boundary, axis, 0), np.moveaxis(labels, axis, 0)
        differs = moved[1:] != moved[:-1]
        along[1:] |= differs
        along[:-1] |= differs
    return boundary


def _fraction_near(
    voxels: NDArray[np.bool_], others: NDArray[np.bool_], tolerance: float, spacing: tuple[float, ...]
) -> float:
    """Return the fraction of voxels that have one of the others within the tolerance."""
    from edt import edt

    if tolerance < min(spacing):
        near = others[voxels]
    else:
        distance = edt(~others, anisotropy=spacing, black_border=False)
        near = distance[voxels] <= tolerance * (1.0 + _SLACK)
    return float(np.count_nonzero(near) / np.count_nonzero(voxels))


def _check_spacing(voxel_size: tuple[float, ...] | None, ndim: int) -> tuple[float, ...]:
    """Return one length for each axis; 2D and 3D only."""
    if ndim not in (2, 3):
        raise RequestError(f"Boundaries are compared in 2D and 3D images, but these have {ndim} axes.")
    if voxel_size is None:
        return (1.0,) * ndim
    if len(voxel_size) != ndim or not all(0.0 < length < np.inf for length in voxel_size):
        raise RequestError(f"The voxel size is {voxel_size}, but must be {ndim} positive lengths, one for each axis.")
    return tuple(float(length) for length in voxel_size)
