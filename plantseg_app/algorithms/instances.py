"""From an embedding to labelled objects by any clustering, and how sure each object is. Knows arrays alone.

What all clusterings share is here: foreground and background, small objects, pieces, slices and overlapping frames. A
`Clustering` does the rest for one view.

>>> embedding = np.zeros((2, 1, 4, 8), np.float32)
>>> embedding[0, ..., 5:] = 1
>>> find_instances(embedding, np.ones((1, 4, 8), bool), ByMeanShift(0.5), InstanceRules(min_size=1))[0, 0].tolist()
[1, 1, 1, 1, 1, 2, 2, 2]
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, map_ids, never_stop
from plantseg_app.algorithms.flooding import flood
from plantseg_app.algorithms.frames import Piece, View, owners_of, stitch, views_of
from plantseg_app.algorithms.labels import drop_small, number_consecutively, split_components
from plantseg_app.algorithms.mean_shift import Seeding, mean_shift
from plantseg_app.algorithms.merging import embedding_sums, join_touching
from plantseg_app.core.fields import DEFAULT_MIN_SIZE

DEFAULT_BANDWIDTH = 0.5
DEFAULT_STITCH_IOU = 0.5

_BACKGROUND_CANDIDATES = 100
"""How many of the largest clusters may be the background."""


class Clustering(Protocol):
    """How the voxels of one view become objects."""

    def __call__(self, view: View, inside: NDArray[np.bool_], check: Check) -> NDArray[np.uint32]:
        """Return (Z, Y, X) labels of the view, dense from 1; 0 outside and where there is no object.

        Parameters
        ----------
        view
            The embedding of a part of the image, and which part.
        inside
            (Z, Y, X), the voxels of the part that are to be clustered.
        check
            Called between stages; may raise to stop.
        """


@dataclasses.dataclass(frozen=True)
class ByMeanShift:
    """Clustering by mean shift (`plantseg_app.algorithms.mean_shift`).

    Attributes
    ----------
    bandwidth
        Euclidean distance within which embeddings belong together.
    seeding, min_seed_points
        As in `mean_shift`.
    """

    bandwidth: float = DEFAULT_BANDWIDTH
    seeding: Seeding = "points"
    min_seed_points: int = 1

    def __call__(self, view: View, inside: NDArray[np.bool_], check: Check) -> NDArray[np.uint32]:
        """Return the labels of the view."""
        points = np.ascontiguousarray(view.embedding[:, inside].T)
        found = mean_shift(points, self.bandwidth, self.seeding, self.min_seed_points, check=check)
        labels = np.zeros(inside.shape, np.uint32)
        labels[inside] = found.labels.astype(np.uint32) + 1
        return labels


@dataclasses.dataclass(frozen=True)
class InstanceRules:
    """What becomes of clusters.

    Attributes
    ----------
    min_size
        Objects with fewer voxels vanish.
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
    largest_is_background
        Whether the largest cluster is background where no foreground is given; otherwise it is an object as any.
    background_distance
        Clusters whose mean embeddings lie closer than this to that of the background are background, too.
    """

    min_size: int = DEFAULT_MIN_SIZE
    join_distance: float = 0.0
    fills_foreground: bool = False
    splits: bool = False
    by_slice: bool = False
    stitch_iou: float = DEFAULT_STITCH_IOU
    links_slices: bool = False
    largest_is_background: bool = True
    background_distance: float = 0.0


def find_instances(
    embedding: NDArray[Any],
    inside: NDArray[np.bool_] | None,
    clustering: Clustering,
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
        (Z, Y, X), the foreground; None: everywhere.
    clustering
        How the voxels of a view are clustered.
    rules
        What becomes of the clusters.
    n_channels
        Channels of one frame's embedding; None: there is one frame.
    check
        Called between stages; may raise to stop.
    """
    shape = (embedding.shape[1], embedding.shape[2], embedding.shape[3])
    pieces = []
    for view in _views(embedding, n_channels, rules.by_slice):
        check()
        pieces.append(Piece(view.part, _cluster(view, inside, clustering, rules, check)))
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


def _cluster(
    view: View, inside: NDArray[np.bool_] | None, clustering: Clustering, rules: InstanceRules, check: Check
) -> NDArray[np.uint32]:
    shape = view.embedding.shape[1:]
    chosen = np.ones(shape, bool) if inside is None else inside[view.part]
    if not chosen.any():
        return np.zeros(shape, np.uint32)
    labels = clustering(view, chosen, check)
    if inside is None and rules.largest_is_background and labels.any():
        labels = _without_background(labels, view, rules.background_distance)
    return join_touching(labels, view.embedding, rules.join_distance) if rules.join_distance else labels


def _without_background(labels: NDArray[np.uint32], view: View, distance: float) -> NDArray[np.uint32]:
    """Return the labels without the largest cluster and those whose mean embeddings are close to its own.

    The background may be in pieces, each smaller than an object: the cluster counts that is largest with those.
    """
    sums, sizes = embedding_sums(labels, view.embedding)
    means = sums / np.maximum(sizes, 1)[:, None]

    def alike(name: int) -> NDArray[np.bool_]:
        near = np.linalg.norm(means - means[name], axis=1) < distance
        near[name] = True
        return np.asarray(near)

    candidates = np.argsort(-sizes, kind="stable")[:_BACKGROUND_CANDIDATES]
    background = max((alike(int(name)) for name in candidates), key=lambda near: float(sizes[near].sum()))
    table = np.where(background, 0, np.arange(len(sizes))).astype(np.uint32)
    return np.asarray(map_ids(labels, table))


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
