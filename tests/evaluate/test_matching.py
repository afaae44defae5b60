from __future__ import annotations

import warnings
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from plantseg_app.errors import RequestError
from plantseg_app.evaluate import (
    IOU_THRESHOLDS,
    MatchCounts,
    average_precision,
    count_contingency,
    count_layer_contingency,
    count_matches,
    match_objects,
    mean_average_precision,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from elf.evaluation import matching as elf_matching
    from elf.evaluation import mean_segmentation_accuracy

LABELS = hnp.arrays(np.int64, (4, 6), elements=st.integers(0, 4))
THRESHOLDS = st.sampled_from([0.05, 0.2, 1 / 3, 0.5, 0.6, 0.75, 1.0])


def iou_matrix(segments: list[np.ndarray], references: list[np.ndarray]) -> np.ndarray:
    values = [[(a & b).sum() / (a | b).sum() for a in segments] for b in references]
    return np.array(values).reshape(len(references), len(segments))


def best_assignment(iou: np.ndarray, threshold: float) -> tuple[int, float]:
    """Try every one-to-one assignment: the greatest number of pairs, then the greatest sum of IoU."""
    iou = iou if iou.shape[0] <= iou.shape[1] else iou.T
    best = (0, 0.0)
    for columns in permutations(range(iou.shape[1]), iou.shape[0]):
        values = [iou[row, column] for row, column in enumerate(columns) if iou[row, column] >= threshold]
        best = max(best, (len(values), sum(values)))
    return best


def masks(labels: np.ndarray) -> list[np.ndarray]:
    return [labels == label for label in np.unique(labels) if label]


@given(LABELS, LABELS, THRESHOLDS)
@settings(deadline=None, max_examples=60)
def test_matching_equals_trying_all_assignments(segmentation, reference, threshold):
    table = count_contingency(segmentation, reference)
    iou = iou_matrix(masks(segmentation), masks(reference))
    hits, total = best_assignment(iou, threshold)
    expected = MatchCounts(hits, iou.shape[1] - hits, iou.shape[0] - hits)
    assert count_matches(table, threshold) == expected
    matches = match_objects(table, threshold)
    assert np.count_nonzero(matches.matched) == hits
    assert matches.iou.sum() == pytest.approx(total)
    assert len(matches.missed) == expected.false_negatives
    assert len(matches.surplus) == expected.false_positives


@given(hnp.arrays(np.bool_, (3, 3, 4)), hnp.arrays(np.bool_, (3, 3, 4)), THRESHOLDS)
@settings(deadline=None, max_examples=60)
def test_matching_of_overlapping_instances_equals_trying_all_assignments(segments, references, threshold):
    segments = [mask for mask in segments if mask.any()]
    references = [mask for mask in references if mask.any()]
    if not segments or not references:
        return
    stacks = [np.stack([mask * (n + 1) for n, mask in enumerate(group)]) for group in (segments, references)]
    table = count_layer_contingency(*stacks)
    hits, total = best_assignment(iou_matrix(segments, references), threshold)
    assert count_matches(table, threshold).true_positives == hits
    matches = match_objects(table, threshold)
    assert np.count_nonzero(matches.matched) == hits
    assert matches.iou.sum() == pytest.approx(total)


def test_table_of_objects_lists_each_object_once(tissue):
    segmentation, reference = tissue
    matches = match_objects(count_contingency(segmentation, reference), 0.2)
    assert sorted(label for label in matches.reference.tolist() if label) == np.unique(reference)[1:].tolist()
    assert sorted(label for label in matches.segment.tolist() if label) == np.unique(segmentation)[1:].tolist()
    assert len(list(matches.rows())) == len(matches)
    for row in matches.rows():
        of_reference, of_segment = reference == row.reference, segmentation == row.segment
        assert row.reference_size == (of_reference.sum() if row.reference else 0)
        assert row.segment_size == (of_segment.sum() if row.segment else 0)
        if row.reference and row.segment:
            assert row.overlap == (of_reference & of_segment).sum()
            assert row.iou == row.overlap / (of_reference | of_segment).sum() >= 0.2
        else:
            assert (row.iou, row.overlap) == (0.0, 0)


def test_large_matching_equals_the_dense_solver():
    rng = np.random.default_rng(3)
    reference = np.kron(np.arange(1, 401).reshape(20, 20), np.ones((5, 5), dtype=int))
    segmentation = np.kron(rng.permutation(900).reshape(30, 30) + 1, np.ones((4, 4), dtype=int))[:100, :100]
    table = count_contingency(segmentation, reference)
    iou = np.zeros((table.objects.n_references, table.objects.n_segments))
    iou[table.objects.reference_index, table.objects.segment_index] = table.objects.iou
    rows, columns = linear_sum_assignment((iou >= 0.1) * 1000 + iou * (iou >= 0.1), maximize=True)
    chosen = iou[rows, columns]
    matches = match_objects(table, 0.1)
    assert np.count_nonzero(matches.matched) == np.count_nonzero(chosen >= 0.1)
    assert matches.iou.sum() == pytest.approx(chosen[chosen >= 0.1].sum())


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.55, 0.7])
def test_average_precision_equals_elf(tissue, threshold):
    segmentation, reference = (labels.astype(np.uint32) for labels in tissue)
    counts = count_matches(count_contingency(segmentation, reference), threshold)
    expected = elf_matching(segmentation, reference, threshold=threshold)
    assert counts.average_precision == pytest.approx(expected["segmentation_accuracy"])
    assert (counts.precision, counts.recall) == pytest.approx((expected["precision"], expected["recall"]))
    assert counts.f1 == pytest.approx(expected["f1"])


