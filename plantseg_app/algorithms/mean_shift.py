"""Mean shift with a flat kernel, exact and fast enough for every pixel of an image.

Every seed moves to the mean of the points within the bandwidth until it stands still; where seeds end are the modes,
and every point belongs to the nearest one. With seeds from bins, the moves and the order and choice of modes are those
of scikit-learn's ``MeanShift(bandwidth, bin_seeding=True)``, and so are the clusters. Three things make it fast: seeds
move together as one matrix product; points lie in leaves that a seed takes or leaves as a whole where it can;
and seeds that meet go on as one. Knows arrays alone.

>>> rng = np.random.default_rng(0)
>>> points = np.concatenate([rng.normal(0, 0.05, (30, 4)), rng.normal(1, 0.05, (50, 4))])
>>> found = mean_shift(points, 0.5)
>>> found.labels[[0, -1]].tolist(), found.counts.tolist()     # the densest mode comes first
([1, 0], [50, 30])

References
----------
Comaniciu and Meer, Mean shift: a robust approach toward feature space analysis, IEEE TPAMI 24, 2002,
doi:10.1109/34.1000236.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.errors import InputError, RequestError

Floats = NDArray[np.float64]

_STANDS_STILL = 1e-3
_LEAF_POINTS = 512
_BLOCK_NUMBERS = 4_000_000
_BLOCK_PAIRS = 4096
_MOST_ROUNDS = 20
# Rounding errors of distances and means are far below, differences that mean something far above.
_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of some points.

    Attributes
    ----------
    labels
        (N,) int32, the cluster of each point from 0, the densest first.
    centres
        (K, C) float64, the modes.
    counts
        (K,) int64, the points within the bandwidth of each mode.
    """

    labels: NDArray[np.int32]
    centres: Floats
    counts: NDArray[np.int64]


Seeding = Literal["bins", "points"]


def mean_shift(
    points: NDArray[Any],
    bandwidth: float,
    seeding: Seeding = "bins",
    min_seed_points: int = 1,
    max_steps: int = 300,
    check: Check = never_stop,
) -> Clusters:
    """Cluster points.

    Parameters
    ----------
    points
        (N, C) real numbers.
    bandwidth
        Euclidean radius within which points belong together.
    seeding
        ``"bins"``: seeds are the centres of the occupied cells of a grid as coarse as the bandwidth. A seed between two
        clusters less than two bandwidths apart may stay there and join them. ``"points"``: seeds are points, one of
        each cell, then one of each cell of the points that no mode is near to, and so on: clusters of equal points come
        out apart as soon as they are more than a bandwidth apart.
    min_seed_points
        Cells with fewer points start no search, which saves time in noisy data.
    max_steps
        Most moves of a seed.
    check
        Called between moves; may raise to stop.

    Raises
    ------
    RequestError
        If the bandwidth is not above 0.
    InputError
        If the points are no matrix, or not finite.
    """
    if not bandwidth > 0:
        raise RequestError(f"The bandwidth of mean shift is above 0; {bandwidth} was given.")
    if points.ndim != 2 or not np.isfinite(points).all():
        raise InputError("Mean shift takes a matrix of finite numbers, one row a point.")
    if not len(points):
        return Clusters(np.empty(0, np.int32), np.empty((0, points.shape[1])), np.empty(0, np.int64))
    tree = _Tree(points)

    def climb(seeds: Floats) -> tuple[Floats, Floats]:
        return _climb(tree, seeds, bandwidth, max_steps, check)

    if seeding == "bins":
        # When every cell is thinner than asked for, all are better than none.
        seeds = bin_seeds(points, bandwidth, min_seed_points)
        means, counts = climb(seeds if len(seeds) else bin_seeds(points, bandwidth))
    else:
        means, counts = _from_points(points, bandwidth, min_seed_points, climb, check)
    centres, counts = _distinct_modes(means, counts, bandwidth)
    check()
    return Clusters(tree.nearest(centres, check), centres, counts.astype(np.int64))


