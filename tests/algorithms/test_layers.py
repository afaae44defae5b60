"""Stacks of layers: packing and codes lose nothing, distances are those of brute force, rules do what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from plantseg_app.algorithms.layers import (
    FLATTEN_RULES,
    close_pairs,
    colour_objects,
    combine_layers,
    flatten_by_rule,
    number_masks,
    objects_of,
    overlapping_pairs,
    pack_layers,
    separate_layers,
    with_spare_plane,
    without_empty_planes,
)


def discs(seed: int, n: int, shape: tuple[int, int] = (60, 70), radius: tuple[float, float] = (1, 12)) -> NDArray[Any]:
    """Return n masks (n, Y, X) of random discs that may overlap or contain each other."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = rng.uniform(0, shape, (n, 2))
    return np.stack([(y - cy) ** 2 + (x - cx) ** 2 <= rng.uniform(*radius) ** 2 for cy, cx in centres]).astype(np.uint8)


def as_set(layers: NDArray[Any]) -> dict[int, bytes]:
    return {int(name): np.packbits(layer == name).tobytes() for layer in layers for name in np.unique(layer[layer > 0])}


@pytest.mark.parametrize("seed", range(4))
def test_packing_keeps_every_object_in_few_planes(seed):
    layers = number_masks(discs(seed, 12))
    packed = pack_layers(layers)
    assert as_set(packed) == as_set(layers)
    assert (layers > 0).sum(0).max() <= len(packed) < len(layers)
    assert pack_layers(layers[:1]).shape == (1, *layers.shape[1:])
    assert not pack_layers(np.zeros((3, 1, 4, 4), np.uint32)).any()


@pytest.mark.parametrize("seed", range(4))
def test_codes_and_table_are_the_layers_again(seed):
    layers = pack_layers(number_masks(discs(seed, 9)))[:, None]
    codes, table = combine_layers(layers)
    np.testing.assert_array_equal(separate_layers(codes, table), layers)
    np.testing.assert_array_equal(codes > 0, layers.any(0))
    # A piece means the same as in the whole.
    np.testing.assert_array_equal(separate_layers(codes[:, 5:20], table), layers[:, :, 5:20])
    empty, nothing = combine_layers(np.zeros((2, 1, 3, 3), np.uint32))
    assert not empty.any()
    assert nothing.shape == (1, 2)


def test_ids_may_be_large():
    layer = np.zeros((1, 4, 6), np.uint32)
    layer[0, 1:3, 1:3], layer[0, 0, 5] = 4_000_000_000, 7
    assert [(name, int(mask.sum())) for name, _, mask in objects_of(layer)] == [(7, 1), (4_000_000_000, 4)]


def test_masks_are_numbered_and_layers_left_alone():
    masks = np.zeros((3, 2, 4), np.uint8)
    masks[0, 0, :2], masks[2, 1, 1:] = 255, 255
    assert number_masks(masks)[:, :, 1].tolist() == [[1, 0], [0, 0], [0, 3]]
    layers = np.array([[[1, 2]], [[0, 3]]])
    assert number_masks(layers) is layers


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("distance", [1.5, 2.0, 5.0, 15.0])
def test_close_pairs_are_those_of_brute_force(seed, distance):
    layers = number_masks(discs(seed, 10, radius=(1, 9)))
    points = {int(m.max()): np.argwhere(m) for m in layers if m.any()}
    names = sorted(points)
    expected = [
        [a, b] for i, a in enumerate(names) for b in names[i + 1 :] if cdist(points[a], points[b]).min() < distance
    ]
    assert close_pairs(pack_layers(layers), distance).tolist() == expected


def test_an_object_inside_another_is_as_close_as_can_be():
    layers = np.zeros((2, 40, 40), np.uint32)
    layers[0], layers[1, 20, 20] = 1, 2
    assert close_pairs(layers, 2.0).tolist() == [[1, 2]] == overlapping_pairs(layers).tolist()


def test_neighbours_get_different_colours_where_these_suffice():
    rng = np.random.default_rng(0)
    for _ in range(20):
        names = list(range(3, 23))
        pairs = np.array([(a, b) for a in names for b in names if a < b and rng.random() < 0.25]).reshape(-1, 2)
        colours = colour_objects(names, pairs, 8)
        assert sorted(colours) == names
        assert all(colours[a] != colours[b] for a, b in pairs.tolist())
    # An even ring needs two colours.
    ring = np.array([(i, (i + 1) % 10) for i in range(10)])
    assert len({(a, b) for a, b in colour_objects(range(10), ring, 2).items()} & {(0, 0), (2, 0), (1, 1)}) in (0, 3)
    assert set(colour_objects([1, 2, 3], np.array([[1, 2], [2, 3], [1, 3]]), 2).values()) == {0, 1}


def test_each_rule_gives_the_overlap_to_the_right_object():
    layers = np.array([[[1, 1, 1, 1, 1, 0, 0]], [[0, 0, 2, 2, 2, 2, 0]], [[0, 0, 0, 0, 0, 0, 3]]], np.uint32)
    expected = {
        "nearest": [1, 1, 1, 2, 2, 2, 3],
        "larger": [1, 1, 1, 1, 1, 2, 3],
        "smaller": [1, 1, 2, 2, 2, 2, 3],
        "last": [1, 1, 2, 2, 2, 2, 3],
        "background": [1, 1, 0, 0, 0, 2, 3],
    }
    assert set(expected) == set(FLATTEN_RULES)
    for rule, labels in expected.items():
        assert flatten_by_rule(layers, rule).tolist() == [labels], rule


def test_an_object_that_is_nowhere_alone_yields_to_the_one_around_it_unless_it_is_smaller():
    layers = np.zeros((2, 1, 9), np.uint32)
    layers[0], layers[1, 0, 4] = 1, 2
    assert 2 not in flatten_by_rule(layers, "nearest")
    assert 2 in flatten_by_rule(layers, "smaller")


def test_a_spare_plane_comes_and_empty_planes_go():
    layers = np.zeros((3, 1, 4, 5), np.uint32)
    layers[0, 0, 1], layers[2, 0, :, 2] = 7, 9
    more = with_spare_plane(layers)
    assert (more.shape, more.dtype) == ((4, 1, 4, 5), np.uint32)
    assert with_spare_plane(more) is more
    np.testing.assert_array_equal(without_empty_planes(more), layers[[0, 2]])
    assert without_empty_planes(layers * 0).shape == (1, 1, 4, 5)
