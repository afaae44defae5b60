"""Scores of a segmentation against a reference: arrays in, frozen dataclasses out.

``evaluate_labels(segmentation, reference)`` computes the usual scores of two label images at once and
``evaluate_layers`` those of instances that may overlap. Both count once how many voxels each segment shares with each
reference object (`count_contingency`); every metric is a small function of that table and can be called by itself.
`score_images` and `score_layered_images` add the tables of several images up to the scores of a data set.
This package reads no file and knows no voxel size, but for the tolerance of the boundary score.

>>> import numpy as np
>>> reference = np.array([[1, 1, 2, 2], [1, 1, 2, 2]])
>>> segmentation = np.array([[5, 5, 6, 6], [5, 5, 6, 7]])
>>> scores = evaluate_labels(segmentation, reference)
>>> round(scores.adapted_rand_error, 4), scores.dic, scores.ap[0]
(0.1034, 1, ApAtIou(iou=0.5, ap=0.6666666666666666))

============================  ========  ====================================================================
score                         perfect   what it says; how label 0 is treated
============================  ========  ====================================================================
adapted Rand error            0         pairs of voxels put together rightly; voxels with reference label 0
                                        are left out unless ``ignore_reference_background=False``, label 0 of
                                        the segmentation is one segment
VOI split, VOI merge (bits)   0         over- and undersegmentation; label 0 as above
SEG                           1         mean IoU of the reference cells that a segment covers by more than
                                        half; surplus segments cost nothing; 0 is no cell
BD, SBD                       1         mean best Dice in either direction and the smaller of both; 0 is no
                                        cell
DiC                           0         segments minus reference cells; ``|DiC|`` its absolute value
AP at an IoU threshold        1         TP / (TP + FP + FN), one-to-one, IoU at least the threshold; mean AP
                                        is over 0.5, 0.55 ... 0.95; 0 is no cell
AJI                           1         intersections over unions of all cells; 0 is no cell
COCO AP                       1         area under precision and recall of ranked detections
boundary F                    1         boundary voxels with a counterpart within a tolerance; the border
                                        between a cell and 0 is a boundary
foreground Dice               1         all cells against all of 0
============================  ========  ====================================================================

Empty images: if both are empty (all 0) every score is perfect. If only the segmentation is, SEG, SBD, AP and AJI are
0 and the Rand error and VOI follow from their formulas. If only the reference is, SBD, AP and AJI are 0, while SEG,
Rand error and VOI are not defined: NaN, and null in JSON.
"""

from __future__ import annotations

from plantseg_app.evaluate.boundary import BoundaryScore, boundary_f_score, find_label_boundaries
from plantseg_app.evaluate.coco import COCO_AREAS, AreaClasses, CocoScores, coco_average_precision, mean_scores
from plantseg_app.evaluate.contingency import (
    Contingency,
    ObjectOverlaps,
    count_contingency,
    count_layer_contingency,
)
from plantseg_app.evaluate.data_set import (
    LAYERED_IOU_THRESHOLDS,
    ApAtIou,
    DataSetScores,
    score_images,
    score_layered_images,
)
from plantseg_app.evaluate.layers import flatten_layers, prepare_layers
from plantseg_app.evaluate.matching import (
    IOU_THRESHOLDS,
    MatchCounts,
    MatchRow,
    MatchTable,
    average_precision,
    count_matches,
    match_objects,
    mean_average_precision,
)
from plantseg_app.evaluate.objects import (
    BestDice,
    JaccardSums,
    absolute_difference_in_count,
    aggregated_jaccard,
    best_dice,
    difference_in_count,
    seg_score,
    symmetric_best_dice,
)
from plantseg_app.evaluate.partition import (
    AdaptedRand,
    VariationOfInformation,
    adapted_rand,
    foreground_dice,
    variation_of_information,
)
from plantseg_app.evaluate.scores import Scores, evaluate_labels, evaluate_layers, layer_tables, score_tables

__all__ = [
    "COCO_AREAS",
    "IOU_THRESHOLDS",
    "LAYERED_IOU_THRESHOLDS",
    "AdaptedRand",
    "ApAtIou",
    "AreaClasses",
    "BestDice",
    "BoundaryScore",
    "CocoScores",
    "Contingency",
    "DataSetScores",
    "JaccardSums",
    "MatchCounts",
    "MatchRow",
    "MatchTable",
    "ObjectOverlaps",
    "Scores",
    "VariationOfInformation",
    "absolute_difference_in_count",
    "adapted_rand",
    "aggregated_jaccard",
    "average_precision",
    "best_dice",
    "boundary_f_score",
    "coco_average_precision",
    "count_contingency",
    "count_layer_contingency",
    "count_matches",
    "difference_in_count",
    "evaluate_labels",
    "evaluate_layers",
    "find_label_boundaries",
    "flatten_layers",
    "foreground_dice",
    "layer_tables",
    "match_objects",
    "mean_average_precision",
    "mean_scores",
    "prepare_layers",
    "score_images",
    "score_layered_images",
    "score_tables",
    "seg_score",
    "symmetric_best_dice",
    "variation_of_information",
]
