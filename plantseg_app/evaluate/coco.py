"""COCO average precision: detections with a confidence, ranked over a whole set of images.

Follows the rules of the COCO evaluation for masks (same numbers as pycocotools): detections of an image are matched
in the order of their scores, each with the free reference object of greatest IoU; precision is made monotone and
sampled at 101 recalls; objects outside the area class are left out on both sides. Knows no image, only
contingency tables.

>>> import numpy as np
>>> from plantseg_app.evaluate.contingency import count_contingency
>>> table = count_contingency(np.array([1, 1, 2, 2, 0, 3]), np.array([7, 7, 8, 8, 0, 0]))
>>> coco_average_precision([table], [{1: 0.9, 2: 0.3, 3: 0.5}]).ap50  # the wrong one ranks second
0.8349834983498351
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError
from plantseg_app.evaluate.contingency import Contingency
from plantseg_app.evaluate.matching import IOU_THRESHOLDS


class AreaClasses(NamedTuple):
    """Limits between small, medium and large objects, in pixels (voxels); a limit belongs to both neighbours."""

    medium_from: float = 32.0**2
    large_from: float = 96.0**2


COCO_AREAS = AreaClasses()
_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class CocoScores:
    """COCO average precisions in [0, 1]; NaN where the reference has no object of that class.

    Attributes
    ----------
    ap
        Mean over the IoU thresholds 0.5, 0.55 ... 0.95.
    ap50, ap75
        At the threshold 0.5 and 0.75.
    ap_small, ap_medium, ap_large
        As ``ap``, of objects of one area class.
    """

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float


class _Image(NamedTuple):
    """One image: areas, and the candidates of each kept detection, best score first."""

    scores: NDArray[np.float64]
    segment_areas: NDArray[np.int64]
    reference_areas: NDArray[np.int64]
    candidates: list[tuple[NDArray[np.int64], NDArray[np.float64]]]


class _Outcome(NamedTuple):
    """What became of an image's detections at one threshold and area class; ignored ones count neither way."""

    scores: NDArray[np.float64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    n_references: int


def coco_average_precision(
    tables: Sequence[Contingency],
    scores: Sequence[Mapping[int, float]] | None = None,
    *,
    max_detections: int = 100,
    areas: AreaClasses = COCO_AREAS,
) -> CocoScores:
    """Compute COCO average precision of a set of images.

    Parameters
    ----------
    tables
        One contingency table an image, of label images or layered instances.
    scores
        For each image the confidence of each segment, ``{label: score}``. Omitted: all equal; then the ranking
        and with it the result depend on the order of the labels, which the literature passes over in silence.
    max_detections
        How many segments of an image count, best scores first. COCO's 100 is few for a large tissue.
    areas
        Limits of the area classes; COCO's are for photographs.

    Raises
    ------
    InputError
        When there is no image, or the scores do not fit the images.

    References
    ----------
    Lin et al. (2014), Microsoft COCO: common objects in context, https://doi.org/10.1007/978-3-319-10602-1_48
    """
    if not tables:
        raise InputError("No image was given; COCO average precision needs at least one.")
    if scores is not None and len(scores) != len(tables):
        raise InputError(f"{len(tables)} images but {len(scores)} sets of scores were given; give one for each image.")
    images = [
        _rank(table, None if scores is None else scores[number], max_detections) for number, table in enumerate(tables)
    ]
    everything = _precision_by_threshold(images, 0.0, math.inf)
    return CocoScores(
        ap=float(np.mean(everything)),
        ap50=everything[0],
        ap75=everything[IOU_THRESHOLDS.index(0.75)],
        ap_small=float(np.mean(_precision_by_threshold(images, 0.0, areas.medium_from))),
        ap_medium=float(np.mean(_precision_by_threshold(images, areas.medium_from, areas.large_from))),
        ap_large=float(np.mean(_precision_by_threshold(images, areas.large_from, math.inf))),
    )


def mean_scores(segmentation: NDArray[Any], confidence: NDArray[Any]) -> dict[int, float]:
    """Return the mean of a map of confidence over each object, ``{label: score}``.

    Parameters
    ----------
    segmentation
        Label image, or layers ``(L, ...)`` of labels unique over all layers; 0 is background.
    confidence
        The map, of the shape of the image or of one layer.

    Raises
    ------
    InputError
        When the shapes differ.
    """
    if segmentation.shape[-confidence.ndim :] != confidence.shape:
        raise InputError(
            f"The map of confidence has shape {confidence.shape} and the segmentation {segmentation.shape}, but they "
            "must be the same."
        )
    labels, where = np.unique(segmentation, return_inverse=True)
    values = np.broadcast_to(confidence, segmentation.shape).ravel()
    sums = np.bincount(where.ravel(), weights=values)
    means = sums / np.bincount(where.ravel())
    return {int(label): float(mean) for label, mean in zip(labels, means, strict=True) if label}


def _rank(table: Contingency, scores: Mapping[int, float] | None, max_detections: int) -> _Image:
    """Return the best detections of one image with their candidate reference objects."""
    objects = table.objects
    confidence = _confidences(objects.segment_ids, scores)
    kept = np.argsort(-confidence, kind="stable")[:max_detections]
    by_segment = np.argsort(objects.segment_index, kind="stable")
    bounds = np.searchsorted(objects.segment_index[by_segment], np.arange(objects.n_segments + 1))
    pairs = [by_segment[bounds[segment] : bounds[segment + 1]] for segment in kept]
    return _Image(
        scores=confidence[kept],
        segment_areas=objects.segment_sizes[kept],
        reference_areas=objects.reference_sizes,
        candidates=[(objects.reference_index[places], objects.iou[places]) for places in pairs],
    )


def _confidences(segment_ids: NDArray[np.uint64], scores: Mapping[int, float] | None) -> NDArray[np.float64]:
    """Return one score for each segment, or say which is missing."""
    if scores is None:
        return np.ones(len(segment_ids))
    missing = [label for label in segment_ids.tolist() if label not in scores]
    if missing:
        raise InputError(f"{len(missing)} segments have no score, the first is label {missing[0]}; give one to each.")
    confidence = np.array([scores[label] for label in segment_ids.tolist()], dtype=np.float64)
    if not np.isfinite(confidence).all():
        raise InputError("A score is NaN or infinite; scores must be finite numbers.")
    return confidence


def _precision_by_threshold(images: Sequence[_Image], smallest: float, largest: float) -> list[float]:
    """Return the interpolated average precision at each IoU threshold for one area class."""
    return [
        _interpolated_precision([_match(image, iou, smallest, largest) for image in images]) for iou in IOU_THRESHOLDS
    ]


def _match(image: _Image, iou: float, smallest: float, largest: float) -> _Outcome:
    """Match detections with reference objects in the order of their scores."""
    outside = (image.reference_areas < smallest) | (image.reference_areas > largest)
    n_detections = len(image.scores)
    hit = np.zeros(n_detections, dtype=np.bool_)
    ignored = (image.segment_areas < smallest) | (image.segment_areas > largest)
    taken = np.zeros(len(outside), dtype=np.bool_)
    for detection, (references, overlaps) in enumerate(image.candidates):
        free = (overlaps >= iou) & ~taken[references]
        if not free.any():
            continue
        # Objects of the class come first, whatever the IoU with the others; of equals the last wins, as in COCO.
        inside = free & ~outside[references]
        free = inside if inside.any() else free
        best = np.flatnonzero(free & (overlaps == overlaps[free].max()))[-1]
        chosen = references[best]
        taken[chosen] = True
        hit[detection] = True
        ignored[detection] = outside[chosen]
    return _Outcome(image.scores, hit, ignored, int(np.count_nonzero(~outside)))


def _interpolated_precision(outcomes: Sequence[_Outcome]) -> float:
    """Return the mean precision at 101 recalls over all images; NaN without a reference object."""
    n_references = sum(outcome.n_references for outcome in outcomes)
    if n_references == 0:
        return math.nan
    order = np.argsort(-np.concatenate([outcome.scores for outcome in outcomes]), kind="stable")
    ignored = np.concatenate([outcome.ignored for outcome in outcomes])[order]
    hit = np.concatenate([outcome.hit for outcome in outcomes])[order][~ignored]
    if hit.size == 0:
        return 0.0
    true_positives = np.cumsum(hit)
    precision = true_positives / np.arange(1, hit.size + 1)
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(true_positives / n_references, _RECALLS, side="left")
    return float(np.append(monotone, 0.0)[places].mean())
