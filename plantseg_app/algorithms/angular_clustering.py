"""Objects from an embedding of directions, grown from the middle of each: the angular clustering of W-Net.

Seeds are the peaks of a map of the distance to the nearest border, 1 in the middle of each object. From a seed grows
what touches it and whose embedding points nearly the same way. Knows arrays alone.

>>> embedding = np.zeros((2, 1, 3, 8), np.float32)
>>> embedding[0, ..., :5], embedding[1, ..., 5:] = 1, 1
>>> seeds = np.zeros((1, 3, 8), np.uint32)
>>> seeds[0, 1, [2, 6]] = 1, 2
>>> grow_by_angle(embedding, seeds, seed_directions(embedding, seeds), angle_deg=45.0)[0, 0].tolist()
[1, 1, 1, 1, 1, 2, 2, 2]

References
----------
Wu, Chen and Merhof, Improving pixel embedding learning through intermediate distance regression supervision for
instance segmentation, ECCV workshops 2020, doi:10.48550/arXiv.2007.06660.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, map_ids, never_stop
from plantseg_app.algorithms.filters import ellipsoid, gaussian
from plantseg_app.algorithms.flooding import Spacing, label_touching, scale_sigma
from plantseg_app.algorithms.frames import View
from plantseg_app.algorithms.growing import grow_alike
from plantseg_app.algorithms.labels import mean_by_label
from plantseg_app.algorithms.merging import embedding_sums


@dataclasses.dataclass(frozen=True)
class AngleRules:
    """How seeds are found and grown.

    Attributes
    ----------
    angle_deg
        Largest angle between a voxel's embedding and that of the seed it grows from, in degrees.
    seed_threshold
        Least distance at a seed, as a share of the largest of the map.
    seed_distance
        Least distance between seeds, in voxels of the finest axis; of close ones the higher stays.
    seed_sigma
        Smoothing of the distance map, in voxels of the finest axis.
    smoothing
        Radius within which embeddings are averaged, in voxels of the finest axis.
    min_distance
        Objects whose mean distance is below this share of the largest of the map vanish.
    rim_distance
        Voxels whose distance is below this share of the largest of the map belong to no object.
    """

    angle_deg: float = 45.0
    seed_threshold: float = 0.7
    seed_distance: int = 10
    seed_sigma: float = 3.0
    smoothing: float = 3.0
    min_distance: float = 0.1
    rim_distance: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class ByAngle:
    """Clustering by angles.

    Attributes
    ----------
    distance
        (Z, Y, X) of the whole image, the distance map.
    rules
        How.
    spacing
        Edge lengths of a voxel, any unit.
    """

    distance: NDArray[Any]
    rules: AngleRules = AngleRules()
    spacing: Spacing = (1.0, 1.0, 1.0)

    def __call__(self, view: View, inside: NDArray[np.bool_], check: Check = never_stop) -> NDArray[np.uint32]:
        """Return the labels of the view."""
        distance = np.asarray(self.distance[view.part], np.float32)
        highest = float(distance.max(initial=0))
        inside = inside & (distance >= self.rules.rim_distance * highest)
        seeds = distance_seeds(distance, inside, self.rules, self.spacing)
        check()
        embedding = smooth_directions(view.embedding, scale_sigma(self.rules.smoothing, self.spacing))
        check()
        directions = seed_directions(embedding, seeds)
        labels = grow_by_angle(embedding, seeds, directions, self.rules.angle_deg, inside, check)
        means = mean_by_label(labels, distance, len(directions))
        kept = np.arange(len(directions))
        kept[~(means >= self.rules.min_distance * highest)] = 0
        kept[0] = 0
        _, numbers = np.unique(np.append(0, kept), return_inverse=True)
        return np.asarray(map_ids(labels, numbers[1:].astype(np.uint32)))


def distance_seeds(
    distance: NDArray[np.float32],
    inside: NDArray[np.bool_] | None = None,
    rules: AngleRules = AngleRules(),
    spacing: Spacing = (1.0, 1.0, 1.0),
) -> NDArray[np.uint32]:
    """Return the peaks of a distance map, (Z, Y, X) uint32, 1 ... N; a flat top is one seed.

    Parameters
    ----------
    distance
        (Z, Y, X), high in the middle of each object.
    inside
        (Z, Y, X), where seeds may lie; everywhere unless given.
    rules
        How; the angle does not count.
    spacing
        Edge lengths of a voxel, any unit.
    """
    from scipy.ndimage import maximum_filter

    smooth = gaussian(distance, scale_sigma(rules.seed_sigma, spacing))
    if inside is not None:
        smooth = np.where(inside, smooth, 0)
    reach = [2 * max(1, round(step)) + 1 for step in scale_sigma(rules.seed_distance, spacing)]
    peaks = (maximum_filter(smooth, reach, mode="nearest") == smooth) & (smooth > 0)
    peaks &= smooth >= rules.seed_threshold * smooth.max()
    return label_touching(peaks)[0]


def smooth_directions(embedding: NDArray[Any], radius_vox: Spacing) -> NDArray[np.float32]:
    """Return the embedding averaged over the ellipsoid around each voxel, and of length 1; (C, Z, Y, X) float32.

    Parameters
    ----------
    embedding
        (C, Z, Y, X).
    radius_vox
        Of the ellipsoid along each axis; below 1 an axis is left alone.
    """
    from scipy.ndimage import correlate

    footprint = ellipsoid([r if n > 1 else 0.0 for n, r in zip(embedding.shape[1:], radius_vox, strict=True)])
    result = np.array(embedding, np.float32)
    if footprint.size > 1:
        for channel in result:
            channel[:] = correlate(channel, footprint.astype(np.float32), mode="nearest")
    length = np.sqrt(np.einsum("czyx,czyx->zyx", result, result))
    result /= np.maximum(length, np.finfo(np.float32).tiny)
    return result


def seed_directions(embedding: NDArray[Any], seeds: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Return the direction of the mean embedding of each seed, (N + 1, C) of length 1; zeros for 0."""
    sums, _ = embedding_sums(seeds, embedding)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(length, np.finfo(np.float64).tiny), np.float32)


def grow_by_angle(
    embedding: NDArray[np.float32],
    seeds: NDArray[np.uint32],
    directions: NDArray[np.float32],
    angle_deg: float,
    inside: NDArray[np.bool_] | None = None,
    check: Check = never_stop,
) -> NDArray[np.uint32]:
    """Return what grows from seeds over neighbours that point nearly the same way; as `grow_alike`.

    Parameters
    ----------
    embedding
        (C, Z, Y, X) of length 1.
    seeds
        (Z, Y, X), 1 ... N.
    directions
        (N + 1, C) of length 1, the direction of each seed.
    angle_deg
        Largest angle to the direction of the seed.
    inside, check
        As in `grow_alike`.
    """
    chord = 2 * np.sin(np.deg2rad(angle_deg) / 2)
    return grow_alike(embedding, seeds, directions, float(chord), inside, check)
