"""Algorithm 1 line by line, and that it finds again what is painted into layers."""

from __future__ import annotations

import numpy as np
import pytest

from plantseg_app.algorithms.layering import LayerRules, decode_layers, paint_layers
from plantseg_app.algorithms.layers import number_masks, pack_layers


def shapes_of(layers):
    return sorted(np.packbits(layer == name).tobytes() for layer in layers for name in np.unique(layer[layer > 0]))


def crossing_bars(seed, n=9, shape=(1, 120, 130)):
    """Return masks of thick lines across each other, as worms lie."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[1], : shape[2]]
    masks = []
    for _ in range(n):
        centre, angle = rng.uniform((20, 20), (100, 110)), rng.uniform(0, np.pi)
        along = (y - centre[0]) * np.sin(angle) + (x - centre[1]) * np.cos(angle)
        across = (y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)
        masks.append(((abs(along) < 18) & (abs(across) < 3))[None])
    return number_masks(np.stack(masks).astype(np.uint8))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_painted_is_found_again_whole_where_it_crosses(seed):
    objects = crossing_bars(seed)
    assert (objects > 0).sum(0).max() > 1
    painted = paint_layers(pack_layers(objects), 8)
    found = decode_layers((painted > 0).astype(np.float32), objects.any(0), LayerRules(min_size=20))
    assert shapes_of(found) == shapes_of(objects)


def test_slices_are_done_one_by_one_under_ids_of_their_own():
    objects = np.concatenate([crossing_bars(1), crossing_bars(2)], axis=1)
    painted = paint_layers(objects, 8) > 0
    found = decode_layers(painted, painted.any(0), LayerRules(min_size=1))
    ids = [np.unique(found[:, z][found[:, z] > 0]) for z in range(2)]
    assert len(ids[0]) == len(ids[1]) == 9
    assert not set(ids[0]) & set(ids[1])


def maps(*rows):
    return np.array(rows, np.float32)[:, None, None]


def test_each_line_of_the_algorithm():
    layers = maps([0.9, 0.9, 0.6, 0.2, 0.3, 0.0], [0.1, 0.6, 0.9, 0.8, 0.2, 0.9])
    foreground = np.array([[[0.9, 0.9, 0.9, 0.9, 0.9, 0.2]]], np.float32)
    found = decode_layers(layers, foreground, LayerRules(min_size=1))
    # Pixel 4: the strongest layer, however weak; pixel 5: no foreground; pixels 1 and 2 in both layers.
    assert (found[:, 0, 0] > 0).tolist() == [[1, 1, 1, 0, 1, 0], [0, 1, 1, 1, 0, 0]]
    assert found[0, 0, 0, 0] != found[0, 0, 0, 4]
    apart = decode_layers(layers, foreground, LayerRules(min_size=1, overlap=False))
    assert (apart[:, 0, 0] > 0).tolist() == [[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]]
    large = decode_layers(layers, foreground, LayerRules(min_size=2))
    assert (large[:, 0, 0] > 0).tolist() == [[1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0]]
    strict = decode_layers(layers, foreground, LayerRules(threshold=0.7, min_size=1))
    assert (strict[:, 0, 0] > 0).tolist() == [[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]]


def test_small_pieces_of_foreground_and_of_layers_vanish():
    layers = maps([0.9] * 3 + [0.1] * 6, [0.1] * 3 + [0.9] * 6)
    foreground = np.array([[[1, 1, 1, 1, 1, 1, 1, 0, 1]]], np.float32)
    found = decode_layers(layers, foreground, LayerRules(min_size=4))
    assert found.tolist() == [[[[0, 0, 0, 1, 1, 1, 1, 0, 0]]]]
    nothing = decode_layers(layers, foreground, LayerRules(min_size=8))
    assert nothing.shape == (1, 1, 1, 9)
    assert not nothing.any()


def test_corners_touch():
    layers = np.eye(4, dtype=np.float32)[None, None]
    found = decode_layers(np.concatenate([layers, 0.5 - layers]), layers[0], LayerRules(min_size=4))
    assert found.max() == 1
