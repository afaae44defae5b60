"""Two segmentations compared: cases by hand, and what must hold for any two."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import InputError
from plantseg_app.run.compare import Change, compare_segmentations


def labels(rows: list[list[int]]) -> Volume:
    return Volume(np.array([rows], np.uint32), Kind.LABELS)


def test_each_sort_of_change():
    first = labels(
        [
            [1, 1, 1, 2, 2, 2, 0, 3, 3, 0],
            [1, 1, 1, 2, 2, 2, 0, 4, 4, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [5, 0, 0, 6, 6, 6, 6, 7, 7, 7],
        ]
    )
    second = labels(
        [
            [8, 8, 8, 9, 9, 10, 0, 11, 11, 0],
            [8, 8, 0, 9, 9, 10, 0, 11, 11, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 12],
            [0, 0, 0, 6, 6, 0, 0, 7, 0, 0],
        ]
    )
    found = compare_segmentations(first, second)
    changes = dict(zip(found.first_ids.tolist(), map(Change, found.first_changes), strict=True))
    assert changes == {
        1: Change.SAME,
        2: Change.SPLIT,
        3: Change.MERGED,
        4: Change.MERGED,
        5: Change.ONLY_FIRST,
        6: Change.SAME,
        7: Change.RESIZED,
    }
    changes = dict(zip(found.second_ids.tolist(), map(Change, found.second_changes), strict=True))
    assert (changes[9], changes[10], changes[11], changes[12]) == (
        Change.SPLIT,
        Change.SPLIT,
        Change.MERGED,
        Change.ONLY_SECOND,
    )
    assert found.sentence == (
        "2 cells are the same, 1 changed size, 1 was split into 2, 2 were merged into 1, 1 is only in the first, "
        "1 is only in the second."
    )
    painted = found.map_of_changes(first, second)
    assert painted[0, 1].tolist() == [1, 1, 1, 3, 3, 3, 0, 4, 4, 0]
    assert painted[0, 2].tolist() == [0] * 9 + [7]
    assert painted[0, 3].tolist() == [6, 0, 0, 1, 1, 1, 1, 2, 2, 2]


def test_cells_that_are_cut_anew():
    found = compare_segmentations(labels([[1, 1, 1, 2, 2, 2]]), labels([[3, 4, 4, 4, 4, 5]]))
    assert set(found.first_changes) == set(found.second_changes) == {Change.MIXED}
    assert found.sentence == "0 cells are the same, 2 were cut anew into 3."


small = arrays.arrays(np.uint32, (2, 4, 5), elements=st.sampled_from([0, 1, 2, 3, 2**31]))


@given(small, small)
def test_the_other_way_round_splits_are_merges(one, other):
    first, second = Volume(one, Kind.LABELS), Volume(other, Kind.LABELS)
    there, back = compare_segmentations(first, second), compare_segmentations(second, first)
    turned = {
        Change.SPLIT: Change.MERGED,
        Change.MERGED: Change.SPLIT,
        Change.ONLY_FIRST: Change.ONLY_SECOND,
        Change.ONLY_SECOND: Change.ONLY_FIRST,
    }
    assert [turned.get(Change(c), Change(c)) for c in there.first_changes] == [Change(c) for c in back.second_changes]
    assert [turned.get(Change(c), Change(c)) for c in there.second_changes] == [Change(c) for c in back.first_changes]
    painted = there.map_of_changes(first, second)
    np.testing.assert_array_equal(painted > 0, (one > 0) | (other > 0))
    for label, change in zip(there.first_ids, there.first_changes, strict=True):
        assert set(painted[one == label]) == {change}


@given(small, st.permutations([0, 1, 2, 3]))
def test_other_numbers_are_no_change(one, order):
    renamed = np.zeros_like(one)
    for new, old in zip(order, [1, 2, 3, 2**31], strict=True):
        renamed[one == old] = new + 10
    found = compare_segmentations(Volume(one, Kind.LABELS), Volume(renamed, Kind.LABELS))
    assert set(found.first_changes) <= {Change.SAME}
    assert set(found.second_changes) <= {Change.SAME}


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="the same image"):
        compare_segmentations(labels([[1, 1]]), labels([[1, 1, 1]]))
    with pytest.raises(InputError, match="raw"):
        compare_segmentations(labels([[1, 1]]), Volume(np.zeros((1, 1, 2)), Kind.RAW))