def _from_points(
    points: NDArray[Any],
    bandwidth: float,
    min_points: int,
    climb: Callable[[Floats], tuple[Floats, Floats]],
    check: Check,
) -> tuple[Floats, Floats]:
    """Return modes, and the points around each, looked for until nearly all points are near to one."""
    left = points
    means, counts = np.empty((0, points.shape[1])), np.empty(0)
    for _ in range(_MOST_ROUNDS):
        seeds = point_seeds(left, bandwidth, min_points)
        if not len(seeds) and not len(means):
            seeds = point_seeds(left, bandwidth)
        if not len(seeds):
            break
        found, around = climb(seeds)
        known = len(means)
        means, kept = _without_doubles(np.concatenate([means, found]), bandwidth)
        counts = np.concatenate([counts, around])[kept]
        # What climbs to modes that are known already will do so again.
        if len(means) == known:
            break
        nearest = means[nearest_centre(left, means, check)]
        left = left[np.einsum("nc,nc->n", left - nearest, left - nearest) > bandwidth**2]
        if not len(left):
            break
    return means, counts


def point_seeds(points: NDArray[Any], bandwidth: float, min_points: int = 1) -> Floats:
    """Return one point of each occupied cell of a grid as coarse as the bandwidth: the one nearest to their mean.

    Parameters
    ----------
    points
        (N, C).
    bandwidth
        Edge of a cell.
    min_points
        Cells with fewer points are left out.
    """
    _, cell, sizes = _cells(points, bandwidth)
    order = np.argsort(cell, kind="stable")
    starts = np.cumsum([0, *sizes[:-1]])
    ordered = points[order].astype(np.float64)
    means = np.add.reduceat(ordered, starts) / sizes[:, None]
    away = ordered - means[cell[order]]
    distance = np.einsum("nc,nc->n", away, away)
    # Sorted by cell, then by distance: the first of each cell is the nearest.
    nearest = np.lexsort((distance, cell[order]))[starts]
    return np.asarray(ordered[nearest][sizes >= min_points])


