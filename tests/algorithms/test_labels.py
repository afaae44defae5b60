"""Repair of segmentations: hand-made cases, invariants, names beyond 32 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.segmentation import expand_labels as skimage_expand

from plantseg_app.algorithms.label_shapes import expand_labels, smooth_labels
from plantseg_app.algorithms.labels import (
    drop_small,
    fill_holes,
    keep_foreground,
    largest_to_background,
    merge_small,
    number_consecutively,
    split_components,
)

HUGE = 2**40
some_shapes = st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8))
some_labels = arrays(np.uint64, some_shapes, elements=st.sampled_from([0, 3, 9, HUGE]))


@given(labels=some_labels, min_size=st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_dropping_keeps_exactly_the_large(labels: np.ndarray, min_size: int) -> None:
    dropped = drop_small(labels, min_size)
    for label in np.unique(labels[labels > 0]):
        expected = (labels == label) if (labels == label).sum() >= min_size else np.zeros(labels.shape, bool)
        assert np.array_equal(dropped == label, expected)


@given(labels=some_labels, min_size=st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_merging_moves_no_background_and_invents_no_name(labels: np.ndarray, min_size: int) -> None:
    merged = merge_small(labels, min_size)
    assert np.array_equal(merged == 0, labels == 0)
    assert set(np.unique(merged)) <= set(np.unique(labels))
    assert merged.dtype == labels.dtype


def test_merging_chooses_by_boundary_or_by_contact() -> None:
    labels = np.zeros((1, 9, 20), np.uint64)
    labels[0, :, :10], labels[0, :, 10:] = 5, HUGE
    labels[0, 3:6, 9:12] = 77
    # Seven faces towards HUGE, five towards 5.
    assert not (merge_small(labels, 20) == 77).any()
    assert merge_small(labels, 20)[0, 4, 10] == HUGE
    boundary = np.zeros(labels.shape, np.float32)
    boundary[0, 2:7, 10:13] = 1.0
    assert merge_small(labels, 20, boundary)[0, 4, 10] == 5


def test_only_holes_within_one_object_are_filled() -> None:
    labels = np.zeros((1, 12, 30), np.uint32)
    labels[0, 1:11, 1:11] = 4
    labels[0, 4:6, 4:6] = 0  # a hole
    labels[0, 1:11, 15:20], labels[0, 1:11, 20:25] = 7, 8
    labels[0, 5, 19:21] = 0  # a space between two objects
    labels[0, 1, 3] = 0  # a notch
    filled = fill_holes(labels)
    assert (filled[0, 4:6, 4:6] == 4).all()
    assert not filled[0, 5, 19:21].any()
    assert filled[0, 1, 3] == 0
    assert (filled != labels).sum() == 4
    assert np.array_equal(fill_holes(labels, max_size=3), labels)


def test_a_tunnel_is_a_hole_only_by_slice() -> None:
    labels = np.full((3, 7, 7), 2, np.uint32)
    labels[:, 3, 3] = 0
    assert np.array_equal(fill_holes(labels), labels)
    assert (fill_holes(labels, by_slice=True) == 2).all()
    labels[0, 3, 3] = labels[2, 3, 3] = 2
    assert (fill_holes(labels) == 2).all()


@given(mask=arrays(bool, st.tuples(st.integers(1, 5), st.integers(3, 7), st.integers(3, 7))))
@settings(max_examples=40, deadline=None)
def test_holes_of_one_object_are_those_of_scipy(mask: np.ndarray) -> None:
    labels = mask.astype(np.uint32) * 6
    for by_slice in (False, True):
        if by_slice or mask.shape[0] == 1:
            expected = np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
        else:
            expected = ndimage.binary_fill_holes(mask)
        assert np.array_equal(fill_holes(labels, by_slice=by_slice) == 6, expected)


def test_relabelling() -> None:
    labels = np.array([[[9, 9, 0, 9, HUGE, 0, 4]]], np.uint64)
    assert number_consecutively(labels).tolist() == [[[2, 2, 0, 2, 3, 0, 1]]]
    parts = split_components(labels)
    assert parts[0, 0, 0] == parts[0, 0, 1] != parts[0, 0, 3]
    assert len(np.unique(parts)) == 5


def test_seventy_thousand_labels_stay_apart() -> None:
    labels = np.arange(1, 75_001, dtype=np.uint32).reshape(1, 250, 300)
    assert np.array_equal(number_consecutively(labels[..., ::-1]), labels[..., ::-1])
    assert len(np.unique(split_components(labels))) == 75_000
    assert np.array_equal(drop_small(labels, 1), labels)


def test_the_largest_object_becomes_background() -> None:
    labels = np.array([[[0, 0, 0, 0, 5, 5, HUGE, HUGE, HUGE]]], np.uint64)
    assert largest_to_background(labels).tolist() == [[[0, 0, 0, 0, 5, 5, 0, 0, 0]]]
    assert not largest_to_background(np.zeros((1, 2, 2), np.uint32)).any()


@pytest.mark.parametrize("depth", [1, 3])
def test_foreground_keeps_what_lies_in_it(depth: int) -> None:
    labels = np.zeros((depth, 4, 9), np.uint32)
    labels[..., :3], labels[..., 3:6] = 70_000, 2
    foreground = np.zeros(labels.shape, np.float32)
    foreground[..., :4] = 1.0
    assert set(np.unique(keep_foreground(labels, foreground, 0.5))) == {0, 70_000}
    assert set(np.unique(keep_foreground(labels, foreground, 0.3))) == {0, 2, 70_000}


def test_smoothing_keeps_every_object_and_fills_every_voxel(make_tissue: Callable[..., Any]) -> None:
    labels = make_tissue((12, 40, 40), 10, seed=1).labels.copy()
    labels[5, 5, 5] = 999  # a single voxel would vanish
    smoothed = smooth_labels(labels, 2.0)
    assert set(np.unique(smoothed)) == set(np.unique(labels))
    assert smoothed[5, 5, 5] == 999
    assert np.array_equal(smooth_labels(labels, 0.0), labels)


def test_smoothing_removes_a_spike() -> None:
    labels = np.ones((1, 20, 40), np.uint64)
    labels[0, :10] = HUGE
    labels[0, 6:10, 20] = 1
    smoothed = smooth_labels(labels, 2.0)
    assert (smoothed[0, :8] == HUGE).all()
    assert (smoothed[0, 12:] == 1).all()


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.5, 50.0])
def test_growing_is_that_of_scikit_image(distance: float) -> None:
    labels = np.zeros((6, 20, 20), np.uint32)
    labels[2, 4, 4], labels[4, 15, 12] = 3, 70_001
    ours = expand_labels(labels, distance, (1, 1, 1))
    theirs = skimage_expand(labels, distance)
    # Voxels just as far from both may go either way.
    assert np.array_equal(ours > 0, theirs > 0)
    assert np.mean(ours == theirs) > 0.97


def test_growing_measures_in_the_voxel_size() -> None:
    labels = np.zeros((7, 7, 7), np.uint32)
    labels[3, 3, 3] = 1
    grown = expand_labels(labels, 0.5, (0.5, 0.25, 0.25))
    assert grown[:, 3, 3].tolist() == [0, 0, 1, 1, 1, 0, 0]
    assert grown[3, 3, :].tolist() == [0, 1, 1, 1, 1, 1, 0]
