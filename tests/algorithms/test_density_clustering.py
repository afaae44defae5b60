"""Dense regions: all points, a part of them, and what lies in none."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.density_clustering import ByDensity, dense_regions
from plantseg_app.algorithms.frames import View

WHOLE = (slice(0, 1), slice(0, 12), slice(0, 30))


def blobs(sizes, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    centres = 3 * rng.normal(size=(len(sizes), 8))
    names = np.repeat(np.arange(len(sizes)), sizes)
    return centres[names] + rng.normal(0, noise, (len(names), 8)), names


def same_partition(one, other):
    pairs = np.unique(np.stack([one, other]), axis=1)
    return pairs.shape[1] == len(np.unique(one)) == len(np.unique(other))


@pytest.mark.parametrize("max_points", [0, 300])
def test_blobs_are_regions_whether_all_or_a_part_of_them_is_clustered(max_points):
    points, names = blobs([200, 300, 150, 400])
    assert same_partition(dense_regions(points, 50, 0.5, max_points), names)


def test_regions_closer_than_epsilon_are_one():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(at, 0.03, (100, 2)) for at in (0.0, 0.3, 4.0)])
    assert len(np.unique(dense_regions(points, 30, 0.01))) == 3
    assert len(np.unique(dense_regions(points, 30, 1.0))) == 2


def test_too_few_points_are_noise_and_one_blob_is_one_region():
    points, _ = blobs([40])
    assert (dense_regions(points[:5], 10, 0.5) == -1).all()
    assert (dense_regions(points[:10], 10, 0.5) == 0).all()
    assert (dense_regions(points, 10, 0.5) == 0).all()
    assert len(dense_regions(points[:0], 10, 0.5)) == 0


def test_the_part_is_chosen_by_the_seed_alone():
    points, _ = blobs([200, 300], noise=0.5)
    first, again = dense_regions(points, 30, 0.1, 120, seed=1), dense_regions(points, 30, 0.1, 120, seed=1)
    np.testing.assert_array_equal(first, again)


@pytest.fixture
def gradual():
    """Two objects whose embeddings change into each other over six columns."""
    rng = np.random.default_rng(0)
    embedding = rng.normal(0, 0.02, (3, 1, 12, 30)).astype(np.float32)
    embedding[0] += np.clip((np.arange(30) - 11) / 7, 0, 1) * 6
    return View(WHOLE, embedding)


def test_noise_goes_to_the_clusters_around_it_over_the_bright_lines_of_an_image(gradual):
    inside = np.ones((1, 12, 30), bool)
    bare = ByDensity(40, 0.2, fills=False)(gradual, inside, lambda: None)
    assert (bare == 0).any()
    filled = ByDensity(40, 0.2)(gradual, inside, lambda: None)
    assert sorted(np.unique(filled)) == [1, 2]
    line = np.zeros((1, 12, 30))
    line[..., 16] = 1
    there = ByDensity(40, 0.2, relief=line)(gradual, inside, lambda: None)
    assert (there[..., :15] == there[0, 0, 0]).all()
    assert (there[..., 18:] == there[0, 0, -1]).all()
    assert there[0, 0, 0] != there[0, 0, -1]


def test_the_outside_stays_empty(gradual):
    inside = np.ones((1, 12, 30), bool)
    inside[:, 6:] = False
    found = ByDensity(30, 0.2)(gradual, inside, lambda: None)
    assert (found[inside] > 0).all()
    assert not found[~inside].any()
