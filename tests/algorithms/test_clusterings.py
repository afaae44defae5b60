"""Every clustering on ideal embeddings of tissue with known cells: at least 98 % of the cells come out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from plantseg_app.algorithms.affinity_clustering import ByAffinities, Partition
from plantseg_app.algorithms.angular_clustering import AngleRules, ByAngle
from plantseg_app.algorithms.consistency_clustering import ByConsistency
from plantseg_app.algorithms.density_clustering import ByDensity
from plantseg_app.algorithms.instances import ByMeanShift, InstanceRules, find_instances
from plantseg_app.evaluate.contingency import count_contingency
from plantseg_app.evaluate.matching import count_matches
from plantseg_app.evaluate.partition import adapted_rand

SHAPES = [(1, 130, 140), (20, 48, 48)]
SEPARATION = 4.0


def cells_with_gaps(make_tissue, shape):
    """Return tissue of which a third of the cells are background."""
    labels = make_tissue(shape, cell_size=16, seed=3).labels.astype(np.uint32)
    gaps = np.random.default_rng(3).permutation(int(labels.max()))[: labels.max() // 3] + 1
    labels[np.isin(labels, gaps)] = 0
    # Of a cell that the border of the image cuts, some voxels may be left.
    small = np.flatnonzero(np.bincount(labels.ravel()) < 60)
    labels[np.isin(labels, small)] = 0
    return labels


def apart_in_space(labels, noise=0.1, seed=0):
    """Return what training with pull and push leads to: noisy vectors, those of different objects 4 apart."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(labels.max() + 1, 16))
    vectors *= SEPARATION / np.linalg.norm(vectors, axis=1, keepdims=True)
    values = np.moveaxis(vectors[labels], -1, 0)
    return (values + rng.normal(0, noise, values.shape)).astype(np.float32)


def recovered(labels, found):
    """Return the share of objects that are found to an IoU of 0.75, and how many of the found ones are none."""
    counts = count_matches(count_contingency(found, labels), 0.75)
    return counts.recall, counts.false_positives


CLUSTERINGS = {
    "mean-shift": ByMeanShift(1.0),
    "hdbscan": ByDensity(min_size=40, epsilon=0.5, max_points=1500),
    **{partition.value: ByAffinities(SEPARATION, partition=partition) for partition in Partition},
}


@pytest.mark.parametrize("shape", SHAPES, ids=["plane", "space"])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "whole"])
@pytest.mark.parametrize("name", CLUSTERINGS)
def test_ideal_embeddings_become_their_objects(make_tissue, name, shape, masked):
    labels = cells_with_gaps(make_tissue, shape)
    inside = labels > 0 if masked else None
    rules = InstanceRules(min_size=20, fills_foreground=True, background_distance=SEPARATION / 2)
    found = find_instances(apart_in_space(labels), inside, CLUSTERINGS[name], rules)
    share, invented = recovered(labels, found)
    assert share >= 0.98
    assert invented == 0


@pytest.mark.parametrize("partition", list(Partition))
@pytest.mark.parametrize("shape", SHAPES, ids=["plane", "space"])
def test_affinities_find_objects_whose_embeddings_change_gradually(make_tissue, shape, partition):
    labels = make_tissue(shape, cell_size=16, seed=4).labels.astype(np.uint32)
    sharp = apart_in_space(labels, noise=0.0)
    width = [0 if size == 1 else 1.0 for size in shape]
    blurred = np.stack([gaussian_filter(channel, width) for channel in sharp])
    blurred += np.random.default_rng(0).normal(0, 0.1, blurred.shape).astype(np.float32)
    rules = InstanceRules(min_size=20, fills_foreground=True)
    everywhere = np.ones(shape, bool)
    found = find_instances(blurred, everywhere, ByAffinities(SEPARATION, partition=partition), rules)
    share, invented = recovered(labels, found)
    assert share >= 0.95
    assert invented <= 1
    if partition is Partition.MUTEX_WATERSHED:
        # The lines between the cells are a net of its own, unless cells grow anew from their cores.
        bare = find_instances(blurred, everywhere, ByAffinities(SEPARATION, min_thickness=0), rules)
        assert adapted_rand(count_contingency(bare, labels)).error > 0.1
        assert adapted_rand(count_contingency(found, labels)).error < 0.05


@pytest.mark.parametrize("shape", SHAPES, ids=["plane", "space"])
def test_directions_and_distances_become_their_objects(make_tissue, shape):
    labels = cells_with_gaps(make_tissue, shape)
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(labels.max() + 1, 32))
    embedding = np.moveaxis((vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[labels], -1, 0)
    embedding = (embedding + rng.normal(0, 0.03, embedding.shape)).astype(np.float32)
    distance = depths(labels)
    clustering = ByAngle(distance, AngleRules(seed_distance=4, seed_sigma=1, smoothing=1, seed_threshold=0.4))
    rules = InstanceRules(min_size=20, join_distance=0.4, largest_is_background=False)
    found = find_instances(embedding, None, clustering, rules)
    share, invented = recovered(labels, found)
    assert share >= 0.98
    assert invented == 0


def depths(labels):
    """Return the distance to the border of each object as a share of the object's largest."""
    result = np.zeros(labels.shape, np.float32)
    for name in np.unique(labels[labels > 0]):
        mask = np.pad(labels == name, 1, mode="edge")
        inner = distance_transform_edt(mask)[1:-1, 1:-1, 1:-1] * (labels == name)
        result += (inner / inner.max()).astype(np.float32)
    return result


@pytest.mark.parametrize("shape", SHAPES, ids=["plane", "space"])
def test_what_only_one_of_two_embeddings_knows_is_dropped(make_tissue, shape):
    labels = cells_with_gaps(make_tissue, shape)
    names = np.unique(labels[labels > 0])
    invented, real = names[::4], names[np.arange(len(names)) % 4 > 0]
    first = apart_in_space(labels)
    second = apart_in_space(labels, seed=9)
    second[:, np.isin(labels, invented)] += np.random.default_rng(2).normal(0, 3, (16, np.isin(labels, invented).sum()))
    clustering = ByConsistency(second, ByMeanShift(1.0), radius=1.0)
    found = find_instances(first, None, clustering, InstanceRules(min_size=20))
    kept = np.where(np.isin(labels, real), labels, 0)
    share, surplus = recovered(kept, found)
    assert share >= 0.98
    assert surplus == 0
    assert not found[np.isin(labels, invented)].any()
