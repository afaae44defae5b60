"""Seeds from distance maps and growth by angle."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.angular_clustering import (
    AngleRules,
    ByAngle,
    distance_seeds,
    grow_by_angle,
    seed_directions,
    smooth_directions,
)
from plantseg_app.algorithms.frames import View

WHOLE = (slice(0, 1), slice(0, 20), slice(0, 40))


def discs(*centres, radius=8, shape=(20, 40)):
    """Return cones of height 1 around points of a plane."""
    y, x = np.indices(shape)
    heights = [np.clip(1 - np.hypot(y - row, x - column) / radius, 0, None) for row, column in centres]
    return np.max(heights, axis=0).astype(np.float32)[None]


def test_each_peak_is_a_seed():
    seeds = distance_seeds(discs((9, 9), (9, 29)), None, AngleRules(seed_sigma=1.0))
    assert seeds.max() == 2
    assert {tuple(np.argwhere(seeds == name).mean(0)) for name in (1, 2)} == {(0.0, 9.0, 9.0), (0.0, 9.0, 29.0)}


def test_low_and_close_peaks_are_no_seeds():
    low = np.maximum(discs((9, 9)), 0.5 * discs((9, 29)))
    assert distance_seeds(low, None, AngleRules(seed_sigma=0)).max() == 1
    assert distance_seeds(low, None, AngleRules(seed_sigma=0, seed_threshold=0.4)).max() == 2
    close = np.maximum(discs((9, 9), radius=5), 0.9 * discs((9, 15), radius=5))
    assert distance_seeds(close, None, AngleRules(seed_sigma=0, seed_distance=10)).max() == 1
    assert distance_seeds(close, None, AngleRules(seed_sigma=0, seed_distance=2)).max() == 2


def test_seeds_lie_inside_and_a_flat_map_has_none():
    inside = np.zeros((1, 20, 40), bool)
    inside[..., 20:] = True
    seeds = distance_seeds(discs((9, 9), (9, 29)), inside, AngleRules(seed_sigma=1.0))
    assert not seeds[..., :20].any()
    assert seeds.max() == 1
    assert not distance_seeds(np.zeros((1, 5, 5), np.float32)).any()


@pytest.mark.parametrize(("angle", "grown"), [(40.0, 1), (50.0, 2), (95.0, 3)])
def test_growth_stops_at_the_angle(angle, grown):
    turned = np.deg2rad([0, 45, 90])
    embedding = np.stack([np.cos(turned), np.sin(turned)]).reshape(2, 1, 1, 3).astype(np.float32)
    seeds = np.array([[[1, 0, 0]]], np.uint32)
    directions = seed_directions(embedding, seeds)
    assert (grow_by_angle(embedding, seeds, directions, angle) > 0).sum() == grown


def test_the_direction_of_a_seed_is_that_of_its_mean():
    embedding = np.array([[3.0, 0, 5], [0, 3, 0]], np.float32).reshape(2, 1, 1, 3)
    seeds = np.array([[[1, 1, 2]]], np.uint32)
    np.testing.assert_allclose(seed_directions(embedding, seeds), [[0, 0], [0.70711, 0.70711], [1, 0]], atol=1e-5)


def test_smoothing_averages_and_keeps_the_length():
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(3, 1, 9, 9)).astype(np.float32)
    smooth = smooth_directions(embedding, (1.0, 1.0, 1.0))
    np.testing.assert_allclose(np.linalg.norm(smooth, axis=0), 1, atol=1e-5)
    five = embedding[:, 0, [4, 3, 5, 4, 4], [4, 4, 4, 3, 5]].sum(1)
    np.testing.assert_allclose(smooth[:, 0, 4, 4], five / np.linalg.norm(five), atol=1e-5)
    plain = smooth_directions(embedding, (0.0, 0.0, 0.0))
    np.testing.assert_allclose(plain, embedding / np.linalg.norm(embedding, axis=0), atol=1e-6)
    assert np.isfinite(smooth_directions(np.zeros((2, 1, 3, 3), np.float32), (1.0, 1.0, 1.0))).all()


def test_objects_far_below_the_others_vanish():
    distance = np.maximum(discs((9, 9)), 0.05 * discs((9, 29)))
    embedding = np.zeros((2, 1, 20, 40), np.float32)
    embedding[0, ..., :20], embedding[1, ..., 20:] = 1, 1
    rules = AngleRules(seed_threshold=0.01, seed_sigma=0, smoothing=0)
    inside = distance > 0
    assert ByAngle(distance, rules)(View(WHOLE, embedding), inside).max() == 1
    low = AngleRules(seed_threshold=0.01, seed_sigma=0, smoothing=0, min_distance=0.0)
    assert ByAngle(distance, low)(View(WHOLE, embedding), inside).max() == 2


def test_the_rim_belongs_to_no_object():
    distance = discs((9, 9), (9, 29))
    embedding = np.ones((2, 1, 20, 40), np.float32)
    embedding[0, ..., 20:] = -1
    rules = AngleRules(seed_sigma=1.0, smoothing=0.0, rim_distance=0.25)
    view = View(WHOLE, embedding)
    found = ByAngle(distance, rules)(view, np.ones((1, 20, 40), bool))
    np.testing.assert_array_equal(found > 0, distance >= 0.25)
    everywhere = ByAngle(distance, AngleRules(seed_sigma=1.0, smoothing=0.0))(view, np.ones((1, 20, 40), bool))
    assert (everywhere > 0).all()
