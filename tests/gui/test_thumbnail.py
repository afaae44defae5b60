"""Small pictures show what a volume holds: its middle slice, its first channel, its objects in all layers."""

from __future__ import annotations

import numpy as np

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.thumbnail import middle_slice


def test_the_middle_slice_of_each_kind_of_volume() -> None:
    stack = np.arange(5 * 2 * 3).reshape(5, 2, 3).astype(np.uint16)
    np.testing.assert_array_equal(middle_slice(Volume(stack, Kind.RAW)), stack[2])
    np.testing.assert_array_equal(middle_slice(Volume(np.stack([stack, 2 * stack]), Kind.RAW)), stack[2])
    layers = np.zeros((2, 1, 2, 4), np.uint32)
    layers[0, 0, 0, :3], layers[1, 0, 0, 2:] = 1, 2
    assert middle_slice(Volume(layers, Kind.LAYERED_LABELS)).tolist() == [[1, 1, 2, 2], [0, 0, 0, 0]]
