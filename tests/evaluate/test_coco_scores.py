from __future__ import annotations

import math

import numpy as np
import pytest

from plantseg_app.errors import InputError
from plantseg_app.evaluate import (
    AreaClasses,
    CocoScores,
    coco_average_precision,
    count_contingency,
    count_layer_contingency,
)


def squares(shift: int) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
    """Six squares of all three area classes; the segmentation has each trimmed a little, and a false one."""
    reference = np.zeros((160, 200), dtype=np.int64)
    segmentation = np.zeros((160, 200), dtype=np.int64)
    boxes = [(4, 4, 10), (4, 30, 24), (4, 80, 36), (50, 4, 60), (50, 80, 100), (4, 140, 8)]
    for number, (y, x, size) in enumerate(boxes, start=1):
        trim = (number * shift) % 5
        reference[y : y + size, x : x + size] = number
        segmentation[y + trim : y + size, x : x + size - trim // 2] = 10 * number
    segmentation[150:158, 0:8] = 70
    return segmentation, reference, {10: 0.9, 20: 0.4, 30: 0.8, 40: 0.7, 50: 0.95, 60: 0.2, 70: 0.6}


# Computed with pycocotools 2.0.11 from the same masks: AP, AP50, AP75, APs, APm, APl.
GOLDEN = {
    100: (0.6879930547999855, 0.9519094766619522, 0.7337204874333588, 0.47231258840169726, 0.7945544554455446, 1.0),
    3: (0.3819141914191419, 0.504950495049505, 0.3894389438943894, 0.20198019801980197, 0.3792079207920792, 1.0),
}


def as_tuple(scores: CocoScores) -> tuple[float, ...]:
    return tuple(vars(scores).values())


@pytest.mark.parametrize("max_detections", [100, 3])
def test_equals_pycocotools(max_detections):
    scenes = [squares(1), squares(3)]
    tables = [count_contingency(segmentation, reference) for segmentation, reference, _ in scenes]
    result = coco_average_precision(tables, [scores for *_, scores in scenes], max_detections=max_detections)
    assert as_tuple(result) == pytest.approx(GOLDEN[max_detections], abs=1e-12)


def test_label_images_and_single_layers_agree():
    segmentation, reference, scores = squares(2)
    flat = coco_average_precision([count_contingency(segmentation, reference)], [scores])
    layered = coco_average_precision([count_layer_contingency(segmentation[None], reference[None])], [scores])
    assert flat == layered


def test_ranking_by_hand():
    reference = np.array([1, 1, 2, 2, 0, 0])
    segmentation = np.array([1, 1, 2, 2, 3, 3])
    table = count_contingency(segmentation, reference)
    # The false one last: precision 1 at every recall. First: at most 2/3 everywhere. Recalls 0 ... 0.5 are 51 of 101.
    assert coco_average_precision([table], [{1: 0.9, 2: 0.8, 3: 0.1}]).ap == 1.0
    assert coco_average_precision([table], [{1: 0.5, 2: 0.4, 3: 0.9}]).ap == pytest.approx(2 / 3)
    middle = (51 * 1 + 50 * 2 / 3) / 101
    assert coco_average_precision([table], [{1: 0.9, 2: 0.1, 3: 0.5}]).ap == pytest.approx(middle)


def test_ranking_runs_over_all_images():
    table = count_contingency(np.array([1, 1, 2]), np.array([1, 1, 0]))
    scores = [{1: 0.9, 2: 0.8}, {1: 0.7, 2: 0.1}]
    # hit, false, hit, false: recall 1/2 with precision 1, recall 1 with precision 2/3.
    assert coco_average_precision([table, table], scores).ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_reference_object_is_found_once():
    table = count_contingency(np.array([1, 1, 1, 2, 2, 2]), np.array([5] * 6))
    result = coco_average_precision([table], [{1: 0.2, 2: 0.9}])
    assert result.ap50 == 1.0
    assert result.ap75 == 0.0


def test_area_classes_ignore_objects_of_other_sizes():
    reference = np.array([1] * 4 + [2] * 20)
    table = count_contingency(np.array([1] * 4 + [0] * 20), reference)
    result = coco_average_precision([table], areas=AreaClasses(medium_from=10, large_from=100))
    assert result.ap_small == 1.0
    assert result.ap_medium == 0.0
    assert math.isnan(result.ap_large)
    assert result.ap == pytest.approx(51 / 101)


def test_empty_images():
    empty, some = np.zeros(4, dtype=int), np.array([0, 3, 3, 0])
    assert math.isnan(coco_average_precision([count_contingency(empty, empty)]).ap)
    assert math.isnan(coco_average_precision([count_contingency(some, empty)]).ap)
    assert coco_average_precision([count_contingency(empty, some)]).ap == 0.0
    found = count_contingency(some, some)
    # An image with nothing but a false detection counts against the others.
    assert coco_average_precision([found, count_contingency(some, empty)], [{3: 0.1}, {3: 0.9}]).ap == 0.5


def test_wrong_scores_are_refused():
    table = count_contingency(np.array([1, 2]), np.array([1, 2]))
    with pytest.raises(InputError, match="at least one"):
        coco_average_precision([])
    with pytest.raises(InputError, match="1 images but 2 sets"):
        coco_average_precision([table], [{1: 0.5, 2: 0.5}, {}])
    with pytest.raises(InputError, match="the first is label 2"):
        coco_average_precision([table], [{1: 0.5}])
    with pytest.raises(InputError, match="NaN or infinite"):
        coco_average_precision([table], [{1: 0.5, 2: math.nan}])


def test_objects_of_the_class_are_preferred_to_better_ones_outside():
    # The segment is exactly the small reference object and 8/10 of the medium one.
    reference = np.array([[[1] * 8 + [0] * 4], [[2] * 10 + [0] * 2]])
    table = count_layer_contingency(np.array([[[7] * 8 + [0] * 4]]), reference)
    result = coco_average_precision([table], areas=AreaClasses(medium_from=9, large_from=90))
    assert result.ap_small == pytest.approx(1.0)
    assert result.ap_medium == pytest.approx(7 / 10)


def test_of_two_equally_good_objects_the_last_is_taken():
    reference = np.array([[[1, 1, 1, 1, 0, 0]], [[0, 0, 2, 2, 2, 2]]])
    segmentation = np.array([[[0, 7, 7, 7, 7, 0]], [[0, 0, 8, 8, 8, 8]]])
    table = count_layer_contingency(segmentation, reference)
    # Segment 7 (IoU 3/5 with both) takes object 2 from segment 8; above 0.6 it takes none and 8 gets it.
    result = coco_average_precision([table], [{7: 0.9, 8: 0.5}])
    assert (result.ap50, result.ap75) == pytest.approx((51 / 101, 51 / 101 / 2))
