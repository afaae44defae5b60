"""Growth over alike voxels against a slow walk by hand, and objects that grow anew from their cores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.growing import depth_within, grow_alike, regrow_from_cores
from plantseg_app.errors import Cancelled


def grow_slowly(embedding, seeds, centres, limit, inside):
    """Return what `grow_alike` promises, one voxel and one neighbour at a time."""
    labels = seeds.copy()
    while True:
        taken = {}
        for place in zip(*np.nonzero((labels == 0) & inside), strict=True):
            for step in itertools.product((-1, 0, 1), repeat=3):
                beside = tuple(p + s for p, s in zip(place, step, strict=True))
                if not all(0 <= p < size for p, size in zip(beside, labels.shape, strict=True)) or not labels[beside]:
                    continue
                name = labels[beside]
                apart = np.linalg.norm(embedding[(slice(None), *place)] - centres[name])
                if apart <= limit and apart < taken.get(place, (np.inf, 0))[0]:
                    taken[place] = (apart, name)
        if not taken:
            return labels
        for place, (_, name) in taken.items():
            labels[place] = name


@given(st.integers(0, 10_000), st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)), st.floats(0.5, 3))
@settings(max_examples=40, deadline=None)
def test_growth_is_that_of_the_slow_walk(seed, shape, limit):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(2, *shape)).astype(np.float32)
    seeds = np.where(rng.random(shape) < 0.15, rng.integers(1, 4, shape), 0).astype(np.uint32)
    centres, inside = rng.normal(size=(4, 2)).astype(np.float32), rng.random(shape) < 0.8
    found = grow_alike(embedding, seeds, centres, limit, inside)
    np.testing.assert_array_equal(found, grow_slowly(embedding, seeds, centres, limit, inside))


def test_no_seeds_and_no_room_are_no_trouble():
    embedding = np.zeros((2, 1, 3, 3), np.float32)
    assert not grow_alike(embedding, np.zeros((1, 3, 3), np.uint32), np.zeros((1, 2)), 1.0).any()
    full = np.ones((1, 3, 3), np.uint32)
    np.testing.assert_array_equal(grow_alike(embedding, full, np.zeros((2, 2)), 1.0), full)


def test_growth_can_be_stopped():
    def stop():
        raise Cancelled("stop")

    seeds = np.zeros((1, 3, 3), np.uint32)
    seeds[0, 0, 0] = 1
    with pytest.raises(Cancelled):
        grow_alike(np.zeros((1, 1, 3, 3), np.float32), seeds, np.zeros((2, 1)), 1.0, check=stop)


def test_lines_between_objects_go_to_the_more_alike_side():
    embedding = np.zeros((1, 1, 9, 12), np.float32)
    embedding[..., 5], embedding[..., 6], embedding[..., 7:] = 1, 3, 4
    labels = np.ones((1, 9, 12), np.uint32)
    labels[..., 5:7], labels[..., 7:] = 2, 3
    grown = regrow_from_cores(labels, embedding, 3.0, alike=2.0)
    assert grown[0, 4].tolist() == [1] * 6 + [2] * 6
    np.testing.assert_array_equal(regrow_from_cores(labels, embedding, 0.0, alike=2.0), labels)


def test_a_net_of_lines_is_no_object_though_it_is_deep_where_lines_meet():
    labels = np.ones((1, 31, 31), np.uint32)
    labels[0, :15, 16:], labels[0, 16:, :15], labels[0, 16:, 16:] = 2, 3, 4
    embedding = labels.astype(np.float32)[None] * 4
    labels[0, 14:16], labels[0, :, 14:16], labels[0, 13:17, 13:17] = 5, 5, 5
    grown = regrow_from_cores(labels, embedding, 3.0, alike=2.0)
    assert grown.max() == 4
    assert depth_within(labels, (1, 1, 1))[labels == 5].max() > 1.5


def test_where_all_is_thin_nothing_changes():
    labels = np.array([[[1, 1, 2, 2]] * 2], np.uint32)
    labels[0, 1] = 3
    np.testing.assert_array_equal(regrow_from_cores(labels, np.zeros((1, 1, 2, 4)), 5.0, alike=1.0), labels)


def test_thickness_counts_the_spacing_and_borders_of_the_image_are_none():
    labels = np.ones((3, 4, 4), np.uint32)
    labels[0] = 2
    depth = depth_within(labels, (2.0, 1.0, 1.0))
    assert depth[1, 0, 0] == 2.0
    assert depth[2, 0, 0] == 4.0
    single = depth_within(np.array([[[1, 1, 1, 2]]], np.uint32), (5.0, 1.0, 1.0))
    assert single[0, 0].tolist()[:3] == [3, 2, 1]
