"""Objects that a second network's embedding confirms: mean shift, then a check of each cluster.

The second network is the slow average of the first, and sees another rendering of the same image. What one of them
makes of noise or of an unknown background, the other does not. Knows arrays alone.

>>> embedding = np.zeros((1, 1, 4, 9), np.float32)
>>> embedding[..., 3:6], embedding[..., 6:] = 2, 4
>>> second = np.where(embedding == 4, np.arange(9) * 2.0, embedding).astype(np.float32)
>>> view = View((slice(0, 1), slice(0, 4), slice(0, 9)), embedding)
>>> ByConsistency(second)(view, np.ones((1, 4, 9), bool))[0, 0].tolist()
[2, 2, 2, 1, 1, 1, 0, 0, 0]

References
----------
Wolny, Learning instance segmentation from sparse supervision, Heidelberg 2023, algorithm 1.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, map_ids, never_stop
from plantseg_app.algorithms.frames import View
from plantseg_app.algorithms.instances import DEFAULT_BANDWIDTH, ByMeanShift, Clustering

_BLOCK_POINTS = 50_000


@dataclasses.dataclass(frozen=True, eq=False)
class ByConsistency:
    """Clustering by mean shift whose clusters must be found again in a second embedding.

    Attributes
    ----------
    second
        (C, Z, Y, X) of the whole image, by the second network.
    clustering
        What finds the clusters in the first embedding.
    radius
        Distance in the second embedding within which voxels belong to an anchor; the margin of the pull force.
    agreement
        Intersection over union above which a cluster is confirmed.
    n_anchors
        Voxels of each cluster that are tried; the median of their agreement counts.
    seed
        Of the choice of anchors.
    """

    second: NDArray[Any]
    clustering: Clustering = dataclasses.field(default_factory=ByMeanShift)
    radius: float = DEFAULT_BANDWIDTH
    agreement: float = 0.6
    n_anchors: int = 100
    seed: int = 0

    def __call__(self, view: View, inside: NDArray[np.bool_], check: Check = never_stop) -> NDArray[np.uint32]:
        """Return the labels of the view."""
        labels = self.clustering(view, inside, check)
        points = np.ascontiguousarray(self.second[(slice(None), *view.part)][:, inside].T)
        rng = np.random.default_rng(self.seed)
        scores = agreements(points, labels[inside], self.radius, self.n_anchors, rng, check)
        table = np.where(scores > self.agreement, np.arange(len(scores)), 0)
        _, numbers = np.unique(np.append(0, table), return_inverse=True)
        return np.asarray(map_ids(labels, numbers[1:].astype(np.uint32)))


def agreements(
    points: NDArray[Any],
    names: NDArray[np.uint32],
    radius: float,
    n_anchors: int,
    rng: np.random.Generator,
    check: Check = never_stop,
) -> NDArray[np.float64]:
    """Return how well each cluster is found again around its own voxels, (K + 1,) in [0, 1]; 0 for 0.

    Parameters
    ----------
    points
        (N, C), the second embedding.
    names
        (N,), the cluster of each point, 1 ... K; 0 for none.
    radius
        A cluster is found again as the points nearer than this to an anchor.
    n_anchors
        Points of each cluster that are tried as anchors; all of smaller clusters.
    rng
        Chooses them.
    check
        Called between clusters; may raise to stop.

    Returns
    -------
    NDArray
        The median over the anchors of the intersection over union.
    """
    scores = np.zeros(int(names.max(initial=0)) + 1)
    order = np.argsort(names, kind="stable")
    bounds = np.searchsorted(names[order], np.arange(len(scores) + 1))
    values = np.asarray(points[order], np.float32)
    values -= values.mean(0)
    # Laid out so that one matrix product tells: p is within reach of a where 2 a.p - p.p > a.a - radius^2.
    extended = np.column_stack([2 * values, -np.einsum("nc,nc->n", values, values)]).T
    for name in range(1, len(scores)):
        first, last = bounds[name], bounds[name + 1]
        if first == last:
            continue
        chosen = rng.choice(last - first, min(n_anchors, last - first), replace=False) + first
        anchors = np.column_stack([values[chosen], np.ones(len(chosen), np.float32)])
        least = np.einsum("ac,ac->a", values[chosen], values[chosen]) - np.float32(radius**2)
        found, shared = np.zeros(len(chosen)), np.zeros(len(chosen))
        for start in range(0, len(values), _BLOCK_POINTS):
            check()
            near = anchors @ extended[:, start : start + _BLOCK_POINTS] > least[:, None]
            found += np.count_nonzero(near, axis=1)
            own = slice(max(first - start, 0), max(last - start, 0))
            shared += np.count_nonzero(near[:, own], axis=1)
        scores[name] = np.median(shared / (found + (last - first) - shared))
    return scores
