"""Smoother and larger objects, without overlaps and without losing one.

>>> import numpy as np
>>> expand_labels(np.array([[[0, 4, 0, 0, 0, 9]]], np.uint32), 1.0, (1.0, 1.0, 1.0)).tolist()
[[[4, 4, 4, 0, 9, 9]]]
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.flooding import Spacing, scale_sigma, smooth
from plantseg_app.algorithms.region_graph import make_dense

Labels = NDArray[Any]


def smooth_labels(
    labels: Labels, sigma: float, spacing: Spacing = (1.0, 1.0, 1.0), check: Check = never_stop
) -> Labels:
    """Give each voxel to the object, or the background, that has the largest share of its surroundings.

    Parameters
    ----------
    labels
        (Z, Y, X) labels; 0 competes like an object.
    sigma
        Width of the Gaussian that weighs the surroundings, in voxels of the finest axis.
    spacing
        Edge lengths of a voxel, any unit.
    check
        Called between objects; may raise to stop.

    Returns
    -------
    NDArray
        Labels of the same type. Objects that would vanish keep the voxels they had.
    """
    if sigma < 0.1:
        return labels.copy()
    dense, names = make_dense(labels)
    sigmas = scale_sigma(sigma, spacing)
    halo = [math.ceil(3 * value) + 1 for value in sigmas]
    best = np.zeros(labels.shape, np.float32)
    winner = np.zeros(labels.shape, np.uint32)
    for node, box in _boxes(dense, len(names), halo):
        check()
        share = smooth(dense[box] == node, sigmas)
        # Strictly more, so that on a tie the lower label stays: the result does not depend on anything else.
        wins = share > best[box] + np.float32(1e-6)
        best[box][wins] = share[wins]
        winner[box][wins] = node
    lost = np.ones(len(names), bool)
    lost[np.unique(winner)] = False
    vanished = lost[dense]
    winner[vanished] = dense[vanished]
    return names[winner]


def _boxes(dense: NDArray[np.uint32], n_nodes: int, halo: list[int]) -> list[tuple[int, tuple[slice, ...]]]:
    """Return the bounding box of each label with a halo; background gets the whole image."""
    from scipy.ndimage import find_objects

    boxes: list[tuple[int, tuple[slice, ...]]] = []
    if (dense == 0).any():
        boxes.append((0, tuple(slice(0, size) for size in dense.shape)))
    found = find_objects(dense.astype(np.int32), max_label=n_nodes - 1) if n_nodes > 1 else []
    for node, box in enumerate(found, start=1):
        if box is not None:
            grown = tuple(
                slice(max(part.start - width, 0), min(part.stop + width, size))
                for part, width, size in zip(box, halo, dense.shape, strict=True)
            )
            boxes.append((node, grown))
    return boxes


def expand_labels(labels: Labels, distance: float, spacing: Spacing) -> Labels:
    """Grow all objects into the background, each voxel to the nearest object.

    Parameters
    ----------
    labels
        (Z, Y, X) labels.
    distance
        How far, in the unit of `spacing`.
    spacing
        Edge lengths of a voxel.
    """
    from bioimage_cpp.distance import distance_transform

    background = labels == 0
    if not background.any() or background.all():
        return labels.copy()
    gaps, nearest = distance_transform(background, sampling=list(spacing), return_distances=True, return_indices=True)
    result = labels.copy()
    grow = background & (gaps <= distance * (1 + 1e-6))
    result[grow] = labels[tuple(axis[grow] for axis in nearest)]
    return result
