"""Clusters that are joined: touching ones with close means, and alike ones wherever they lie."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.merging import join_alike, join_touching, touching_pairs


def test_far_objects_are_not_joined_however_alike():
    labels = np.zeros((1, 5, 9), np.uint32)
    labels[0, :, :2], labels[0, :, 2:4], labels[0, :, 6:] = 1, 2, 3
    embedding = np.choose(labels, [0.0, 0.0, 0.6, 0.7]).astype(np.float32)[None]
    assert join_touching(labels, embedding, 0.65)[0, 0].tolist() == [1, 1, 1, 1, 0, 0, 3, 3, 3]
    assert join_touching(labels, embedding, 0.55)[0, 0].tolist() == [1, 1, 2, 2, 0, 0, 3, 3, 3]


def test_after_a_joining_the_mean_counts():
    labels = np.array([[[1, 1, 1, 2, 3]]], np.uint32)
    embedding = np.array([[[[0, 0, 0, 0.5, 1.0]]]], np.float32)
    # 1 and 2 become one at 0.125, too far from 3.
    assert join_touching(labels, embedding, 0.6)[0, 0].tolist() == [1, 1, 1, 1, 3]
    assert join_touching(labels, embedding, 0.9)[0, 0].tolist() == [1, 1, 1, 1, 1]


def test_touching_pairs_by_hand():
    labels = np.array([[[1, 0, 2], [0, 3, 2], [4, 0, 0]]], np.uint32)
    assert touching_pairs(labels).tolist() == [[1, 3], [2, 3], [3, 4]]


@given(st.integers(0, 10_000), st.floats(0.05, 1.5))
@settings(max_examples=40, deadline=None)
def test_after_joining_no_touching_means_are_close(seed, distance):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 9, (1, 5, 6)).astype(np.uint32)
    embedding = rng.normal(size=(2, 1, 5, 6)).astype(np.float32)
    joined = join_touching(labels, embedding, distance)
    means = {name: embedding[:, joined == name].mean(1) for name in np.unique(joined[joined > 0])}
    for one, other in touching_pairs(joined):
        assert np.linalg.norm(means[one] - means[other]) >= distance - 1e-6
    assert ((joined > 0) == (labels > 0)).all()


def test_alike_objects_are_joined_wherever_they_lie_the_larger_first():
    labels = np.array([[[1, 2, 2, 2, 0, 3, 3]]], np.uint32)
    embedding = np.array([[[[0.9, 0, 0, 0, 7, 1.6, 1.6]]]], np.float32)
    assert join_alike(labels, embedding, 1.0)[0, 0].tolist() == [2, 2, 2, 2, 0, 3, 3]
    # 1 is near to both 2 and 3, and goes to the larger.
    assert join_alike(labels, embedding, 0.95)[0, 0].tolist() == [2, 2, 2, 2, 0, 3, 3]
    assert join_alike(labels, embedding, 0.5)[0, 0].tolist() == [1, 2, 2, 2, 0, 3, 3]
    assert join_alike(labels, embedding, 9.0)[0, 0].tolist() == [2, 2, 2, 2, 0, 2, 2]
