"""The mutex watershed against the program of the same name, and on tissue whose cells are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mwatershed
import numpy as np
import pytest
from skimage.metrics import adapted_rand_error

from plantseg_app.algorithms.mutex import (
    NEIGHBOURS,
    check_offsets,
    long_range_offsets,
    mutex_watershed,
    mutex_watershed_on_affinities,
    mutex_watershed_on_graph,
)
from plantseg_app.algorithms.region_graph import RegionGraph
from plantseg_app.errors import RequestError

OFFSETS = [*NEIGHBOURS, (-2, 0, 0), (0, -4, 0), (0, 0, -4), (0, -3, 3)]


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack([a.ravel(), b.ravel()]), axis=1).T)
    return pairs == len(np.unique(a)) == len(np.unique(b))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beta", [0.5, 0.3])
def test_affinities_give_what_mwatershed_gives(seed: int, beta: float) -> None:
    affinities = np.random.default_rng(seed).random((len(OFFSETS), 5, 14, 15))
    ours = mutex_watershed_on_affinities(affinities, OFFSETS, beta)
    # It ranks by absolute value and knows attraction by its sign.
    signed = affinities.copy()
    signed[:3] += 0.5 - beta
    signed[3:] -= 1
    assert same_partition(ours, mwatershed.agglom(signed, OFFSETS))


def true_affinities(labels: np.ndarray) -> np.ndarray:
    channels = []
    for offset in OFFSETS:
        moved = np.roll(labels, [-step for step in offset], axis=(0, 1, 2))
        channels.append(labels == moved)
    return np.array(channels, np.float32)


def test_true_affinities_give_back_the_cells(make_tissue: Callable[..., Any]) -> None:
    labels = make_tissue((10, 40, 40), 12).labels
    found = mutex_watershed_on_affinities(true_affinities(labels), OFFSETS, 0.5)
    assert same_partition(found, labels)


@pytest.mark.parametrize("shape", [(24, 48, 48), (1, 96, 96)], ids=str)
def test_a_boundary_map_alone_gives_the_cells(make_tissue: Callable[..., Any], shape: tuple[int, int, int]) -> None:
    labels, boundary = make_tissue(shape, 14, seed=3)
    found = mutex_watershed(boundary, 0.6, reach=12, stride=(1, 2, 2))
    error = adapted_rand_error(labels, found)[0]
    assert error < 0.06
    assert np.array_equal(found, mutex_watershed(boundary, 0.6, reach=12, stride=(1, 2, 2)))


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 9), (5, 6, 7)], ids=str)
def test_a_constant_map_is_one_cell(value: float, shape: tuple[int, int, int]) -> None:
    assert (mutex_watershed(np.full(shape, value, np.float32), 0.6, 15) == 1).all()


def test_steps_are_measured_in_the_finest_axis() -> None:
    steps = long_range_offsets(10, (0.5, 0.25, 0.25), (40, 40, 40))
    assert (-5, 0, 0) in steps
    assert (0, -10, 0) in steps
    assert all(abs(z) <= 5 for z, _, _ in steps)
    assert long_range_offsets(10, (1, 1, 1), (1, 1, 1)) == []


def test_offsets_have_to_fit_the_channels() -> None:
    assert check_offsets((), 3) == list(NEIGHBOURS)
    assert check_offsets(OFFSETS, len(OFFSETS)) == OFFSETS
    with pytest.raises(RequestError, match="7 channels but 3 offsets"):
        check_offsets(NEIGHBOURS, 7)
    with pytest.raises(RequestError, match="nearest neighbours"):
        check_offsets([(-2, 0, 0), (0, -1, 0), (0, 0, -1)], 3)
    with pytest.raises(RequestError, match="all others longer"):
        check_offsets([*NEIGHBOURS, (0, 0, 1)], 4)


def test_superpixels_heed_long_range_affinities() -> None:
    labels = np.repeat(np.array([1, 2, 3], np.uint32), 4).reshape(1, 1, 12)
    graph = RegionGraph(np.array([[1, 2], [2, 3]]), np.array([0.1, 0.2]), np.ones(2), np.array([0, 4, 4, 4]))
    offsets = [*NEIGHBOURS, (0, 0, 5)]
    affinities = np.ones((4, 1, 1, 12), np.float32)
    assert mutex_watershed_on_graph(labels, graph, affinities, offsets, 0.5).tolist() == [0, 1, 1, 1]
    affinities[3] = 0.0
    # Now 1 and 3 exclude each other, so the weaker of the two joints breaks.
    assert mutex_watershed_on_graph(labels, graph, affinities, offsets, 0.5).tolist() == [0, 1, 1, 2]
