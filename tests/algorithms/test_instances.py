"""From embeddings to objects: foreground, background, small things, pieces, frames, confidence."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.instances import (
    ByMeanShift,
    InstanceRules,
    confidence_map,
    find_instances,
    instance_confidence,
)


@pytest.fixture
def scene():
    """Two objects of 20 pixels that touch, a speck of 2, and background."""
    labels = np.zeros((1, 10, 12), np.uint32)
    labels[0, 2:7, 1:5], labels[0, 2:7, 5:9], labels[0, 2:4, 9] = 1, 2, 3
    values = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    return labels, np.moveaxis(values[labels], -1, 0)


def test_the_foreground_is_clustered_and_the_rest_is_background(scene):
    labels, embedding = scene
    found = find_instances(embedding, labels > 0, ByMeanShift(), InstanceRules(min_size=1))
    assert found.max() == 3
    np.testing.assert_array_equal(found > 0, labels > 0)
    for name in (1, 2, 3):
        assert len(np.unique(found[labels == name])) == 1


def test_without_a_foreground_the_largest_cluster_is_background(scene):
    labels, embedding = scene
    found = find_instances(embedding, None, ByMeanShift(), InstanceRules(min_size=1))
    np.testing.assert_array_equal(found > 0, labels > 0)


def test_small_objects_vanish_and_their_foreground_goes_to_neighbours_when_asked(scene):
    labels, embedding = scene
    dropped = find_instances(embedding, labels > 0, ByMeanShift(), InstanceRules(min_size=5))
    filled = find_instances(embedding, labels > 0, ByMeanShift(), InstanceRules(min_size=5, fills_foreground=True))
    assert dropped.max() == filled.max() == 2
    assert not dropped[labels == 3].any()
    assert (filled[labels == 3] == filled[0, 3, 8]).all()


def test_an_object_all_of_whose_pieces_vanish_is_kept_as_one():
    embedding = np.arange(12, dtype=np.float32).reshape(1, 1, 1, 12)
    inside = np.ones((1, 1, 12), bool)
    inside[..., 7] = False
    found = find_instances(embedding, inside, ByMeanShift(), InstanceRules(min_size=5, fills_foreground=True))
    assert found[0, 0].tolist() == [1] * 7 + [0] * 5
    assert not find_instances(embedding, inside, ByMeanShift(), InstanceRules(min_size=5)).any()


def test_pieces_are_split_when_asked():
    embedding = np.zeros((1, 1, 3, 9), np.float32)
    inside = np.ones((1, 3, 9), bool)
    inside[..., 4] = False
    assert find_instances(embedding, inside, ByMeanShift(), InstanceRules(min_size=1)).max() == 1
    assert find_instances(embedding, inside, ByMeanShift(), InstanceRules(min_size=1, splits=True)).max() == 2


def test_slices_can_be_clustered_by_themselves():
    embedding = np.zeros((1, 2, 3, 3), np.float32)
    inside = np.ones((2, 3, 3), bool)
    assert find_instances(embedding, inside, ByMeanShift(), InstanceRules(min_size=1)).max() == 1
    assert find_instances(embedding, inside, ByMeanShift(), InstanceRules(min_size=1, by_slice=True)).max() == 2
    assert (
        find_instances(
            embedding, inside, ByMeanShift(), InstanceRules(min_size=1, by_slice=True, links_slices=True)
        ).max()
        == 1
    )


def test_pieces_that_touch_are_joined_when_their_embeddings_are_close(scene):
    labels, embedding = scene
    pieces = embedding.copy()
    pieces[0][labels == 1] = np.resize([1.0, 0.4], (labels == 1).sum())
    apart = find_instances(pieces, labels > 0, ByMeanShift(), InstanceRules(min_size=1))
    joined = find_instances(pieces, labels > 0, ByMeanShift(), InstanceRules(min_size=1, join_distance=0.65))
    assert len(np.unique(apart[labels == 1])) == 2
    assert len(np.unique(joined[labels == 1])) == 1
    assert joined.max() == 3


def test_no_foreground_gives_no_object():
    assert not find_instances(
        np.ones((2, 1, 4, 4), np.float32), np.zeros((1, 4, 4), bool), ByMeanShift(), InstanceRules()
    ).any()


def test_tight_objects_are_surer_than_loose_ones(scene):
    labels, embedding = scene
    embedding = embedding.copy()
    embedding[2, labels == 2] += np.tile([0.1, -0.1], 10)
    confidence = instance_confidence(embedding, labels, 0.5)
    assert confidence[0] == 0
    assert confidence[1] == pytest.approx(1)
    assert confidence[2] == pytest.approx(1 - 0.1 / 0.5)
    shown = confidence_map(labels, confidence)
    assert shown[0, 3, 6] == pytest.approx(0.8)
    assert shown[labels == 0].max() == 0
