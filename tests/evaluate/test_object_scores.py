from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plantseg_app.errors import RequestError
from plantseg_app.evaluate import (
    absolute_difference_in_count,
    aggregated_jaccard,
    best_dice,
    count_contingency,
    count_layer_contingency,
    difference_in_count,
    seg_score,
    symmetric_best_dice,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from elf.evaluation import symmetric_best_dice_score

LABELS = hnp.arrays(np.int64, (4, 6), elements=st.integers(0, 4))
EMPTY = np.zeros((4, 6), dtype=int)


def masks(labels: np.ndarray) -> list[np.ndarray]:
    return [labels == label for label in np.unique(labels) if label]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def seg_by_masks(segments: list[np.ndarray], references: list[np.ndarray]) -> float:
    values = []
    for reference in references:
        covering = [segment for segment in segments if (segment & reference).sum() > 0.5 * reference.sum()]
        values.append(max((iou(segment, reference) for segment in covering), default=0.0))
    return float(np.mean(values))


def best_dice_by_masks(objects: list[np.ndarray], others: list[np.ndarray]) -> float:
    return float(np.mean([max(dice(one, other) for other in others) for one in objects]))


def aji_by_masks(segments: list[np.ndarray], references: list[np.ndarray], by: str) -> float:
    intersection, union, used = 0, 0, set()
    for reference in references:
        meeting = [n for n, segment in enumerate(segments) if (segment & reference).any()]
        if not meeting:
            union += reference.sum()
            continue
        measures = [(iou(segments[n], reference), (segments[n] & reference).sum()) for n in meeting]
        ranks = [measure if by == "iou" else measure[::-1] for measure in measures]
        chosen = meeting[ranks.index(max(ranks))]
        used.add(chosen)
        intersection += (segments[chosen] & reference).sum()
        union += (segments[chosen] | reference).sum()
    union += sum(segment.sum() for n, segment in enumerate(segments) if n not in used)
    return intersection / union


@given(LABELS, LABELS)
@settings(deadline=None, max_examples=60)
def test_object_scores_equal_comparing_masks(segmentation, reference):
    table = count_contingency(segmentation, reference)
    segments, references = masks(segmentation), masks(reference)
    assert difference_in_count(table) == len(segments) - len(references)
    assert absolute_difference_in_count(table) == abs(len(segments) - len(references))
    if not segments or not references:
        return
    assert seg_score(table) == pytest.approx(seg_by_masks(segments, references))
    assert best_dice(table).of_segments == pytest.approx(best_dice_by_masks(segments, references))
    assert best_dice(table).of_references == pytest.approx(best_dice_by_masks(references, segments))
    assert aggregated_jaccard(table).index == pytest.approx(aji_by_masks(segments, references, "iou"))
    by_overlap = aggregated_jaccard(table, choose_by="overlap").index
    assert by_overlap == pytest.approx(aji_by_masks(segments, references, "overlap"))


@given(hnp.arrays(np.bool_, (3, 4, 5)), hnp.arrays(np.bool_, (4, 4, 5)))
@settings(deadline=None, max_examples=40)
def test_object_scores_of_overlapping_instances_equal_comparing_masks(segments, references):
    segments = [mask for mask in segments if mask.any()]
    references = [mask for mask in references if mask.any()]
    if not segments or not references:
        return
    stacks = [np.stack([mask * (n + 1) for n, mask in enumerate(group)]) for group in (segments, references)]
    table = count_layer_contingency(*stacks)
    assert seg_score(table) == pytest.approx(seg_by_masks(segments, references))
    assert best_dice(table).of_segments == pytest.approx(best_dice_by_masks(segments, references))
    assert best_dice(table).of_references == pytest.approx(best_dice_by_masks(references, segments))
    assert aggregated_jaccard(table).index == pytest.approx(aji_by_masks(segments, references, "iou"))


@given(LABELS, LABELS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_numbers_do_not_matter(segmentation, reference, random):
    table = count_contingency(segmentation, reference)
    shuffled = np.array([0, *random.sample(range(1, 2**50), 4)])
    ascending = np.sort(np.array([0, *random.sample(range(1, 2**50), 4)]))
    moved = count_contingency(shuffled[segmentation], shuffled[reference])
    assert symmetric_best_dice(moved) == pytest.approx(symmetric_best_dice(table))
    assert seg_score(moved) == pytest.approx(seg_score(table), nan_ok=True)
    # Only ties look at the order of the labels.
    moved = count_contingency(ascending[segmentation], ascending[reference])
    assert aggregated_jaccard(moved) == aggregated_jaccard(table)


@given(LABELS)
@settings(deadline=None, max_examples=30)
def test_identical_images_are_perfect(labels):
    table = count_contingency(labels * 3, labels)
    assert seg_score(table) == 1.0
    assert best_dice(table) == (1.0, 1.0)
    assert aggregated_jaccard(table).index == 1.0
    assert difference_in_count(table) == 0


def test_symmetric_best_dice_equals_elf(tissue):
    segmentation, reference = (labels.astype(np.uint32) for labels in tissue)
    expected = symmetric_best_dice_score(segmentation, reference, impl="numpy")
    assert symmetric_best_dice(count_contingency(segmentation, reference)) == pytest.approx(expected, abs=1e-7)
    swapped = best_dice(count_contingency(reference, segmentation))
    assert swapped == best_dice(count_contingency(segmentation, reference))[::-1]


def test_scores_by_hand():
    #  reference  1 1 1 1 2 2 2 0 3 3       segments 5 (5), 6 (2), 7 (2)
    #  segment    5 5 5 0 5 5 6 6 7 7
    reference = np.array([1, 1, 1, 1, 2, 2, 2, 0, 3, 3])
    segmentation = np.array([5, 5, 5, 0, 5, 5, 6, 6, 7, 7])
    table = count_contingency(segmentation, reference)
    # 1: 3 of 4 by segment 5, IoU 3/6; 2: 2 of 3 by segment 5, IoU 2/6; 3: exact.
    assert seg_score(table) == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)
    # Dice 5-1 6/9, 5-2 4/8, 6-2 2/5, 7-3 1.
    assert best_dice(table).of_segments == pytest.approx((2 / 3 + 2 / 5 + 1) / 3)
    assert best_dice(table).of_references == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # 1 and 2 choose segment 5, 3 chooses 7; segment 6 is left over.
    assert aggregated_jaccard(table).intersection == 3 + 2 + 2
    assert aggregated_jaccard(table).union == 6 + 6 + 2 + 2


def test_half_covered_is_not_more_than_half():
    assert seg_score(count_contingency(np.array([1, 1, 2, 2]), np.array([1, 1, 1, 1]))) == 0.0


def test_the_two_rules_of_the_jaccard_index_differ():
    # The reference shares 3 voxels with segment 1 (IoU 3/13) and 2 with segment 2 (IoU 2/5).
    reference = np.array([1] * 5 + [0] * 8)
    segmentation = np.array([1] * 3 + [2] * 2 + [1] * 8)
    table = count_contingency(segmentation, reference)
    assert aggregated_jaccard(table).index == 2 / (5 + 11)
    assert aggregated_jaccard(table, choose_by="overlap").index == 3 / (13 + 2)
    with pytest.raises(RequestError, match='not by "size"'):
        aggregated_jaccard(table, choose_by="size")


def test_jaccard_sums_of_a_data_set_add_up():
    first = aggregated_jaccard(count_contingency(np.array([1, 1, 0]), np.array([1, 1, 1])))
    second = aggregated_jaccard(count_contingency(np.array([2, 2]), np.array([1, 1])))
    assert (first + second).index == (2 + 2) / (3 + 2)


def test_empty_images():
    some = EMPTY.copy()
    some[1:3, 2:4] = 3
    both, no_segment, no_reference = (
        count_contingency(*pair) for pair in ((EMPTY, EMPTY), (EMPTY, some), (some, EMPTY))
    )
    assert (seg_score(both), symmetric_best_dice(both), aggregated_jaccard(both).index) == (1.0, 1.0, 1.0)
    assert (seg_score(no_segment), symmetric_best_dice(no_segment)) == (0.0, 0.0)
    assert aggregated_jaccard(no_segment).index == 0.0
    assert math.isnan(seg_score(no_reference))
    assert symmetric_best_dice(no_reference) == 0.0
    assert aggregated_jaccard(no_reference).index == 0.0
    assert difference_in_count(no_segment) == -1


def test_objects_apart_share_nothing():
    table = count_contingency(np.array([1, 0, 0]), np.array([0, 0, 1]))
    assert (seg_score(table), symmetric_best_dice(table), aggregated_jaccard(table).union) == (0.0, 0.0, 2)
