"""From an embedding to labelled objects by mean shift, and how sure each object is. Knows arrays alone.

>>> embedding = np.zeros((2, 1, 4, 8), np.float32)
>>> embedding[0, ..., 5:] = 1
>>> find_instances(embedding, np.ones((1, 4, 8), bool), InstanceRules(min_size=1))[0, 0].tolist()
[1, 1, 1, 1, 1, 2, 2, 2]
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, map_ids, never_stop
from plantseg_app.algorithms.flooding import flood
from plantseg_app.algorithms.frames import Piece, View, owners_of, stitch, views_of
from plantseg_app.algorithms.labels import drop_small, number_consecutively, split_components
from plantseg_app.algorithms.mean_shift import Seeding, mean_shift
from plantseg_app.core.fields import DEFAULT_MIN_SIZE

DEFAULT_BANDWIDTH = 0.5
DEFAULT_STITCH_IOU = 0.5


@dataclasses.dataclass(frozen=True)
class InstanceRules:
    """How objects are found.

    Attributes
    ----------
    bandwidth
        Euclidean distance within which embeddings belong together.
    min_size
        Objects with fewer voxels vanish.
    seeding
        Where the search starts, as in `mean_shift`.
    min_seed_points
        Cells of embedding space with fewer points start no search.
    join_distance
        Objects that touch, and whose mean embeddings lie closer than this, become one, the closest first; 0: none.
    fills_foreground
        Whether the foreground of vanished objects goes to the nearest ones that stay and touch it; where none touches
        it, it is an object if it is large enough.
    splits
        Whether the unconnected pieces of an object become objects of their own.
    by_slice
        Whether each slice is clustered by itself, where the embedding does not say so itself.
    stitch_iou
        Where two frames see the same voxels, objects that agree to this intersection over union are one.
    links_slices
        Whether objects of slices that were clustered apart are joined where they agree likewise.
    """

    bandwidth: float = DEFAULT_BANDWIDTH
    min_size: int = DEFAULT_MIN_SIZE
    seeding: Seeding = "points"
    min_seed_points: int = 1
    join_distance: float = 0.0
    fills_foreground: bool = False
    splits: bool = False
    by_slice: bool = False
    stitch_iou: float = DEFAULT_STITCH_IOU
    links_slices: bool = False


def find_instances(
    embedding: NDArray[Any],
    inside: NDArray[np.bool_] | None,
    rules: InstanceRules,
    n_channels: int | None = None,
    check: Check = never_stop,
) -> NDArray[np.uint32]:
    """Return the objects (Z, Y, X), 1 ... N.

    Parameters
    ----------
    embedding
        (C, Z, Y, X), or overlapping frames in layers (`plantseg_app.algorithms.frames`).
    inside
        (Z, Y, X), the foreground; without it, the largest cluster of each frame is background.
    rules
        How.
    n_channels
        Channels of one frame's embedding; None: there is one frame.
    check
        Called between moves of the search; may raise to stop.
    """
    shape = (embedding.shape[1], embedding.shape[2], embedding.shape[3])
    pieces = []
    for view in _views(embedding, n_channels, rules.by_slice):
        check()
        pieces.append(Piece(view.part, _cluster(view, inside, rules, check)))
    labels = pieces[0].labels
    if len(pieces) > 1:
        labels = stitch(pieces, shape, rules.stitch_iou, rules.links_slices)
    if rules.splits:
        labels = split_components(labels)
    check()
    kept = drop_small(labels, rules.min_size)
    if inside is not None and rules.fills_foreground:
        kept = _filled(kept, labels > 0, rules.min_size)
    return number_consecutively(kept)


def _filled(kept: NDArray[np.uint32], foreground: NDArray[np.bool_], min_size: int) -> NDArray[np.uint32]:
    """Return the labels after giving vanished foreground to the nearest objects; what touches none is one object."""
    import cc3d

    if kept.any():
        kept = flood(np.zeros(kept.shape, np.float32), kept.astype(np.uint32), np.ascontiguousarray(foreground))
    left = cc3d.connected_components(foreground & (kept == 0), connectivity=26, out_dtype=np.uint32)
    left = drop_small(np.asarray(left, np.uint32), min_size)
    return np.where(left > 0, left + kept.max(), kept).astype(np.uint32)


def _views(embedding: NDArray[Any], n_channels: int | None, by_slice: bool) -> list[View]:
    views = views_of(embedding, n_channels)
    if not by_slice:
        return views
    return [
        View((slice(z, z + 1), *view.part[1:]), view.embedding[:, z - view.part[0].start][:, None])
        for view in views
        for z in range(view.part[0].start, view.part[0].stop)
    ]


def _cluster(view: View, inside: NDArray[np.bool_] | None, rules: InstanceRules, check: Check) -> NDArray[np.uint32]:
    shape = view.embedding.shape[1:]
    chosen = np.ones(shape, bool) if inside is None else inside[view.part]
    points = np.ascontiguousarray(view.embedding[:, chosen].T)
    labels = np.zeros(shape, np.uint32)
    if not len(points):
        return labels
    found = mean_shift(points, rules.bandwidth, rules.seeding, rules.min_seed_points, check=check)
    numbers = found.labels.astype(np.uint32) + 1
    if inside is None:
        numbers[numbers == 1 + np.bincount(found.labels).argmax()] = 0
    labels[chosen] = numbers
    return join_touching(labels, view.embedding, rules.join_distance) if rules.join_distance else labels


def join_touching(labels: NDArray[np.uint32], embedding: NDArray[Any], distance: float) -> NDArray[np.uint32]:
    """Return the labels after joining objects that touch and whose mean embeddings are close, the closest first.

    What a network is unsure about breaks into pieces whose embeddings lie near to each other; so do, more rarely,
    objects that are different. That the pieces touch in the image tells most of these cases apart.

    Parameters
    ----------
    labels
        (Z, Y, X), dense, 0 is background.
    embedding
        (C, Z, Y, X).
    distance
        Means closer than this are joined; after each joining the mean is that of both.
    """
    inside = np.flatnonzero(labels)
    names = labels.ravel()[inside].astype(np.int64)
    n_names = int(labels.max(initial=0)) + 1
    sizes = np.bincount(names, minlength=n_names).astype(np.float64)
    flat = embedding.reshape(len(embedding), -1)
    sums = np.stack([np.bincount(names, weights=row[inside], minlength=n_names) for row in flat], 1)
    neighbours: list[set[int]] = [set() for _ in range(n_names)]
    for one, other in touching_pairs(labels).tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)

    def apart(one: int, other: int) -> float:
        return float(np.linalg.norm(sums[one] / sizes[one] - sums[other] / sizes[other]))

    target = np.arange(n_names, dtype=np.uint32)
    waiting = [(apart(one, other), one, other) for one in range(n_names) for other in neighbours[one] if one < other]
    heapq.heapify(waiting)
    while waiting and waiting[0][0] < distance:
        _, kept, gone = heapq.heappop(waiting)
        if gone not in neighbours[kept]:
            continue
        target[target == gone] = kept
        sums[kept] += sums[gone]
        sizes[kept] += sizes[gone]
        neighbours[kept] |= neighbours[gone]
        neighbours[kept] -= {kept, gone}
        for other in neighbours[gone]:
            neighbours[other].discard(gone)
        neighbours[gone] = set()
        # The mean has moved, so what was known about the distances to it is void.
        waiting = [entry for entry in waiting if not {kept, gone} & set(entry[1:])]
        for other in neighbours[kept]:
            neighbours[other].add(kept)
            waiting.append((apart(kept, other), min(kept, other), max(kept, other)))
        heapq.heapify(waiting)
    return np.asarray(map_ids(labels, target))


def touching_pairs(labels: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the pairs of labels that touch over a face, an edge or a corner, (P, 2), the smaller first."""
    found = []
    for offset in itertools.product((-1, 0, 1), repeat=labels.ndim):
        if offset <= (0,) * labels.ndim:
            continue
        here = tuple(slice(max(-step, 0), size - max(step, 0)) for step, size in zip(offset, labels.shape, strict=True))
        there = tuple(
            slice(max(step, 0), size - max(-step, 0)) for step, size in zip(offset, labels.shape, strict=True)
        )
        one, other = labels[here], labels[there]
        differ = (one != other) & (one > 0) & (other > 0)
        found.append(np.stack([one[differ], other[differ]], 1).astype(np.int64))
    return np.unique(np.sort(np.concatenate(found), 1), axis=0)


