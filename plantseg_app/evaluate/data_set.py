"""Scores of many images taken together: objects are counted over all of them, so that each object weighs the same.

>>> import numpy as np
>>> from plantseg_app.evaluate.contingency import count_layer_contingency
>>> worms, half = np.array([[[1, 1, 0, 0]], [[0, 2, 2, 2]]]), np.array([[[1, 1, 0, 0]], [[0, 0, 0, 2]]])
>>> both = [count_layer_contingency(worms, worms), count_layer_contingency(half, worms)]
>>> scores = score_layered_images(both)
>>> scores.n_images, scores.ap[0], round(scores.aji, 3)
(2, ApAtIou(iou=0.5, ap=0.75), 0.8)
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from plantseg_app.errors import RequestError
from plantseg_app.evaluate.contingency import Contingency
from plantseg_app.evaluate.matching import IOU_THRESHOLDS, Matching, count_matches
from plantseg_app.evaluate.objects import aggregated_jaccard

LAYERED_IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Intersections over union of the mean average precision in the publication of the layering method."""


class ApAtIou(NamedTuple):
    """Average precision at one threshold of the intersection over union."""

    iou: float
    ap: float


@dataclass(frozen=True)
class DataSetScores:
    """Scores of a data set.

    Attributes
    ----------
    ap
        TP / (TP + FP + FN) in [0, 1] at each IoU threshold, matches of all images added up.
    mean_ap
        Mean of ``ap``.
    aji
        Aggregated Jaccard index in [0, 1], areas of all images added up.
    n_images, n_segmented, n_reference
        Numbers of images and of objects.
    """

    ap: tuple[ApAtIou, ...]
    mean_ap: float
    aji: float
    n_images: int
    n_segmented: int
    n_reference: int

    def to_json_dict(self) -> dict[str, Any]:
        """Return the scores as plain values for ``json.dumps``: the field names as keys."""
        return {**vars(self), "ap": [entry._asdict() for entry in self.ap]}


def score_images(tables: Sequence[Contingency]) -> DataSetScores:
    """Score label images, one table each: one-to-one matches at IoU 0.5, 0.55 ... 0.95, AJI of Kumar et al.

    Raises
    ------
    RequestError
        When there is no table.
    """
    return _score(tables, IOU_THRESHOLDS, "optimal", "iou")


def score_layered_images(tables: Sequence[Contingency]) -> DataSetScores:
    """Score instances that may overlap, one table an image, as the layering method was: IoU 0.5, 0.6 ... 0.9.

    Every true object takes the segment of greatest intersection, perhaps one already taken, and is found if their IoU
    reaches the threshold; a segment that nobody took is a false positive. AJI uses the same matches.

    Raises
    ------
    RequestError
        When there is no table.

    References
    ----------
    Chen, Wu and Merhof, BMVC 2022, section 3.2.
    """
    return _score(tables, LAYERED_IOU_THRESHOLDS, "overlap", "overlap")


def _score(
    tables: Sequence[Contingency], thresholds: Sequence[float], matching: Matching, choose_by: Literal["iou", "overlap"]
) -> DataSetScores:
    if not tables:
        raise RequestError("There is no image to score; give at least one.")
    ap = tuple(
        ApAtIou(
            iou,
            functools.reduce(
                operator.add, (count_matches(table, iou, matching=matching) for table in tables)
            ).average_precision,
        )
        for iou in thresholds
    )
    sums = functools.reduce(operator.add, (aggregated_jaccard(table, choose_by=choose_by) for table in tables))
    return DataSetScores(
        ap=ap,
        mean_ap=math.fsum(entry.ap for entry in ap) / len(ap),
        aji=sums.index,
        n_images=len(tables),
        n_segmented=sum(table.objects.n_segments for table in tables),
        n_reference=sum(table.objects.n_references for table in tables),
    )
