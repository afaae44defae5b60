"""Superpixels: known tissue, every awkward map, and the meaning of each setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import bioimage_cpp
import numpy as np
import pytest
from skimage.metrics import adapted_rand_error

from plantseg_app.algorithms import flooding
from plantseg_app.algorithms.watershed import (
    DEFAULTS,
    WatershedSettings,
    distance_to_boundary,
    distance_transform_watershed,
    find_seeds,
    minima_watershed,
    oversegment,
    seeded_watershed,
)


def settings(**changes: Any) -> WatershedSettings:
    return dataclasses.replace(DEFAULTS, **changes)


def is_dense(labels: np.ndarray) -> bool:
    return np.array_equal(np.unique(labels), np.arange(1, labels.max() + 1))


def test_superpixels_do_not_straddle_known_cells(make_tissue: Callable[..., Any]) -> None:
    labels, boundary = make_tissue((32, 64, 64), 16, seed=2)
    superpixels = distance_transform_watershed(boundary)
    _, precision, recall = adapted_rand_error(labels, superpixels)
    assert min(precision, recall) > 0.9
    assert is_dense(superpixels)


@pytest.mark.parametrize("shape", [(6, 20, 24), (1, 20, 24), (1, 1, 1), (3, 1, 7), (2, 40, 1)], ids=str)
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("stacked", [False, True])
def test_a_constant_map_is_one_superpixel(shape: tuple[int, int, int], value: float, stacked: bool) -> None:
    labels, graph = oversegment(np.full(shape, value, np.float32), settings(stacked=stacked, alpha=0.8))
    planes = labels if stacked else [labels]
    assert all(len(np.unique(plane)) == 1 for plane in planes)
    assert is_dense(labels)
    assert graph.n_nodes == labels.max() + 1


def test_a_slice_that_is_all_boundary_is_harmless(make_tissue: Callable[..., Any]) -> None:
    boundary = make_tissue((6, 40, 40), 12).boundary.copy()
    boundary[2] = 1.0
    for stacked in (True, False):
        assert is_dense(distance_transform_watershed(boundary, settings(stacked=stacked)))


def test_threads_and_boxes_do_not_change_it(monkeypatch: pytest.MonkeyPatch, make_tissue: Callable[..., Any]) -> None:
    boundary = make_tissue((30, 60, 70), 14, seed=5).boundary
    monkeypatch.setattr(flooding, "FLOOD_AT_ONCE_VOX", 1000)
    monkeypatch.setattr(flooding, "_flood_block_shape", lambda shape: (16,) * len(shape))
    one = distance_transform_watershed(boundary, settings(alpha=0.9), n_threads=1)
    four = distance_transform_watershed(boundary, settings(alpha=0.9), n_threads=4)
    assert np.array_equal(one, four)


def test_the_graph_belongs_to_the_labels(make_tissue: Callable[..., Any]) -> None:
    boundary = make_tissue((12, 40, 40), 10).boundary
    labels, graph = oversegment(boundary)
    assert np.array_equal(graph.sizes, np.bincount(labels.ravel()))
    assert (graph.sizes[1:] >= DEFAULTS.min_size).all()


def test_stacked_superpixels_stay_in_their_slice(make_tissue: Callable[..., Any]) -> None:
    boundary = make_tissue((5, 40, 40), 10).boundary
    labels = distance_transform_watershed(boundary, settings(stacked=True, min_size=30))
    for z in range(1, 5):
        assert not set(np.unique(labels[z])) & set(np.unique(labels[z - 1]))
    alone = distance_transform_watershed(boundary[2:3], settings(min_size=30))
    assert len(np.unique(labels[2])) == len(np.unique(alone))


def test_distances_know_the_voxel_size() -> None:
    boundary = np.zeros((9, 9, 9), np.float32)
    boundary[0] = 1.0
    distance = distance_to_boundary(boundary, 0.5, (0.4, 0.1, 0.1))
    assert np.allclose(distance[:, 4, 4], 4.0 * np.arange(9))


def test_nonmax_suppression_is_that_of_the_library() -> None:
    rng = np.random.default_rng(6)
    distance = bioimage_cpp.filters.gaussian_smoothing(rng.random((20, 30, 30), dtype=np.float32), 1.0) * 30
    plain = settings(sigma_seeds=0.0)
    peaks = find_seeds(distance, plain, (1, 1, 1), 1, lambda: None) > 0
    ours = find_seeds(distance, settings(sigma_seeds=0.0, apply_nonmax_suppression=True), (1, 1, 1), 1, lambda: None)
    theirs = bioimage_cpp.distance.non_maximum_distance_suppression(distance, np.argwhere(peaks))
    assert sorted(map(tuple, np.argwhere(ours > 0))) == sorted(map(tuple, theirs))
    assert 0 < len(theirs) < peaks.sum()


def test_more_smoothing_gives_fewer_seeds(make_tissue: Callable[..., Any]) -> None:
    boundary = make_tissue((16, 48, 48), 10, noise=0.15).boundary
    counts = [distance_transform_watershed(boundary, settings(sigma_seeds=s, min_size=0)).max() for s in (0.0, 3.0)]
    assert counts[0] > counts[1]


def test_valleys_of_a_clean_map_are_the_cells(make_tissue: Callable[..., Any]) -> None:
    labels, boundary = make_tissue((32, 64, 64), 20, noise=0.0, faint=0.0)
    found = minima_watershed(boundary, 0.2, 0.5, 50)
    assert adapted_rand_error(labels, found)[0] < 0.05
    assert found.max() == labels.max()


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_seeds_keep_their_names(dtype: type) -> None:
    boundary = np.zeros((1, 10, 21), np.float32)
    boundary[..., 10] = 1.0
    seeds = np.zeros(boundary.shape, dtype)
    large = 2**40 if dtype is np.uint64 else 70_000
    seeds[0, 5, 2], seeds[0, 5, 18] = large, 3
    grown = seeded_watershed(boundary, seeds, sigma=0.0)
    assert grown.dtype == dtype
    assert (grown[..., :10] == large).all()
    assert (grown[..., 11:] == 3).all()
    mask = np.zeros(boundary.shape, bool)
    mask[:, 2:8] = True
    masked = seeded_watershed(boundary, seeds, 0.0, mask)
    assert not masked[~mask].any()
    assert masked[mask].all()
    assert not seeded_watershed(boundary, np.zeros_like(seeds), 0.0).any()