def test_mean_average_precision_equals_elf(tissue):
    _, reference = tissue
    segmentation = np.roll(reference, 1, axis=2)
    # Its own thresholds come from np.arange, where 0.6000000000000001 refuses the pairs whose IoU is exactly 6/10.
    expected = mean_segmentation_accuracy(
        segmentation.astype(np.uint32), reference.astype(np.uint32), thresholds=list(IOU_THRESHOLDS)
    )
    assert 0.1 < expected < 0.9
    table = count_contingency(segmentation, reference)
    assert mean_average_precision(table) == pytest.approx(expected)
    assert mean_average_precision(table, (0.5, 0.9)) == pytest.approx(
        (average_precision(table, 0.5) + average_precision(table, 0.9)) / 2
    )


def test_precision_falls_with_the_threshold(tissue):
    table = count_contingency(*tissue)
    values = [average_precision(table, iou) for iou in IOU_THRESHOLDS]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("iou", IOU_THRESHOLDS)
def test_an_iou_equal_to_the_threshold_matches_unless_strict(iou):
    reference = np.ones(20, dtype=int)
    segmentation = np.zeros(20, dtype=int)
    segmentation[: round(20 * iou)] = 1
    table = count_contingency(segmentation, reference)
    assert average_precision(table, iou) == 1.0
    assert average_precision(table, iou, strict=True) == 0.0


def test_two_halves_match_once():
    table = count_contingency(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 5]))
    assert count_matches(table, 0.5) == MatchCounts(1, 1, 0)
    assert np.count_nonzero(match_objects(table, 0.5).matched) == 1


def test_overlap_rule_by_hand():
    # Reference 1 takes segment 1 (IoU 2/3), 2 takes segment 2 (IoU 1/5); segment 3 touches no reference.
    segmentation = np.array([1, 1, 0, 2, 0, 0, 2, 2, 3])
    reference = np.array([1, 1, 1, 2, 2, 2, 0, 0, 0])
    table = count_contingency(segmentation, reference)
    assert count_matches(table, 0.5, matching="overlap") == MatchCounts(1, 1, 1)
    assert count_matches(table, 0.5) == MatchCounts(1, 2, 1)
    # One segment may serve two references: AP = TP / (references + segments - taken) = 2 / (2 + 1 - 1).
    pair = np.array([[[1, 1, 1, 1, 0]], [[0, 2, 2, 2, 2]]])
    table = count_layer_contingency(np.array([[[1, 1, 1, 1, 1]]]), pair)
    assert count_matches(table, 0.8, matching="overlap") == MatchCounts(2, 0, 0)
    assert count_matches(table, 0.8) == MatchCounts(1, 0, 1)


def test_counts_of_a_data_set_add_up():
    total = MatchCounts(3, 1, 0) + MatchCounts(1, 0, 3)
    assert total == MatchCounts(4, 1, 3)
    assert (total.average_precision, total.precision, total.recall, total.f1) == (4 / 8, 4 / 5, 4 / 7, 8 / 12)


def test_empty_images():
    empty, some = np.zeros(4, dtype=int), np.array([0, 3, 3, 0])
    both = count_contingency(empty, empty)
    assert count_matches(both, 0.5) == MatchCounts(0, 0, 0)
    assert mean_average_precision(both) == 1.0
    assert count_matches(both, 0.5).f1 == 1.0
    assert len(match_objects(both)) == 0
    for pair, expected in (((empty, some), MatchCounts(0, 0, 1)), ((some, empty), MatchCounts(0, 1, 0))):
        table = count_contingency(*pair)
        assert count_matches(table, 0.5) == expected
        assert count_matches(table, 0.5, matching="overlap") == expected
        assert mean_average_precision(table) == 0.0
        assert [row[:2] for row in match_objects(table).rows()] == [(3, 0) if some is pair[1] else (0, 3)]


@pytest.mark.parametrize("iou", [0.0, -0.1, 1.5, float("nan")])
def test_impossible_thresholds_are_refused(iou):
    table = count_contingency(np.array([1]), np.array([1]))
    with pytest.raises(RequestError, match="above 0 and at most 1"):
        count_matches(table, iou)
    with pytest.raises(RequestError, match="above 0 and at most 1"):
        match_objects(table, iou)


def test_unknown_rules_and_no_thresholds_are_refused():
    table = count_contingency(np.array([1]), np.array([1]))
    with pytest.raises(RequestError, match='not "best"'):
        count_matches(table, 0.5, matching="best")
    with pytest.raises(RequestError, match="at least one"):
        mean_average_precision(table, ())