def instance_confidence(
    embedding: NDArray[Any], labels: NDArray[Any], bandwidth: float, n_channels: int | None = None
) -> NDArray[np.float64]:
    """Return how tight the embedding of each object is, (largest label + 1,) in [0, 1]; 0 for the background.

    The confidence of an object is the mean over its voxels of ``1 - distance / bandwidth``, at least 0, where the
    distance is that of the voxel's embedding from the mean of the object's: 1 when all voxels say the same. Where
    frames overlap, each voxel speaks in the frame in which it lies deepest, and the mean is that of the frame.

    Parameters
    ----------
    embedding, n_channels
        As in `find_instances`.
    labels
        (Z, Y, X) dense labels.
    bandwidth
        Of the clustering.
    """
    views = views_of(embedding, n_channels)
    owners = owners_of([view.part for view in views], (labels.shape[0], labels.shape[1], labels.shape[2]))
    n_names = int(labels.max(initial=0)) + 1
    sums, sizes = np.zeros(n_names), np.zeros(n_names)
    for number, view in enumerate(views):
        own = (owners[view.part] == number) & (labels[view.part] > 0)
        names = labels[view.part][own].astype(np.int64)
        points = view.embedding[:, own].astype(np.float64)
        counts = np.maximum(np.bincount(names, minlength=n_names), 1)
        means = np.stack([np.bincount(names, weights=row, minlength=n_names) / counts for row in points])
        distance = np.sqrt(((points - means[:, names]) ** 2).sum(0))
        tightness = np.clip(1 - distance / bandwidth, 0, 1)
        sums += np.bincount(names, weights=tightness, minlength=n_names)
        sizes += np.bincount(names, minlength=n_names)
    return np.asarray(sums / np.maximum(sizes, 1))


def confidence_map(labels: NDArray[Any], confidence: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the confidence of the object at each voxel, float32."""
    return np.asarray(map_ids(labels, confidence.astype(np.float32)))
