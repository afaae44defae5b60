"""Objects from an embedding by a graph of affinities: voxels attract neighbours and repel distant voxels.

The distance of two embeddings becomes an affinity, 1 where they are equal and 0 where they are as far apart as those of
different objects. The graph of all voxels is cut by a mutex watershed, or superpixels are joined by GASP or multicut.
It is by far the fastest clustering, and needs neither a bandwidth nor a size. Objects are connected; what lies apart in
the image is not joined. Knows arrays alone.

>>> embedding = np.zeros((1, 1, 6, 8), np.float32)
>>> embedding[..., 5:] = 4
>>> view = View((slice(0, 1), slice(0, 6), slice(0, 8)), embedding)
>>> ByAffinities(separation=4.0)(view, np.ones((1, 6, 8), bool))[0, 0].tolist()
[1, 1, 1, 1, 1, 2, 2, 2]

References
----------
Wolny, Learning instance segmentation from sparse supervision, Heidelberg 2023, section 3.3.3 and equation 3.10.
Wolf et al., The mutex watershed, ECCV 2018, doi:10.1007/978-3-030-01225-0_34.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, map_ids, never_stop
from plantseg_app.algorithms.flooding import Spacing, label_touching
from plantseg_app.algorithms.frames import View
from plantseg_app.algorithms.growing import regrow_from_cores
from plantseg_app.algorithms.mutex import NEIGHBOURS, Offset, mutex_watershed_within
from plantseg_app.algorithms.partition import gasp, multicut
from plantseg_app.algorithms.region_graph import RegionGraph, absorb_small, make_dense
from plantseg_app.algorithms.watershed import WatershedSettings, distance_to_boundary, find_seeds

DEFAULT_REACH = (3, 9, 27)

DEFAULT_STRIDE = (2, 2, 2)

DEFAULT_SEPARATION = 4.0
"""Twice the usual hinge of the push force, 2."""

SUPERPIXELS = WatershedSettings(threshold=0.5, sigma_seeds=1.0, min_size=10)
"""Finer than those of boundary maps: the lines between clusters are a voxel thin and never broken by noise."""


class Partition(enum.StrEnum):
    """How the graph is cut into objects."""

    MUTEX_WATERSHED = "mutex-watershed"
    GASP = "gasp"
    MULTICUT = "multicut"


@dataclasses.dataclass(frozen=True)
class ByAffinities:
    """Clustering by affinities.

    Attributes
    ----------
    separation
        Distance of embeddings from which voxels repel each other fully; twice the hinge of the push force.
    beta
        In [0, 1]; larger cuts more, 0.5 favours neither side.
    partition
        How the graph is cut.
    reach
        How far apart, in voxels of the finest axis, voxels are that are compared along each axis.
    stride
        Voxels that are farther apart than the first of `reach` are compared from every n-th voxel of each axis.
    min_thickness
        Objects into which no ball of this diameter fits, in voxels of the finest axis, go to those around them: lines
        where an embedding changes from that of one object into that of the next. 0: none.
    spacing
        Edge lengths of a voxel, any unit.
    n_threads
        Threads to use; the result does not depend on it.
    """

    separation: float
    beta: float = 0.5
    partition: Partition = Partition.MUTEX_WATERSHED
    reach: tuple[int, ...] = DEFAULT_REACH
    stride: tuple[int, int, int] = DEFAULT_STRIDE
    min_thickness: float = 3.0
    spacing: Spacing = (1.0, 1.0, 1.0)
    n_threads: int = 1

    def __call__(self, view: View, inside: NDArray[np.bool_], check: Check = never_stop) -> NDArray[np.uint32]:
        """Return the labels of the view."""
        near = [*NEIGHBOURS, *axis_offsets(self.reach[:1], self.spacing, inside.shape)]
        far = [step for step in axis_offsets(self.reach[1:], self.spacing, inside.shape) if step not in near]
        affinities = embedding_affinities(view.embedding, [*near, *far], self.separation, check)
        labels = self._partition(affinities, near, far, inside, check)
        del affinities
        check()
        return regrow_from_cores(labels, view.embedding, self.min_thickness, self.separation / 2, self.spacing, check)

    def _partition(
        self,
        affinities: NDArray[np.float32],
        near: list[Offset],
        far: list[Offset],
        inside: NDArray[np.bool_],
        check: Check,
    ) -> NDArray[np.uint32]:
        offsets = near + far
        if self.partition is Partition.MUTEX_WATERSHED:
            strides = [(1, 1, 1)] * len(near) + [self.stride] * len(far)
            return mutex_watershed_within(affinities, offsets, self.beta, strides, inside)
        labels, graph = self._superpixels(affinities, offsets, inside, check)
        if self.partition is Partition.GASP:
            cells = gasp(graph, self.beta)
        else:
            cells = multicut(graph, self.beta, n_threads=self.n_threads, check=check)
        return np.asarray(map_ids(labels, cells, self.n_threads))

    def _superpixels(
        self, affinities: NDArray[np.float32], offsets: Sequence[Offset], inside: NDArray[np.bool_], check: Check
    ) -> tuple[NDArray[np.uint32], RegionGraph]:
        boundary = boundary_of(affinities)
        boundary[~inside] = 1
        distance = distance_to_boundary(boundary, SUPERPIXELS.threshold, self.spacing, self.n_threads)
        seeds = find_seeds(distance, SUPERPIXELS, self.spacing, self.n_threads, check)
        labels = flood_affinities(affinities, seeds, inside)
        graph = affinity_graph(labels, affinities, offsets)
        joined = absorb_small(graph, SUPERPIXELS.min_size)
        return np.asarray(map_ids(labels, joined, self.n_threads)), graph.contract(joined)


def axis_offsets(reach: Sequence[int], spacing: Spacing, shape: Sequence[int]) -> list[Offset]:
    """Return a step along each axis for each length of `reach`, in voxels of the finest axis; longer ones than 1 alone.

    >>> axis_offsets((3, 9), (2.0, 1.0, 1.0), (4, 50, 50))
    [(-2, 0, 0), (0, -3, 0), (0, 0, -3), (0, -9, 0), (0, 0, -9)]
    """
    finest = min(spacing)
    steps: list[Offset] = []
    for length in reach:
        for axis in range(3):
            step = round(length * finest / spacing[axis])
            if 1 < step < shape[axis]:
                steps.append((-step if axis == 0 else 0, -step if axis == 1 else 0, -step if axis == 2 else 0))
    return list(dict.fromkeys(steps))


def embedding_affinities(
    embedding: NDArray[Any], offsets: Sequence[Offset], separation: float, check: Check = never_stop
) -> NDArray[np.float32]:
    """Return how surely each voxel and its partner at each offset belong to one object.

    It is ``max(1 - distance / separation, 0) ** 2``: one minus the weight of equation 3.10.

    Parameters
    ----------
    embedding
        (C, Z, Y, X).
    offsets
        Steps (Z, Y, X) from a voxel to its partner.
    separation
        Euclidean distance of embeddings, above 0.
    check
        Called between offsets; may raise to stop.

    Returns
    -------
    NDArray
        (len(offsets), Z, Y, X) float32 in [0, 1]; 0 where the partner lies outside.
    """
    shape = embedding.shape[1:]
    affinities = np.zeros((len(offsets), *shape), np.float32)
    for channel, offset in zip(affinities, offsets, strict=True):
        check()
        here = tuple(slice(max(0, -step), size - max(0, step)) for step, size in zip(offset, shape, strict=True))
        there = tuple(slice(max(0, step), size - max(0, -step)) for step, size in zip(offset, shape, strict=True))
        squares = channel[here]
        for values in embedding:
            apart = np.subtract(values[here], values[there], dtype=np.float32)
            squares += apart * apart
        np.sqrt(squares, out=squares)
        np.maximum(1 - squares / np.float32(separation), 0, out=squares)
        squares *= squares
    return affinities


def boundary_of(affinities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how surely a face of each voxel lies between two objects, (Z, Y, X) in [0, 1].

    Parameters
    ----------
    affinities
        (C, Z, Y, X), the first three those of the nearest neighbours before each voxel.
    """
    boundary = np.zeros(affinities.shape[1:], np.float32)
    for axis in range(3):
        after = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        before = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        apart = 1 - affinities[axis][after]
        np.maximum(boundary[after], apart, out=boundary[after])
        np.maximum(boundary[before], apart, out=boundary[before])
    return boundary


