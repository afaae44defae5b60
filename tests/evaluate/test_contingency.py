from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from plantseg_app.errors import InputError
from plantseg_app.evaluate import contingency
from plantseg_app.evaluate.contingency import Contingency, count_contingency, count_layer_contingency, require_partition

SMALL = hnp.arrays(np.int64, (3, 4, 5), elements=st.integers(0, 4))


def as_dict(table: Contingency) -> dict[tuple[int, int], int]:
    pairs = zip(
        table.reference_ids[table.reference_index].tolist(),
        table.segment_ids[table.segment_index].tolist(),
        table.overlaps.tolist(),
        strict=True,
    )
    return {(reference, segment): count for reference, segment, count in pairs}


def count_by_hand(segmentation: np.ndarray, reference: np.ndarray) -> dict[tuple[int, int], int]:
    return dict(Counter(zip(reference.ravel().tolist(), segmentation.ravel().tolist(), strict=True)))


@given(SMALL, SMALL)
@settings(deadline=None, max_examples=60)
def test_equals_counting_voxel_by_voxel(segmentation, reference):
    table = count_contingency(segmentation, reference)
    assert as_dict(table) == count_by_hand(segmentation, reference)
    assert dict(zip(table.reference_ids.tolist(), table.reference_sizes.tolist(), strict=True)) == Counter(
        reference.ravel().tolist()
    )
    assert dict(zip(table.segment_ids.tolist(), table.segment_sizes.tolist(), strict=True)) == Counter(
        segmentation.ravel().tolist()
    )


@given(SMALL, SMALL)
@settings(deadline=None, max_examples=30)
def test_swapped_is_the_table_of_exchanged_images(segmentation, reference):
    swapped, other = count_contingency(segmentation, reference).swapped(), count_contingency(reference, segmentation)
    for name in ("reference_ids", "segment_ids", "reference_sizes", "segment_sizes", "reference_index", "overlaps"):
        np.testing.assert_array_equal(getattr(swapped, name), getattr(other, name))


@pytest.mark.parametrize("piece", [1, 7, 60, 1000])
def test_pieces_do_not_matter(monkeypatch, piece, tissue):
    whole = as_dict(count_contingency(*tissue))
    monkeypatch.setattr(contingency, "_PIECE_VOXELS", piece)
    assert as_dict(count_contingency(*tissue)) == whole


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda labels: labels[::-1][::-1],
        lambda labels: np.repeat(labels, 2, axis=2)[:, :, ::2],
        lambda labels: labels.astype(">u4"),
        lambda labels: labels.astype(np.uint16),
        lambda labels: labels.transpose(2, 0, 1).copy().transpose(1, 2, 0),
    ],
    ids=["fortran", "flipped", "strided", "big-endian", "uint16", "transposed"],
)
def test_memory_layout_and_type_do_not_matter(layout, tissue):
    segmentation, reference = tissue
    expected = count_by_hand(segmentation, reference)
    assert as_dict(count_contingency(layout(segmentation), layout(reference))) == expected
    assert as_dict(count_contingency(layout(segmentation), reference)) == expected


def test_huge_64_bit_labels_stay_apart():
    top = 2**64 - 1
    segmentation = np.array([top, top, top - 1, 2**63, 0, 2**32], dtype=np.uint64)
    reference = np.array([2**53, 2**53 + 1, 2**53 + 1, 0, top, 1], dtype=np.uint64)
    table = count_contingency(segmentation, reference)
    assert as_dict(table) == count_by_hand(segmentation, reference)
    assert table.objects.segment_ids.tolist() == [2**32, 2**63, top - 1, top]


def test_more_than_seventy_thousand_labels():
    reference = np.arange(80_000, dtype=np.uint32).reshape(2, 200, 200).repeat(2, axis=2)
    segmentation = reference // 2 + 1
    table = count_contingency(segmentation, reference)
    assert table.objects.n_references == 79_999
    assert table.objects.n_segments == 40_000
    assert (table.segment_sizes == 4).all()
    assert (table.overlaps == 2).all()


def test_mask_removes_voxels(tissue):
    segmentation, reference = tissue
    mask = np.zeros(reference.shape, dtype=bool)
    mask[1:4, 3:, ::2] = True
    expected = count_by_hand(segmentation[mask], reference[mask])
    assert as_dict(count_contingency(segmentation, reference, mask=mask)) == expected


def test_objects_leave_background_out_but_keep_sizes():
    objects = count_contingency(np.array([0, 4, 4, 4]), np.array([2, 2, 0, 0])).objects
    assert objects.reference_ids.tolist() == [2]
    assert objects.reference_sizes.tolist() == [2]
    assert objects.segment_sizes.tolist() == [3]
    assert objects.overlaps.tolist() == [1]
    assert objects.iou.tolist() == [1 / 4]
    assert objects.dice.tolist() == [2 / 5]


def test_layers_count_overlapping_voxels_for_each_instance():
    segmentation = np.array([[[1, 1, 1, 0, 0]], [[0, 0, 2, 2, 0]]])
    reference = np.array([[[0, 8, 8, 8, 0]], [[9, 9, 0, 0, 0]], [[0, 0, 0, 0, 0]]])
    table = count_layer_contingency(segmentation, reference)
    assert as_dict(table) == {(8, 1): 2, (8, 2): 2, (9, 1): 2}
    assert table.reference_sizes.tolist() == [3, 2]
    assert table.segment_sizes.tolist() == [3, 2]
    with pytest.raises(InputError, match="may overlap"):
        require_partition(table, "The score")


@given(SMALL, SMALL)
@settings(deadline=None, max_examples=30)
def test_one_layer_equals_the_objects_of_the_label_image(segmentation, reference):
    layered = count_layer_contingency(segmentation[None], reference[None]).objects
    flat = count_contingency(segmentation, reference).objects
    for name in ("reference_ids", "segment_ids", "reference_sizes", "segment_sizes", "iou"):
        np.testing.assert_array_equal(getattr(layered, name), getattr(flat, name))
