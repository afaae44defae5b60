"""Proposals around cells that are settled."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.proposal import around_settled


def test_what_settled_cells_cover_is_not_proposed_again():
    settled = np.array([[[7, 7, 7, 0, 0, 0, 0, 0]]], np.uint32)
    proposed = np.array([[[3, 3, 3, 3, 9, 9, 0, 4]]], np.uint32)
    # 3 has a quarter of its voxels left, so it is 7 once more.
    found = around_settled(proposed, settled)[0, 0]
    assert found[:4].tolist() == [7, 7, 7, 0]
    assert found[4] == found[5] > 7
    assert found[7] > 7
    assert found[7] != found[4]
    assert around_settled(proposed, settled, least_left=0.2)[0, 0, 3] > 7


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_settled_cells_stay_and_names_are_never_shared(seed):
    rng = np.random.default_rng(seed)
    settled = rng.integers(0, 3, (2, 4, 5)).astype(np.uint32) * 5
    proposed = rng.integers(0, 6, (2, 4, 5)).astype(np.uint32)
    found = around_settled(proposed, settled)
    np.testing.assert_array_equal(found[settled > 0], settled[settled > 0])
    new = found[settled == 0]
    assert not set(new[new > 0]) & set(settled[settled > 0])
    for name in set(new[new > 0]):
        (origin,) = set(proposed[found == name])
        assert (found == name).sum() >= 0.5 * (proposed == origin).sum()


def test_wide_names_are_kept():
    settled = np.array([[[2**40, 0, 0]]], np.uint64)
    found = around_settled(np.array([[[0, 1, 1]]], np.uint32), settled)
    assert found.dtype == np.uint64
    assert found[0, 0].tolist() == [2**40, 2**40 + 1, 2**40 + 1]
