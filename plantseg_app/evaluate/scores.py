"""All scores of one segmentation at once, in the form in which they are shown and written.

>>> import numpy as np
>>> scores = evaluate_labels(np.array([[1, 1, 2, 2]]), np.array([[3, 3, 4, 4]]))
>>> scores.adapted_rand_error, scores.mean_ap, scores.n_segmented
(0.0, 1.0, 2)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import RequestError
from plantseg_app.evaluate.contingency import Contingency, count_contingency, count_layer_contingency
from plantseg_app.evaluate.data_set import ApAtIou
from plantseg_app.evaluate.layers import check_same_plane, flatten_layers, prepare_layers
from plantseg_app.evaluate.matching import IOU_THRESHOLDS, average_precision
from plantseg_app.evaluate.objects import aggregated_jaccard, difference_in_count, seg_score, symmetric_best_dice
from plantseg_app.evaluate.partition import adapted_rand, variation_of_information


@dataclass(frozen=True)
class Scores:
    """The scores of one image; see the package's help for what each one means.

    Attributes
    ----------
    adapted_rand_error
        0 is perfect, 1 the worst; NaN when the reference is empty and the segmentation is not.
    voi_split, voi_merge
        Bits, 0 is perfect; NaN in the same case.
    seg
        SEG of the Cell Tracking Challenge in [0, 1]; NaN in the same case.
    sbd
        Symmetric best Dice in [0, 1].
    dic
        Number of segments minus number of reference objects; `absolute_dic` is the one to average.
    ap
        TP / (TP + FP + FN) in [0, 1] at each IoU threshold.
    mean_ap
        Mean of ``ap``.
    aji
        Aggregated Jaccard index in [0, 1].
    n_segmented, n_reference
        Numbers of objects, background not counted.
    """

    adapted_rand_error: float
    voi_split: float
    voi_merge: float
    seg: float
    sbd: float
    dic: int
    ap: tuple[ApAtIou, ...]
    mean_ap: float
    aji: float
    n_segmented: int
    n_reference: int

    @property
    def absolute_dic(self) -> int:
        """Absolute difference in count."""
        return abs(self.dic)

    def to_json_dict(self) -> dict[str, Any]:
        """Return the scores as plain values for ``json.dumps``: the field names as keys, undefined scores as None."""
        values: dict[str, Any] = {name: _plain(value) for name, value in vars(self).items()}
        values["ap"] = [{"iou": entry.iou, "ap": entry.ap} for entry in self.ap]
        return values


def evaluate_labels(
    segmentation: NDArray[Any],
    reference: NDArray[Any],
    *,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    ignore_reference_background: bool = True,
    mask: NDArray[np.bool_] | None = None,
) -> Scores:
    """Score a segmentation against a reference.

    Parameters
    ----------
    segmentation, reference
        Label images of one shape, e.g. ``(Z, Y, X)``, any integer type up to 64 bits (or bool); 0 is background.
    thresholds
        IoU thresholds in (0, 1] of the average precision.
    ignore_reference_background
        Leave the voxels with reference label 0 out of the adapted Rand error and the variation of information.
        The object scores do not depend on it.
    mask
        Where to score, same shape, bool; everywhere when omitted.

    Raises
    ------
    InputError
        When the shapes differ, or an image is empty or holds fractions or negative numbers.
    RequestError
        When a threshold is not allowed or none is given.
    """
    table = count_contingency(segmentation, reference, mask=mask)
    return score_tables(table, table, thresholds, ignore_reference_background)


def evaluate_layers(
    segmentation: NDArray[Any],
    reference: NDArray[Any],
    *,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    ignore_reference_background: bool = True,
) -> Scores:
    """Score instances that may overlap.

    The object scores (SEG, SBD, DiC, AP, AJI) see each instance whole. Adapted Rand error and variation of
    information need a partition: there each combination of instances that cover a voxel counts as one region, which
    is the plain definition wherever nothing overlaps.

    Parameters
    ----------
    segmentation, reference
        Stacks ``(L, Z, Y, X)`` or ``(L, Y, X)`` with layers of one shape; the numbers of layers may differ. Ids are
        unique over all layers, or each layer is a 0/1 mask of one instance.
    thresholds, ignore_reference_background
        As in `evaluate_labels`.

    Raises
    ------
    InputError
        As in `evaluate_labels`, and when an id occurs in two layers.
    """
    return score_tables(*layer_tables(segmentation, reference), thresholds, ignore_reference_background)


def layer_tables(segmentation: NDArray[Any], reference: NDArray[Any]) -> tuple[Contingency, Contingency]:
    """Return the tables of instances that may overlap that `score_tables` takes: of objects, and of regions.

    Parameters and errors as in `evaluate_layers`.
    """
    segmentation = prepare_layers(segmentation, "segmentation")
    reference = prepare_layers(reference, "reference")
    check_same_plane(segmentation, reference)
    flat_segmentation, flat_reference = flatten_layers(segmentation), flatten_layers(reference)
    regions = count_contingency(flat_segmentation.reshape(-1), flat_reference.reshape(-1))
    return count_layer_contingency(segmentation, reference), regions


def score_tables(
    objects: Contingency,
    regions: Contingency,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    ignore_reference_background: bool = True,
) -> Scores:
    """Compute all scores from contingency tables.

    Parameters
    ----------
    objects
        Table for the object scores.
    regions
        Table for adapted Rand error and variation of information; the same one for label images.
    thresholds, ignore_reference_background
        As in `evaluate_labels`.
    """
    if len(thresholds) == 0:
        raise RequestError("No IoU threshold was given; give at least one, for example 0.5.")
    rand = adapted_rand(regions, ignore_reference_background=ignore_reference_background)
    voi = variation_of_information(regions, ignore_reference_background=ignore_reference_background)
    ap = tuple(ApAtIou(float(iou), average_precision(objects, iou)) for iou in thresholds)
    return Scores(
        adapted_rand_error=rand.error,
        voi_split=voi.split,
        voi_merge=voi.merge,
        seg=seg_score(objects),
        sbd=symmetric_best_dice(objects),
        dic=difference_in_count(objects),
        ap=ap,
        mean_ap=math.fsum(entry.ap for entry in ap) / len(ap),
        aji=aggregated_jaccard(objects).index,
        n_segmented=objects.objects.n_segments,
        n_reference=objects.objects.n_references,
    )


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
