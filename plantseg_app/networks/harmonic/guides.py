"""Guide functions: a few sine waves over a frame, whose means over an object are that object's embedding.

A guide is ``sin(frequencies . position + phase)``; positions run from 0 to 1 along each axis of the frame, end points
included (Eq. 3 of the publication). An object's embedding is the mean of every guide over its voxels (Eq. 1 and 2).
Knows arrays alone.

>>> guides = preset("c-elegans")
>>> maps = guide_maps(guides, (5, 7))
>>> labels = np.array([[1, 1, 1, 1, 2, 2, 2]] * 5)
>>> embeddings = object_means(labels, maps)
>>> embeddings.shape, round(float(l1_distances(embeddings[1:])[0, 1]), 2)
((3, 12), 2.67)

References
----------
Kulikov and Lempitsky, Instance segmentation of biological images using harmonic embeddings, CVPR 2020,
doi:10.1109/CVPR42600.2020.00390.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Guide = tuple[float, ...]
"""The frequencies along the frame's axes (rows, then columns; slices first in 3D), then the phase."""

Guides = tuple[Guide, ...]
Initialisation = Literal["general", "separable"]

_CVPPP: Guides = (
    (-24.2230, 0.0, 0.44524), (-14.7790, 0.0, 1.25614), (-16.3992, 0.0, -0.37343), (18.3626, 0.0, 0.76592),
    (-0.66035, 0.0, 0.24005), (-33.7341, 0.0, -0.43504), (0.0, 4.28697, 0.81093), (0.0, -19.9083, 0.61436),
    (0.0, 22.9878, 0.28105), (0.0, 7.10883, 0.48280), (0.0, 23.6685, 0.21265), (0.0, -22.3323, 1.00076),
)  # fmt: skip
_C_ELEGANS: Guides = (
    (-10.2796, 1.39670, 2.87196), (-42.6249, 3.61128, 1.90895), (-33.9977, -0.23300, -0.50374),
    (-18.2874, 4.42699, -0.57361), (29.7734, -0.08113, 0.83935), (-8.26805, 0.03360, 1.55224),
    (0.76752, -4.62948, 1.90609), (-0.98938, 19.1738, -3.75866), (-0.59432, -36.0736, 1.26403),
    (-0.28905, 2.93358, 0.29353), (-0.84477, -20.7583, -2.89997), (0.21884, -24.4650, -0.18283),
)  # fmt: skip
_PRESETS = {"cvppp": _CVPPP, "c-elegans": _C_ELEGANS}


def preset(name: Literal["cvppp", "c-elegans"]) -> Guides:
    """Return the guides that were published for leaves of rosettes (CVPPP) or for worms (C. elegans), both 2D."""
    return _PRESETS[name]


def draw_guides(
    n_guides: int,
    n_axes: int,
    frequency_range: tuple[float, float],
    initialisation: Initialisation,
    rng: np.random.Generator,
) -> Guides:
    """Return random guides.

    Parameters
    ----------
    n_guides
        How many.
    n_axes
        2 or 3.
    frequency_range
        Smallest and largest frequency, in radians per frame.
    initialisation
        ``"general"``: a frequency along every axis and phases in [0, 2 pi), as published. ``"separable"``: every guide
        varies along one axis, in turns, with either sign, and phases in [0, 1), as in the published program.
    rng
        All randomness comes from it.
    """
    low, high = frequency_range
    frequencies = rng.uniform(low, high, (n_guides, n_axes))
    if initialisation == "general":
        phases = rng.uniform(0, 2 * np.pi, n_guides)
    else:
        phases = rng.uniform(0, 1, n_guides)
        # As many guides for each axis as for the others, those of the first axis first.
        axis = np.arange(n_guides) * n_axes // max(n_guides, 1)
        frequencies *= (np.arange(n_axes) == axis[:, None]) * rng.choice((-1.0, 1.0), (n_guides, 1))
    return as_guides(np.column_stack([frequencies, phases]))


def as_guides(table: NDArray[Any]) -> Guides:
    """Return guides from their numbers (N, axes + 1), rounded as they are stored."""
    return tuple(tuple(round(float(value), 6) for value in row) for row in table)


def positions(size: int) -> NDArray[np.float64]:
    """Return where the `size` voxels of an axis lie in the frame, from 0 to 1.

    A grid coarser by some factor, with the same end points, sees the guide stretched by that factor: this is the
    alignment between the levels of a network (Delta_L of the publication).
    """
    return np.linspace(0.0, 1.0, size)


def guide_maps(guides: Sequence[Guide], shape: Sequence[int]) -> NDArray[np.float32]:
    """Return the guides over a frame of `shape`, (N, *shape) float32 in [-1, 1]."""
    table = np.asarray(guides, np.float64)
    n_axes = len(shape)
    angle = table[:, -1].reshape(-1, *[1] * n_axes)
    for axis, size in enumerate(shape):
        along = positions(size).reshape(*[1] * axis, size, *[1] * (n_axes - 1 - axis))
        angle = angle + table[:, axis].reshape(-1, *[1] * n_axes) * along
    return np.asarray(np.sin(angle), np.float32)


def object_means(labels: NDArray[Any], maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each map over each label, (largest label + 1, N) float32; 0 for labels without a voxel.

    Parameters
    ----------
    labels
        Dense labels of any shape; 0, the background, counts as an object here.
    maps
        (N, *shape).
    """
    flat = labels.ravel()
    sizes = np.maximum(np.bincount(flat), 1)
    sums = [np.bincount(flat, weights=plane.ravel(), minlength=len(sizes)) for plane in maps]
    return np.asarray((np.stack(sums) / sizes).T, np.float32)


def l1_distances(embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Return the L1 distance between all embeddings (K, N), (K, K)."""
    wide = embeddings.astype(np.float64)
    return np.asarray(np.abs(wide[:, None] - wide[None]).sum(-1))


def squared_distances(embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Return the squared Euclidean distance between all embeddings (K, N), (K, K)."""
    wide = embeddings.astype(np.float64)
    return np.asarray(((wide[:, None] - wide[None]) ** 2).sum(-1))
