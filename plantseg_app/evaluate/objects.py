"""Scores that compare object with object: SEG, best Dice, difference in count, aggregated Jaccard index.

Background (label 0) is never an object, on either side; an object's size counts all its voxels, also those that
lie over background. All work for overlapping instances too.

>>> import numpy as np
>>> from plantseg_app.evaluate.contingency import count_contingency
>>> table = count_contingency(np.array([1, 1, 1, 2, 0]), np.array([7, 7, 7, 7, 0]))
>>> seg_score(table), symmetric_best_dice(table), difference_in_count(table)
(0.75, 0.6285714285714286, 1)
>>> aggregated_jaccard(table).index
0.6
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import RequestError
from plantseg_app.evaluate.contingency import Contingency, ObjectOverlaps


class BestDice(NamedTuple):
    """Mean best Dice coefficient in both directions, each in [0, 1]."""

    of_segments: float
    of_references: float

    @property
    def symmetric(self) -> float:
        """The smaller of both: symmetric best Dice (SBD)."""
        return min(self.of_segments, self.of_references)


@dataclass(frozen=True)
class JaccardSums:
    """Voxels behind an aggregated Jaccard index; add those of several images for the index of a data set.

    Attributes
    ----------
    intersection
        Voxels shared by the reference objects and the segments chosen for them.
    union
        Voxels of their unions, of reference objects without a segment and of segments never chosen.
    """

    intersection: int
    union: int

    @property
    def index(self) -> float:
        """The aggregated Jaccard index in [0, 1]; 1 when there is no object at all."""
        return self.intersection / self.union if self.union else 1.0

    def __add__(self, other: JaccardSums) -> JaccardSums:
        return JaccardSums(self.intersection + other.intersection, self.union + other.union)


def seg_score(table: Contingency) -> float:
    """Compute SEG of the Cell Tracking Challenge.

    For each reference object the segment that covers more than half of it gives its intersection over union,
    none gives 0; SEG is the mean over the reference objects. Surplus segments cost nothing.

    Returns
    -------
    float
        In [0, 1]. Without any reference object: 1 if there is no segment either, else NaN (not defined).

    References
    ----------
    Maška et al. (2014), A benchmark for comparison of cell tracking algorithms,
    https://doi.org/10.1093/bioinformatics/btu080
    """
    objects = table.objects
    if objects.n_references == 0:
        return 1.0 if objects.n_segments == 0 else math.nan
    covered = 2 * objects.overlaps > objects.reference_sizes[objects.reference_index]
    # Only overlapping segments can cover more than half of one object at once; then the best counts.
    best = _best(objects.reference_index[covered], objects.iou[covered], objects.n_references)
    return float(best.mean())


def best_dice(table: Contingency) -> BestDice:
    """Compute the mean over all objects of one image of the best Dice coefficient with an object of the other.

    Returns
    -------
    BestDice
        ``of_segments`` = BD(segmentation, reference), ``of_references`` = BD(reference, segmentation). Both are 1
        when both images are empty and 0 when one is.

    References
    ----------
    Scharr et al. (2016), Leaf segmentation in plant phenotyping: a collation study,
    https://doi.org/10.1007/s00138-015-0737-3
    """
    objects = table.objects
    if objects.n_references == 0 or objects.n_segments == 0:
        score = 1.0 if objects.n_references == objects.n_segments else 0.0
        return BestDice(score, score)
    return BestDice(
        of_segments=float(_best(objects.segment_index, objects.dice, objects.n_segments).mean()),
        of_references=float(_best(objects.reference_index, objects.dice, objects.n_references).mean()),
    )


def symmetric_best_dice(table: Contingency) -> float:
    """Compute SBD, the smaller of the two directions of `best_dice`, in [0, 1]."""
    return best_dice(table).symmetric


def difference_in_count(table: Contingency) -> int:
    """Compute DiC, the number of segments minus the number of reference objects."""
    return table.objects.n_segments - table.objects.n_references


def absolute_difference_in_count(table: Contingency) -> int:
    """Compute :math:`|DiC|`; the literature averages this one over images."""
    return abs(difference_in_count(table))


def aggregated_jaccard(table: Contingency, *, choose_by: Literal["iou", "overlap"] = "iou") -> JaccardSums:
    """Compute the sums of the aggregated Jaccard index (AJI); ``.index`` is the index itself.

    Each reference object chooses a segment; the same segment may be chosen more than once. The index is the sum of
    the intersections over the sum of the unions; a reference object that meets no segment adds its size to the
    latter, and so does a segment that is never chosen.

    Parameters
    ----------
    table
        Of label images or layered instances.
    choose_by
        ``"iou"``: the segment of greatest intersection over union (Kumar et al.). ``"overlap"``: of greatest
        intersection (as published with the layering method). Ties go to the other of the two measures, then to the
        lower label.

    References
    ----------
    Kumar et al. (2017), A dataset and a technique for generalized nuclear segmentation for computational pathology,
    https://doi.org/10.1109/TMI.2017.2677499
    """
    objects = table.objects
    chosen = choose_segments(objects, by=choose_by)
    met = np.zeros(objects.n_references, dtype=np.bool_)
    met[objects.reference_index[chosen]] = True
    used = np.zeros(objects.n_segments, dtype=np.bool_)
    used[objects.segment_index[chosen]] = True
    lonely = int(objects.reference_sizes[~met].sum()) + int(objects.segment_sizes[~used].sum())
    return JaccardSums(int(objects.overlaps[chosen].sum()), int(objects.unions[chosen].sum()) + lonely)


def choose_segments(objects: ObjectOverlaps, *, by: Literal["iou", "overlap"]) -> NDArray[np.int64]:
    """Return for each reference object that meets a segment the place of its best pair, ``(<=R,)`` int64.

    Ties go to the other measure, then to the lower label.
    """
    if by not in ("iou", "overlap"):
        raise RequestError(f'Segments can be chosen by "iou" or "overlap", not by "{by}".')
    first, second = (objects.iou, objects.overlaps) if by == "iou" else (objects.overlaps, objects.iou)
    order = np.lexsort((objects.segment_index, -second, -first, objects.reference_index))
    owner = objects.reference_index[order]
    is_first = np.ones(owner.size, dtype=np.bool_)
    is_first[1:] = owner[1:] != owner[:-1]
    return order[is_first]


def _best(index: NDArray[np.int64], scores: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the greatest score of each object, 0 for those without one."""
    best = np.zeros(length)
    np.maximum.at(best, index, scores)
    return best
