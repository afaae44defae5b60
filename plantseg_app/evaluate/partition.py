"""Scores of a segmentation as a partition of the voxels: adapted Rand error and variation of information.

Both count voxels whose reference label is 0 only when asked to (``ignore_reference_background=False``). Leaving
them out is what PlantSeg's own evaluation, the SNEMI3D and CREMI challenges and scikit-image's
`adapted_rand_error` do: reference 0 means "not annotated" or "outside the tissue", and one huge background would
drown all cells. Label 0 of the *segmentation* is counted like any other segment, so that leaving a difficult
region unlabelled never improves a score.

>>> import numpy as np
>>> from plantseg_app.evaluate.contingency import count_contingency
>>> table = count_contingency(np.array([1, 1, 2, 2]), np.array([7, 7, 7, 7]))
>>> adapted_rand(table)
AdaptedRand(error=0.33333333333333337, precision=1.0, recall=0.5)
>>> variation_of_information(table)
VariationOfInformation(split=1.0, merge=0.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from plantseg_app.evaluate.contingency import Contingency, require_partition

_Score = TypeVar("_Score")


class AdaptedRand(NamedTuple):
    """Adapted Rand error (0 is perfect) with its precision (falls with merges) and recall (falls with splits)."""

    error: float
    precision: float
    recall: float


class VariationOfInformation(NamedTuple):
    """Conditional entropies in bits (0 is perfect): split rises with over-, merge with undersegmentation."""

    split: float
    merge: float

    @property
    def total(self) -> float:
        """Sum of both, the variation of information."""
        return self.split + self.merge


class _Counts(NamedTuple):
    """The counted voxels: of each pair, and of the segment and the reference object of each pair."""

    joint: NDArray[np.float64]
    segment_sizes: NDArray[np.float64]
    reference_sizes: NDArray[np.float64]
    segment_index: NDArray[np.int64]
    reference_index: NDArray[np.int64]


def adapted_rand(table: Contingency, *, ignore_reference_background: bool = True) -> AdaptedRand:
    r"""Compute the adapted Rand error, :math:`1 - 2PR / (P + R)`.

    With :math:`n_{ij}` voxels shared by segment i and reference object j,
    :math:`P = \sum n_{ij}^2 / \sum s_i^2` and :math:`R = \sum n_{ij}^2 / \sum g_j^2`, where s and g are the sums of
    the table's rows and columns. Pairs of a voxel with itself are counted, as in CREMI and elf (scikit-image
    subtracts them, which matters only for objects of a few voxels).

    Parameters
    ----------
    table
        Of two label images.
    ignore_reference_background
        Leave out the voxels with reference label 0. Label 0 of the segmentation counts as one segment.

    Returns
    -------
    AdaptedRand
        Each in [0, 1]. When no voxel is counted: no error if the segmentation is empty as well, else NaN.

    References
    ----------
    Arganda-Carreras et al. (2015), Crowdsourcing the creation of image segmentation algorithms for connectomics,
    https://doi.org/10.3389/fnana.2015.00142
    """
    require_partition(table, "The adapted Rand error")
    counts = _counted(table, ignore_reference_background)
    if counts.joint.size == 0:
        return _nothing_counted(table, AdaptedRand(0.0, 1.0, 1.0), AdaptedRand(math.nan, math.nan, math.nan))
    together = float(counts.joint @ counts.joint)
    in_segments = float(counts.segment_sizes @ counts.segment_sizes)
    in_references = float(counts.reference_sizes @ counts.reference_sizes)
    # The same as 1 - 2PR / (P + R), without its rounding; a perfect result must be exactly 0.
    error = max(0.0, 1.0 - 2.0 * together / (in_segments + in_references))
    return AdaptedRand(error, together / in_segments, together / in_references)


def variation_of_information(table: Contingency, *, ignore_reference_background: bool = True) -> VariationOfInformation:
    """Compute the variation of information: split = H(segmentation | reference), merge = H(reference | segmentation).

    Parameters
    ----------
    table
        Of two label images.
    ignore_reference_background
        Leave out the voxels with reference label 0. Label 0 of the segmentation counts as one segment.

    Returns
    -------
    VariationOfInformation
        In bits, each at least 0. When no voxel is counted: 0 if the segmentation is empty as well, else NaN.

    References
    ----------
    Meila (2007), Comparing clusterings: an information based distance,
    https://doi.org/10.1016/j.jmva.2006.11.013
    """
    require_partition(table, "The variation of information")
    counts = _counted(table, ignore_reference_background)
    if counts.joint.size == 0:
        return _nothing_counted(table, VariationOfInformation(0.0, 0.0), VariationOfInformation(math.nan, math.nan))
    share = counts.joint / counts.joint.sum()
    split = float(share @ np.log2(counts.reference_sizes[counts.reference_index] / counts.joint))
    merge = float(share @ np.log2(counts.segment_sizes[counts.segment_index] / counts.joint))
    return VariationOfInformation(split, merge)


def foreground_dice(table: Contingency) -> float:
    """Compute the Dice coefficient of the foregrounds (all labels but 0).

    Returns
    -------
    float
        In [0, 1]; 1 when both images are empty.
    """
    require_partition(table, "The foreground Dice coefficient")
    objects = table.objects
    size = int(objects.reference_sizes.sum() + objects.segment_sizes.sum())
    return 2.0 * int(objects.overlaps.sum()) / size if size else 1.0


def _counted(table: Contingency, ignore_reference_background: bool) -> _Counts:
    """Return the part of the table that counts, in float64 because squares of counts overflow 64-bit integers."""
    keep = np.ones(table.overlaps.size, dtype=np.bool_)
    if ignore_reference_background:
        keep = table.reference_ids[table.reference_index] != 0
    joint = table.overlaps[keep].astype(np.float64)
    segment_index, reference_index = table.segment_index[keep], table.reference_index[keep]
    return _Counts(
        joint=joint,
        segment_sizes=_sum_by(segment_index, joint, len(table.segment_ids)),
        reference_sizes=_sum_by(reference_index, joint, len(table.reference_ids)),
        segment_index=segment_index,
        reference_index=reference_index,
    )


def _sum_by(index: NDArray[np.int64], counts: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    return np.asarray(np.bincount(index, weights=counts, minlength=length), dtype=np.float64)


def _nothing_counted(table: Contingency, perfect: _Score, undefined: _Score) -> _Score:
    """Return the perfect score when both images are empty, the undefined one when only the reference is."""
    return undefined if table.objects.n_segments else perfect