def flood_affinities(
    affinities: NDArray[np.float32], seeds: NDArray[np.uint32], inside: NDArray[np.bool_]
) -> NDArray[np.uint32]:
    """Return the seeds grown over the highest affinities first, (Z, Y, X) dense; what none reaches is labelled, too.

    Parameters
    ----------
    affinities
        (C, Z, Y, X), the first three those of the nearest neighbours before each voxel.
    seeds
        (Z, Y, X), 1 ... N.
    inside
        (Z, Y, X), where they may grow; elsewhere the result is 0.
    """
    from bioimage_cpp.segmentation import watershed_from_affinities

    near, steps, starts, mask = affinities[:3], NEIGHBOURS, seeds, inside
    if len(seeds) == 1:
        # The library takes planes as planes.
        near, steps, starts, mask = near[1:, 0], NEIGHBOURS[1:], seeds[0], inside[0]
    grown = watershed_from_affinities(near, [step[-starts.ndim :] for step in steps], starts, mask=mask)
    labels = np.asarray(grown, np.uint32).reshape(seeds.shape)
    lost = inside & (labels == 0)
    if lost.any():
        pieces, _ = label_touching(lost)
        labels = np.where(lost, pieces + labels.max(), labels)
    return make_dense(labels)[0]


def affinity_graph(
    labels: NDArray[np.uint32], affinities: NDArray[np.float32], offsets: Sequence[Offset]
) -> RegionGraph:
    """Return which superpixels touch, and how surely they are different objects: the mean over all pairs of voxels.

    Pairs are those of all offsets, so that objects whose embeddings change into each other over some voxels are told
    apart by voxels on either side.

    Parameters
    ----------
    labels
        (Z, Y, X) dense superpixels; 0 is background.
    affinities, offsets
        As in `embedding_affinities`.
    """
    from bioimage_cpp.graph import region_adjacency_graph
    from bioimage_cpp.graph.features import affinity_features

    sizes = np.bincount(labels.ravel()).astype(np.int64)
    native = region_adjacency_graph(labels)
    edges = np.asarray(native.uv_ids(), np.int64).reshape(-1, 2)
    if not len(edges):
        return RegionGraph(edges, np.empty(0), np.empty(0), sizes)
    features = np.asarray(affinity_features(native, labels, affinities, [list(offset) for offset in offsets]))
    kept = edges.min(1) > 0
    return RegionGraph(edges[kept], 1 - features[kept, 0], features[kept, 1], sizes)