def _cells(points: NDArray[Any], bandwidth: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the occupied cells (K, C) in units of the bandwidth, the cell of each point, and the points in each."""
    low = np.round(points.min(0) / bandwidth)
    extent = [int(n) for n in np.round(points.max(0) / bandwidth) - low + 1]
    keys: NDArray[np.int64]
    if math.prod(extent) < 2**62:
        keys = np.zeros(len(points), np.int64)
        for column, least, n_cells in zip(points.T, low, extent, strict=True):
            keys *= n_cells
            keys += (np.round(column / bandwidth) - least).astype(np.int64)
    else:
        keys = np.round(points / bandwidth).astype(np.int64)
    axis_of_rows = 0 if keys.ndim == 2 else None
    _, first, cell, sizes = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True, axis=axis_of_rows
    )
    return np.round(points[first] / bandwidth).astype(np.int64), cell.ravel(), sizes


def bin_seeds(points: NDArray[Any], bandwidth: float, min_points: int = 1) -> Floats:
    """Return the centres of the occupied cells of a grid as coarse as the bandwidth; the points when each has its own.

    Parameters
    ----------
    points
        (N, C).
    bandwidth
        Edge of a cell.
    min_points
        Cells with fewer points are left out.
    """
    cells, _, sizes = _cells(points, bandwidth)
    chosen = cells[sizes >= min_points]
    if len(chosen) == len(points):
        return points.astype(np.float64)
    return np.asarray(chosen.astype(np.float32) * np.float32(bandwidth), np.float64)


def nearest_centre(points: NDArray[Any], centres: Floats, check: Check = never_stop) -> NDArray[np.int32]:
    """Return the number of the nearest of the (K, C) `centres` for each of the (N, C) points, int32."""
    labels = np.empty(len(points), np.int32)
    step = max(1, _BLOCK_NUMBERS // len(centres))
    lengths = np.einsum("kc,kc->k", centres, centres)
    for start in range(0, len(points), step):
        check()
        part = points[start : start + step].astype(np.float64)
        labels[start : start + step] = (lengths - 2 * (part @ centres.T)).argmin(1)
    return labels


class _Tree:
    """Points sorted so that those of a leaf are neighbours; each leaf knows its middle, reach, box, sum and number."""

    def __init__(self, points: NDArray[Any]) -> None:
        self.order, self.starts = _sorted_into_leaves(points)
        ordered = points[self.order].astype(np.float64)
        self.low, self.high = np.minimum.reduceat(ordered, self.starts), np.maximum.reduceat(ordered, self.starts)
        # Laid out so that one matrix product tells what is near, and another gives sums and numbers.
        for_sum = np.column_stack([ordered, np.ones(len(ordered))])
        self.leaf_sums = np.add.reduceat(for_sum, self.starts)
        self.middles = self.leaf_sums[:, :-1] / self.leaf_sums[:, -1:]
        lengths = np.einsum("nc,nc->n", ordered, ordered)
        for_distance = np.column_stack([2 * ordered, -lengths, np.ones(len(ordered))])
        self.for_sum = np.split(for_sum, self.starts[1:])
        self.for_distance = [np.ascontiguousarray(part.T) for part in np.split(for_distance, self.starts[1:])]
        ordered -= np.repeat(self.middles, self.leaf_sums[:, -1].astype(np.int64), axis=0)
        self.reach = np.sqrt(np.maximum.reduceat(np.einsum("nc,nc->n", ordered, ordered), self.starts))

    def sums_within(self, centres: Floats, radius: float, check: Check) -> tuple[Floats, Floats]:
        """Return the sum (S, C) and the number (S,) of the points within `radius` of each of the centres (S, C)."""
        totals = np.empty((len(centres), centres.shape[1] + 1))
        step = max(1, _BLOCK_NUMBERS // len(self.starts))
        for start in range(0, len(centres), step):
            check()
            totals[start : start + step] = self._of_block(centres[start : start + step], radius)
        return totals[:, :-1], totals[:, -1]

    def _of_block(self, centres: Floats, radius: float) -> Floats:
        whole, leaves, seeds = self._leaves_near(centres, radius)
        totals: Floats = whole.astype(np.float64) @ self.leaf_sums
        # A point p is within reach of a centre c where 2 c.p - p.p + (radius^2 - c.c) is not below 0.
        spare = radius**2 - np.einsum("sc,sc->s", centres, centres)
        asked = np.column_stack([centres, np.ones(len(centres)), spare])[seeds]
        bounds = np.searchsorted(leaves, np.arange(len(self.starts) + 1)).tolist()
        for leaf, (start, stop) in enumerate(itertools.pairwise(bounds)):
            if start < stop:
                near = asked[start:stop] @ self.for_distance[leaf] >= 0
                totals[seeds[start:stop]] += near.astype(np.float64) @ self.for_sum[leaf]
        return totals

    def _leaves_near(
        self, centres: Floats, radius: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """Return which leaves lie within reach of which centres (S, L), and the pairs that must be looked into.

        The pairs are two arrays, leaf and centre, sorted by leaf.
        """
        slack = _TOLERANCE * (1 + radius)
        distance = squared_distances(centres, self.middles)
        whole = distance <= np.square(np.maximum(radius - slack - self.reach, 0))
        whole &= self.reach < radius - slack
        partly = distance <= np.square(radius + slack + self.reach)
        partly &= ~whole
        leaves, seeds = np.nonzero(partly.T)
        is_near = np.empty(len(leaves), bool)
        for start in range(0, len(leaves), _BLOCK_PAIRS):
            part = slice(start, start + _BLOCK_PAIRS)
            leaf, centre = leaves[part], centres[seeds[part]]
            # A box lies closer around the points than a ball does.
            beyond = np.maximum(self.low[leaf] - centre, centre - self.high[leaf])
            np.maximum(beyond, 0, out=beyond)
            is_near[part] = np.einsum("pc,pc->p", beyond, beyond) <= (radius + slack) ** 2
        return whole, leaves[is_near], seeds[is_near]

    def nearest(self, centres: Floats, check: Check) -> NDArray[np.int32]:
        """Return the number of the nearest of the (K, C) centres for each point, int32."""
        labels = np.empty(len(self.order), np.int32)
        distance = np.sqrt(np.maximum(squared_distances(self.middles, centres), 0))
        # Any centre that is nearest to some point of a leaf is no further from its middle than this.
        furthest = distance.min(1) + 2 * self.reach + _TOLERANCE * (1 + distance.max())
        lengths = np.einsum("kc,kc->k", centres, centres)
        asked = np.column_stack([centres, np.zeros(len(centres)), -lengths])
        bounds = [*self.starts.tolist(), len(self.order)]
        for leaf, (start, stop) in enumerate(itertools.pairwise(bounds)):
            chosen = np.flatnonzero(distance[leaf] <= furthest[leaf])
            if len(chosen) > 1:
                # The nearest centre c of a point p has the largest 2 c.p - c.c.
                chosen = chosen[(asked[chosen] @ self.for_distance[leaf]).argmax(0)]
            labels[self.order[start:stop]] = chosen
        check()
        return labels


def _sorted_into_leaves(points: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return an order of the points and where in it each leaf begins: boxes are halved along their longest edge."""
    columns = np.ascontiguousarray(points.T)
    order = np.arange(len(points))
    starts: list[int] = []
    waiting = [(0, len(points))]
    while waiting:
        start, stop = waiting.pop()
        part = order[start:stop]
        n_below = 0
        if stop - start > _LEAF_POINTS:
            some = points[part[:: -(-(stop - start) // _LEAF_POINTS)]]
            low, high = some.min(0), some.max(0)
            axis = int(np.argmax(high - low))
            below = columns[axis][part] <= (low[axis] + high[axis]) / 2
            n_below = int(np.count_nonzero(below))
        if n_below in (0, stop - start):
            starts.append(start)
            continue
        order[start : start + n_below], order[start + n_below : stop] = part[below], part[~below]
        waiting += [(start + n_below, stop), (start, start + n_below)]
    return order, np.array(starts)


def squared_distances(first: Floats, second: Floats) -> Floats:
    """Return the squared Euclidean distance between all rows of (A, C) and (B, C), (A, B)."""
    product = first @ second.T
    product *= -2
    product += np.einsum("ac,ac->a", first, first)[:, None]
    product += np.einsum("bc,bc->b", second, second)
    return product


def _climb(tree: _Tree, seeds: Floats, bandwidth: float, max_steps: int, check: Check) -> tuple[Floats, Floats]:
    """Move all seeds to their modes; return each mode reached and the number of points around it."""
    ends: list[Floats] = []
    end_counts: list[Floats] = []
    now = seeds
    for step in range(max_steps + 1):
        sums, counts = tree.sums_within(now, bandwidth, check)
        # A seed that no point is near to leads nowhere.
        occupied = counts > 0
        now, sums, counts = now[occupied], sums[occupied], counts[occupied]
        means = sums / counts[:, None]
        moved = np.sqrt(np.einsum("sc,sc->s", means - now, means - now))
        at_end = (moved <= _STANDS_STILL * bandwidth) | (step == max_steps)
        ends.append(means[at_end])
        end_counts.append(counts[at_end])
        now = _without_doubles(means[~at_end], bandwidth)[0]
        if not len(now):
            break
    means, counts = np.concatenate(ends), np.concatenate(end_counts)
    means, kept = _without_doubles(means, bandwidth)
    return means, counts[kept]


def _without_doubles(means: Floats, bandwidth: float) -> tuple[Floats, NDArray[np.int64]]:
    """Return different rows and where they were; rows made of the same points differ by rounding alone."""
    grid = np.round(means / (_TOLERANCE * bandwidth) / 64)
    _, kept = np.unique(grid, axis=0, return_index=True)
    return means[kept], kept


def _distinct_modes(means: Floats, counts: Floats, bandwidth: float) -> tuple[Floats, Floats]:
    """Return modes further apart than the bandwidth, the densest first: of close ones the densest stays."""
    order = np.lexsort((*means.T[::-1], counts))[::-1]
    means, counts = means[order], counts[order]
    is_free = np.ones(len(means), bool)
    kept = []
    for number in range(len(means)):
        if not is_free[number]:
            continue
        kept.append(number)
        away = means - means[number]
        is_free &= np.einsum("kc,kc->k", away, away) > bandwidth**2
    return means[kept], counts[kept]
