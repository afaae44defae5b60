from __future__ import annotations

import math
import warnings
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import adapted_rand_error as skimage_rand
from skimage.metrics import variation_of_information as skimage_voi

from plantseg_app.errors import InputError
from plantseg_app.evaluate import (
    adapted_rand,
    count_contingency,
    count_layer_contingency,
    foreground_dice,
    variation_of_information,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from elf.evaluation import dice_score, rand_index
    from elf.evaluation import variation_of_information as elf_voi

LABELS = hnp.arrays(np.uint32, (4, 6), elements=st.integers(0, 3))

# 10 voxels; shared voxels (reference, segment): (1,1) 3, (1,2) 1, (2,2) 4, (0,2) 1, (0,3) 1.
REFERENCE = np.array([1, 1, 1, 1, 2, 2, 2, 2, 0, 0])
SEGMENTATION = np.array([1, 1, 1, 2, 2, 2, 2, 2, 2, 3])


def test_adapted_rand_by_hand():
    # Without reference 0: sum n^2 = 9 + 1 + 16 = 26; segments 3 and 5: 34; references 4 and 4: 32.
    rand = adapted_rand(count_contingency(SEGMENTATION, REFERENCE))
    assert rand.precision == 26 / 34
    assert rand.recall == 26 / 32
    assert rand.error == pytest.approx(1 - 2 * 26 / (34 + 32), abs=1e-15)
    # With it: 26 + 1 + 1 = 28; segments 3, 6, 1: 46; references 4, 4, 2: 36.
    rand = adapted_rand(count_contingency(SEGMENTATION, REFERENCE), ignore_reference_background=False)
    assert (rand.precision, rand.recall) == (28 / 46, 28 / 36)
    assert rand.error == pytest.approx(1 - 2 * 28 / (46 + 36), abs=1e-15)


def test_variation_of_information_by_hand():
    # Without reference 0: split = 4/8 H(3/4, 1/4), merge = 5/8 H(1/5, 4/5).
    split = 0.5 * (0.75 * math.log2(4 / 3) + 0.25 * 2)
    merge = 5 / 8 * (0.2 * math.log2(5) + 0.8 * math.log2(5 / 4))
    voi = variation_of_information(count_contingency(SEGMENTATION, REFERENCE))
    assert voi == pytest.approx((split, merge), abs=1e-14)
    assert voi.total == voi.split + voi.merge


def test_background_of_the_segmentation_is_one_segment():
    reference, segmentation = np.array([1, 1, 2, 2]), np.array([0, 0, 0, 0])
    assert adapted_rand(count_contingency(segmentation, reference)) == (pytest.approx(1 / 3), 0.5, 1.0)
    assert variation_of_information(count_contingency(segmentation, reference)) == (0.0, 1.0)


def rand_by_pairs(segmentation: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Precision and recall over all ordered pairs of voxels, each with itself included."""
    n = segmentation.size
    together = same_segment = same_reference = n
    for i, j in combinations(range(n), 2):
        segment, object_ = segmentation[i] == segmentation[j], reference[i] == reference[j]
        together += 2 * (segment and object_)
        same_segment += 2 * segment
        same_reference += 2 * object_
    return together / same_segment, together / same_reference


@given(LABELS, LABELS)
@settings(deadline=None, max_examples=25)
def test_adapted_rand_equals_counting_pairs_of_voxels(segmentation, reference):
    table = count_contingency(segmentation, reference)
    rand = adapted_rand(table, ignore_reference_background=False)
    assert rand[1:] == pytest.approx(rand_by_pairs(segmentation.ravel(), reference.ravel()))
    inside = reference > 0
    if inside.any():
        assert adapted_rand(table)[1:] == pytest.approx(rand_by_pairs(segmentation[inside], reference[inside]))


@pytest.mark.parametrize("ignore", [True, False])
def test_equals_elf(tissue, ignore):
    segmentation, reference = (labels.astype(np.uint32) for labels in tissue)
    table = count_contingency(segmentation, reference)
    labels = [0] if ignore else None
    expected = rand_index(segmentation, reference, ignore_gt=labels)[0]
    assert adapted_rand(table, ignore_reference_background=ignore).error == pytest.approx(expected, abs=1e-12)
    expected = elf_voi(segmentation, reference, ignore_gt=labels)
    assert variation_of_information(table, ignore_reference_background=ignore) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ignore", [True, False])
def test_equals_scikit_image(tissue, ignore):
    segmentation, reference = tissue
    if not ignore:
        expected = skimage_voi(reference, segmentation)
        table = count_contingency(segmentation, reference)
        assert variation_of_information(table, ignore_reference_background=False) == pytest.approx(expected, abs=1e-12)
    # It leaves out the pairs of a voxel with itself; on enlarged voxels these no longer matter.
    segmentation, reference = np.repeat(segmentation, 500, axis=0), np.repeat(reference, 500, axis=0)
    expected = skimage_rand(reference, segmentation, ignore_labels=(0,) if ignore else ())[0]
    table = count_contingency(segmentation, reference)
    assert adapted_rand(table, ignore_reference_background=ignore).error == pytest.approx(expected, abs=2e-5)


def test_foreground_dice_equals_elf_and_hand(tissue):
    segmentation, reference = tissue
    expected = dice_score(segmentation, reference)
    assert foreground_dice(count_contingency(segmentation, reference)) == pytest.approx(expected, abs=1e-7)
    assert foreground_dice(count_contingency(SEGMENTATION, REFERENCE)) == 2 * 8 / (10 + 8)
    empty = np.zeros(4, dtype=int)
    assert foreground_dice(count_contingency(empty, empty)) == 1.0


@given(LABELS)
@settings(deadline=None, max_examples=30)
def test_identical_images_are_perfect(labels):
    table = count_contingency(labels * 5, labels)
    for ignore in (True, False):
        assert adapted_rand(table, ignore_reference_background=ignore) == (0.0, 1.0, 1.0)
        assert variation_of_information(table, ignore_reference_background=ignore) == (0.0, 0.0)


@given(LABELS, LABELS)
@settings(deadline=None, max_examples=30)
def test_exchanging_the_images_exchanges_split_and_merge(segmentation, reference):
    table = count_contingency(segmentation, reference)
    voi = variation_of_information(table, ignore_reference_background=False)
    rand = adapted_rand(table, ignore_reference_background=False)
    swapped = variation_of_information(table.swapped(), ignore_reference_background=False)
    assert (swapped.split, swapped.merge) == pytest.approx((voi.merge, voi.split), abs=1e-12)
    other = adapted_rand(table.swapped(), ignore_reference_background=False)
    assert (other.error, other.precision, other.recall) == pytest.approx((rand.error, rand.recall, rand.precision))


@given(LABELS, LABELS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_scores_are_in_range_and_do_not_depend_on_numbers_or_places(segmentation, reference, random):
    table = count_contingency(segmentation, reference)
    numbers = [0, *random.sample(range(1, 2**40), 3)]
    order = list(range(reference.size))
    random.shuffle(order)
    moved = count_contingency(np.array(numbers)[segmentation].ravel()[order], reference.ravel()[order])
    rand, voi = adapted_rand(table), variation_of_information(table)
    assert adapted_rand(moved) == pytest.approx(rand, nan_ok=True)
    assert variation_of_information(moved) == pytest.approx(voi, abs=1e-12, nan_ok=True)
    if reference.any():
        assert all(0 <= value <= 1 for value in rand)
        assert min(voi) >= 0


def test_splitting_lowers_recall_and_merging_lowers_precision():
    reference = np.repeat([1, 2], 8)
    split, merged = np.repeat([1, 2, 3, 4], 4), np.ones(16, dtype=int)
    rand = adapted_rand(count_contingency(split, reference))
    assert (rand.precision, rand.recall) == (1.0, 0.5)
    rand = adapted_rand(count_contingency(merged, reference))
    assert (rand.precision, rand.recall) == (0.5, 1.0)
    assert variation_of_information(count_contingency(split, reference)) == (1.0, 0.0)
    assert variation_of_information(count_contingency(merged, reference)) == (0.0, 1.0)


def test_empty_reference_is_undefined_unless_both_are_empty():
    empty, one = np.zeros(4, dtype=int), np.array([0, 1, 1, 0])
    assert adapted_rand(count_contingency(empty, empty)).error == 0.0
    assert variation_of_information(count_contingency(empty, empty)) == (0.0, 0.0)
    table = count_contingency(one, empty)
    assert math.isnan(adapted_rand(table).error)
    assert math.isnan(variation_of_information(table).total)
    assert adapted_rand(table, ignore_reference_background=False).error == pytest.approx(1 - 2 * 8 / (8 + 16))


def test_partition_scores_refuse_overlapping_instances():
    table = count_layer_contingency(np.ones((1, 2, 2), dtype=int), np.ones((1, 2, 2), dtype=int))
    for score in (adapted_rand, variation_of_information, foreground_dice):
        with pytest.raises(InputError, match="flatten_layers"):
            score(table)


def test_squares_of_large_objects_do_not_overflow():
    size = 2**33
    table = count_contingency(np.array([1, 2]), np.array([1, 2]))
    for sizes in (table.reference_sizes, table.segment_sizes, table.overlaps):
        sizes *= size
    assert adapted_rand(table).error == 0.0
