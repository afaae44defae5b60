"""Mean shift against scikit-learn on the same points, and against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plantseg_app.algorithms.mean_shift import bin_seeds, mean_shift, nearest_centre
from plantseg_app.errors import Cancelled, InputError, RequestError


def blobs(n_points, n_blobs, noise, n_axes=12, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-1, 1, (n_blobs, n_axes))
    which = rng.integers(0, n_blobs, n_points)
    return (centres[which] + rng.normal(0, noise, (n_points, n_axes))).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    ("points", "bandwidth"),
    [
        (blobs(1500, 8, 0.05), 0.5),
        (blobs(1200, 8, 0.1, seed=1), 0.5),
        (blobs(2000, 5, 0.15, n_axes=2, seed=2), 0.3),
        (blobs(900, 6, 0.1, n_axes=3, seed=3), 0.7),
        (np.random.default_rng(4).uniform(-1, 1, (600, 2)), 0.37),
        (np.repeat(np.eye(4), [5, 1, 9, 3], axis=0), 0.5),
    ],
    ids=["tight", "loose", "plane", "space", "uniform", "equal"],
)
def test_clusters_are_those_of_scikit_learn(points, bandwidth):
    cluster = pytest.importorskip("sklearn.cluster")
    expected = cluster.MeanShift(bandwidth=bandwidth, bin_seeding=True).fit(points)
    found = mean_shift(points, bandwidth)
    np.testing.assert_allclose(found.centres, expected.cluster_centers_, atol=1e-6)
    np.testing.assert_array_equal(found.labels, expected.labels_)


@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0.05, 0.8))
@settings(max_examples=30, deadline=None)
def test_modes_stand_still_and_every_point_has_the_nearest(seed, n_axes, bandwidth):
    points = np.random.default_rng(seed).uniform(0, 1, (60, n_axes))
    for seeding in ("bins", "points"):
        found = mean_shift(points, bandwidth, seeding)
        for centre, count in zip(found.centres, found.counts, strict=True):
            near = points[np.linalg.norm(points - centre, axis=1) <= bandwidth + 1e-9]
            assert len(near) >= 1
            assert count >= 1
            assert np.linalg.norm(near.mean(0) - centre) <= 2 * bandwidth
        distances = np.linalg.norm(points[:, None] - found.centres[None], axis=-1)
        np.testing.assert_allclose(distances[np.arange(60), found.labels], distances.min(1), atol=1e-9)
        between = np.linalg.norm(found.centres[:, None] - found.centres[None], axis=-1)
        assert (between[~np.eye(len(between), dtype=bool)] > bandwidth).all()
        assert (np.diff(found.counts) <= 0).all()


def test_equal_points_just_beyond_the_bandwidth_stay_apart_when_seeds_are_points():
    points = np.repeat([[0.0], [0.6], [1.2], [1.75]], 50, axis=0)
    assert len(mean_shift(points, 0.5, "points").centres) == 4
    # A seed in the middle sees both sides and stays: so it is with scikit-learn, too.
    assert len(mean_shift(points, 0.5, "bins").centres) < 4


def test_thin_cells_start_no_search():
    points = np.concatenate([np.zeros((50, 2)), [[5.0, 5.0]]])
    assert len(mean_shift(points, 0.5).centres) == 2
    assert len(mean_shift(points, 0.5, min_seed_points=2).centres) == 1
    assert len(mean_shift(points, 0.5, "points", min_seed_points=2).centres) == 1
    assert len(mean_shift(points[-1:], 0.5, min_seed_points=2).centres) == 1


def test_seeds_are_the_points_when_each_has_a_cell_of_its_own():
    points = np.array([[0.0, 0.1], [3.0, 3.1]])
    np.testing.assert_array_equal(bin_seeds(points, 0.5), points)


def test_cells_are_told_apart_even_where_they_cannot_be_numbered():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 1e-3, (20, 16)), rng.normal(900, 1e-3, (20, 16))])
    assert sorted(np.bincount(mean_shift(points, 0.5).labels)) == [20, 20]


def test_nothing_gives_nothing_and_nonsense_is_refused():
    assert len(mean_shift(np.empty((0, 3)), 0.5).centres) == 0
    with pytest.raises(RequestError, match="above 0"):
        mean_shift(np.zeros((3, 2)), 0.0)
    with pytest.raises(InputError, match="finite"):
        mean_shift(np.full((3, 2), np.nan), 0.5)


def test_it_can_be_stopped():
    def stop():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        mean_shift(blobs(200, 3, 0.1), 0.5, check=stop)


def test_nearest_centre_by_brute_force():
    rng = np.random.default_rng(1)
    points, centres = rng.normal(size=(300, 5)), rng.normal(size=(7, 5))
    expected = np.linalg.norm(points[:, None] - centres[None], axis=-1).argmin(1)
    np.testing.assert_array_equal(nearest_centre(points, centres), expected)


def test_more_points_than_a_leaf_holds_are_clustered_as_by_scikit_learn():
    cluster = pytest.importorskip("sklearn.cluster")
    points = np.concatenate([blobs(1500, 5, 0.06, seed=8), np.linspace(blobs(1, 1, 0)[0], blobs(2, 2, 0)[1], 1200)])
    expected = cluster.MeanShift(bandwidth=0.5, bin_seeding=True).fit(points)
    np.testing.assert_array_equal(mean_shift(points, 0.5).labels, expected.labels_)
