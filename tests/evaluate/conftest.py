"""Pairs of label images for the tests of the scores."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest


def _blocks(shape: tuple[int, ...], cuts: list[list[int]]) -> np.ndarray:
    """Return a grid of boxes cut at the given places along each axis, labelled 1, 2, ..."""
    labels = np.zeros(shape, dtype=np.int64)
    axes = [list(pairwise([0, *places, length])) for places, length in zip(cuts, shape, strict=True)]
    number = 0
    for z0, z1 in axes[0]:
        for y0, y1 in axes[1]:
            for x0, x1 in axes[2]:
                number += 1
                labels[z0:z1, y0:y1, x0:x1] = number
    return labels


@pytest.fixture
def tissue() -> tuple[np.ndarray, np.ndarray]:
    """A segmentation and a reference of 6x20x24 voxels: 24 boxes against 27 others, holes of background in both."""
    shape = (6, 20, 24)
    reference = _blocks(shape, [[3], [5, 9], [6, 11, 17]])
    segmentation = _blocks(shape, [[2, 4], [6, 14], [6, 18]]) * 7
    reference[:, :2, :3] = 0
    reference[reference == 5] = 0
    segmentation[:, 16:, 19:] = 0
    segmentation[segmentation == 21] = 0
    return segmentation, reference
