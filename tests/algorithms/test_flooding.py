"""Flooding in boxes against flooding in one piece, and both against scikit-image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skimage.segmentation
from scipy import ndimage

from plantseg_app.algorithms import flooding
from plantseg_app.algorithms.flooding import flood, local_maxima, smooth, smooth_in_blocks
from plantseg_app.errors import Cancelled


@pytest.fixture
def relief_and_seeds(make_tissue: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray]:
    labels, boundary = make_tissue((40, 70, 80), 16, seed=4)
    relief = smooth(boundary, (1.0, 1.0, 1.0))
    seeds = np.zeros(labels.shape, np.uint32)
    centres = np.round(ndimage.center_of_mass(labels > 0, labels, range(1, labels.max() + 1))).astype(int)
    seeds[tuple(centres.T)] = np.arange(1, len(centres) + 1)
    return relief, seeds


def test_it_agrees_with_scikit_image(relief_and_seeds: tuple[np.ndarray, np.ndarray]) -> None:
    relief, seeds = relief_and_seeds
    ours = flood(relief, seeds.copy())
    theirs = skimage.segmentation.watershed(relief, seeds)
    assert np.mean(ours == theirs) > 0.995


@pytest.mark.parametrize("n_threads", [1, 2])
def test_boxes_give_what_one_piece_gives(
    monkeypatch: pytest.MonkeyPatch, relief_and_seeds: tuple[np.ndarray, np.ndarray], n_threads: int
) -> None:
    relief, seeds = relief_and_seeds
    whole = flood(relief, seeds.copy())
    monkeypatch.setattr(flooding, "FLOOD_AT_ONCE_VOX", 1)
    monkeypatch.setattr(flooding, "_flood_block_shape", lambda _: (16, 24, 32))
    boxed = flood(relief, seeds.copy(), n_threads=n_threads)
    assert np.mean(whole == boxed) > 0.998
    assert np.array_equal(np.unique(boxed), np.unique(whole))


def test_a_box_without_a_seed_is_filled_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    relief = np.zeros((8, 8, 40), np.float32)
    relief[..., 30] = 1.0
    seeds = np.zeros(relief.shape, np.uint32)
    seeds[4, 4, 1], seeds[4, 4, 38] = 1, 2
    monkeypatch.setattr(flooding, "FLOOD_AT_ONCE_VOX", 1)
    monkeypatch.setattr(flooding, "_flood_block_shape", lambda _: (8, 8, 8))
    flooded = flood(relief, seeds)
    assert (flooded[..., :30] == 1).all()
    assert (flooded[..., 31:] == 2).all()


def test_nothing_grows_outside_the_mask(
    monkeypatch: pytest.MonkeyPatch, relief_and_seeds: tuple[np.ndarray, np.ndarray]
) -> None:
    relief, seeds = relief_and_seeds
    mask = np.zeros(seeds.shape, bool)
    mask[5:35, 10:60, 10:70] = True
    monkeypatch.setattr(flooding, "FLOOD_AT_ONCE_VOX", 1)
    monkeypatch.setattr(flooding, "_flood_block_shape", lambda _: (16, 24, 32))
    flooded = flood(relief, np.where(mask, seeds, 0).astype(np.uint32), mask)
    assert not flooded[~mask].any()
    assert flooded[mask].all()


def test_smoothing_in_boxes_is_smoothing_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).random((30, 40, 50), dtype=np.float32)
    monkeypatch.setattr(flooding, "smoothing_block_shape", lambda _: (9, 13, 17))
    boxed = smooth_in_blocks(image, (0.5, 1.0, 2.0), 2)
    assert np.allclose(boxed, smooth(image, (0.5, 1.0, 2.0)), atol=1e-6)
    assert np.allclose(boxed, ndimage.gaussian_filter(image, (0.5, 1, 2), mode="mirror"), atol=5e-3)


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 9), (1, 1, 1)], ids=str)
def test_local_maxima_are_those_of_a_maximum_filter(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 4, shape).astype(np.float32)
    assert np.array_equal(local_maxima(image), ndimage.maximum_filter(image, 3) == image)


def test_a_person_can_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise Cancelled("stopped")

    monkeypatch.setattr(flooding, "FLOOD_AT_ONCE_VOX", 1)
    with pytest.raises(Cancelled):
        flood(np.zeros((4, 4, 4), np.float32), np.ones((4, 4, 4), np.uint32), check=stop)
