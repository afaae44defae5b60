"""Objects from an embedding as its dense regions (HDBSCAN), and a watershed for what lies in none.

The library takes a time that grows with the square of the number of points, so many voxels are clustered by a random
part of them; the others go where the nearest of that part went. Knows arrays alone.

>>> rng = np.random.default_rng(0)
>>> points = np.concatenate([rng.normal(0, 0.05, (60, 4)), rng.normal(1, 0.05, (90, 4)), [[9.0, 9, 9, 9]]])
>>> labels = dense_regions(points, min_size=20, epsilon=0.1)
>>> np.unique(labels).tolist(), int(labels[-1]), np.bincount(labels[:-1]).tolist()
([-1, 0, 1], -1, [60, 90])

References
----------
Campello et al., Density-based clustering based on hierarchical density estimates, PAKDD 2013,
doi:10.1007/978-3-642-37456-2_14.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.flooding import flood, smooth
from plantseg_app.algorithms.frames import View
from plantseg_app.core.fields import DEFAULT_MIN_SIZE

DEFAULT_MAX_POINTS = 10_000

_LEAST_CLUSTER = 5
"""Fewest points of a cluster in the part that is clustered; fewer say nothing of density."""


@dataclasses.dataclass(frozen=True, eq=False)
class ByDensity:
    """Clustering by HDBSCAN.

    Attributes
    ----------
    min_size
        Fewest voxels of a cluster.
    epsilon
        Clusters nearer to each other than this are not split.
    max_points
        Most voxels that are clustered by themselves; 0: all.
    fills
        Whether noise goes to the clusters around it.
    relief
        (Z, Y, X) of the whole image, high between objects, over which noise is flooded; None: to the nearest.
    seed
        Of the random part.
    """

    min_size: int = DEFAULT_MIN_SIZE
    epsilon: float = 0.5
    max_points: int = DEFAULT_MAX_POINTS
    fills: bool = True
    relief: NDArray[Any] | None = None
    seed: int = 0

    def __call__(self, view: View, inside: NDArray[np.bool_], check: Check = never_stop) -> NDArray[np.uint32]:
        """Return the labels of the view."""
        points = np.ascontiguousarray(view.embedding[:, inside].T)
        found = dense_regions(points, self.min_size, self.epsilon, self.max_points, self.seed)
        check()
        labels = np.zeros(inside.shape, np.uint32)
        labels[inside] = (found + 1).astype(np.uint32)
        if self.fills and labels.any():
            relief = np.zeros(inside.shape, np.float32)
            if self.relief is not None:
                relief = smooth(self.relief[view.part], (1.0,) * 3)
            labels = flood(relief, labels, np.ascontiguousarray(inside), check=check)
        return labels


def dense_regions(
    points: NDArray[Any],
    min_size: int,
    epsilon: float,
    max_points: int = 0,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Cluster points by HDBSCAN.

    Parameters
    ----------
    points
        (N, C) real numbers.
    min_size
        Fewest points of a cluster, and of the neighbourhood in which density is measured; at least 2.
    epsilon
        Euclidean distance below which clusters are not split.
    max_points
        Most points that are clustered; the others follow the nearest of them, and the size is scaled. 0: all.
    seed
        Of the choice of these points.

    Returns
    -------
    NDArray
        (N,) int64, clusters from 0 and -1 for noise. Where there is no structure at all, all is one cluster.
    """
    n_points = len(points)
    if not max_points or n_points <= max_points:
        return _hdbscan(points, max(2, min_size), epsilon)
    chosen = np.sort(np.random.default_rng(seed).choice(n_points, max_points, replace=False))
    size = max(_LEAST_CLUSTER, round(min_size * max_points / n_points))
    part = _hdbscan(points[chosen], size, epsilon)
    labels = part[_nearest(points, points[chosen])]
    labels[chosen] = part
    return labels


def _hdbscan(points: NDArray[Any], min_size: int, epsilon: float) -> NDArray[np.int64]:
    from hdbscan import HDBSCAN

    if len(points) < min_size:
        return np.full(len(points), -1, np.int64)
    labels = np.zeros(len(points), np.int64)
    if len(points) > min_size:
        # float64, of which the library makes a copy anyway; one process, which is all that pays here.
        finder = HDBSCAN(min_cluster_size=min_size, cluster_selection_epsilon=epsilon, core_dist_n_jobs=1)
        labels[:] = finder.fit_predict(points.astype(np.float64))
    # The library finds several clusters or none.
    return np.zeros_like(labels) if (labels < 0).all() else labels


def _nearest(points: NDArray[Any], among: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index of the nearest of the points `among` for each of `points`."""
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(among).query(points)[1], np.int64)
