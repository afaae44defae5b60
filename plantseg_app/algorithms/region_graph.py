"""The region adjacency graph of a segmentation: which objects touch, how long, and how strong the boundary between is.

Objects are nodes named by their label; label 0 is background and has no edges. Everything that decides about whole
objects (merging, partitioning, filtering by size) works on this small table instead of on the voxels.

>>> import numpy as np
>>> labels = np.array([[[1, 1, 2, 2]]], np.uint32)
>>> boundary = np.array([[[0.0, 0.2, 0.6, 0.0]]], np.float32)
>>> graph = build_region_graph(labels, boundary)
>>> graph.edges.tolist(), graph.evidence.round(6).tolist(), graph.sizes.tolist()
([[1, 2]], [0.4], [0, 2, 2])
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Block, Check, map_ids, never_stop, run_all, tile

BLOCK_VOX = 96
"""Edge length of the boxes that are counted one by one: small enough for the processor's cache."""


@dataclasses.dataclass(frozen=True, eq=False)
class RegionGraph:
    """Objects that touch each other.

    Attributes
    ----------
    edges
        (E, 2) int64, pairs of labels with the smaller first, sorted.
    evidence
        (E,) float64, mean over the shared voxel faces of the average of the two voxels' boundary values.
    lengths
        (E,) float64, number of shared voxel faces.
    sizes
        (N + 1,) int64, number of voxels of each label, label 0 included.
    """

    edges: NDArray[np.int64]
    evidence: NDArray[np.float64]
    lengths: NDArray[np.float64]
    sizes: NDArray[np.int64]

    @property
    def n_nodes(self) -> int:
        """Number of labels, label 0 included."""
        return len(self.sizes)

    def contract(self, table: NDArray[Any]) -> RegionGraph:
        """Return the graph after each label became ``table[label]``; edges within an object vanish, parallel ones join.

        Parameters
        ----------
        table
            (N + 1,) new labels, dense from 0.
        """
        table = np.asarray(table, np.int64)
        n_nodes = int(table.max(initial=0)) + 1
        sizes = np.bincount(table, weights=self.sizes, minlength=n_nodes).astype(np.int64)
        return _collect(table[self.edges], self.lengths, self.evidence * self.lengths, sizes)

    def as_native(self) -> Any:
        """Return the graph as a ``bioimage_cpp`` graph whose edge order is that of `edges`."""
        from bioimage_cpp.graph import UndirectedGraph

        return UndirectedGraph.from_unique_edges(self.n_nodes, self.edges.astype(np.uint64))


def _collect(
    edges: NDArray[np.int64], lengths: NDArray[np.float64], sums: NDArray[np.float64], sizes: NDArray[np.int64]
) -> RegionGraph:
    """Join parallel edges, drop loops and what touches background, and sort."""
    low, high = edges.min(axis=1, initial=2**62), edges.max(axis=1, initial=0)
    keep = (low != high) & (low > 0)
    key = low[keep] * len(sizes) + high[keep]
    unique, place = np.unique(key, return_inverse=True)
    total = np.bincount(place, weights=lengths[keep], minlength=len(unique))
    weighted = np.bincount(place, weights=sums[keep], minlength=len(unique))
    pairs = np.stack([unique // len(sizes), unique % len(sizes)], axis=1)
    return RegionGraph(pairs, weighted / np.maximum(total, 1), total.astype(np.float64), sizes)


def build_region_graph(
    labels: NDArray[Any], boundary: NDArray[Any], n_threads: int = 1, check: Check = never_stop
) -> RegionGraph:
    """Measure the boundaries between all objects that share a voxel face.

    Parameters
    ----------
    labels
        (Z, Y, X) uint32, dense: memory grows with the largest label (see `make_dense`). 0 is background.
    boundary
        (Z, Y, X) real numbers, high between objects.
    n_threads
        Threads to use; the result does not depend on it.
    check
        Called between blocks; may raise to stop.
    """
    parts = measure_edges(labels, boundary, n_threads, check)
    n_nodes = max((int(part.ids[-1]) for part in parts), default=0) + 1
    sizes = np.zeros(n_nodes, np.int64)
    for part in parts:
        sizes[part.ids] += part.counts
    edges = np.concatenate([part.edges for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    return _collect(edges, lengths, lengths * np.concatenate([part.means for part in parts]), sizes)


class BlockEdges(NamedTuple):
    """What one box adds to the graph; each pair of voxels belongs to exactly one box.

    Attributes
    ----------
    edges
        (E, 2) int64, pairs of labels.
    lengths, means, lowest
        (E,) float64, number of voxel faces; mean and least over them of the average of the two voxels' values.
    ids, counts
        (N,) int64, the labels in the box, sorted, and how many of its voxels each has.
    """

    edges: NDArray[np.int64]
    lengths: NDArray[np.float64]
    means: NDArray[np.float64]
    lowest: NDArray[np.float64]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]


def measure_edges(
    labels: NDArray[Any], values: NDArray[Any], n_threads: int = 1, check: Check = never_stop
) -> list[BlockEdges]:
    """Measure `values` where labels touch, box by box; labels may have gaps."""
    blocks = tile(labels.shape, (BLOCK_VOX,) * labels.ndim, after=1)
    return run_all([functools.partial(_measure_block, labels, values, block) for block in blocks], n_threads, check)


def _measure_block(labels: NDArray[Any], values: NDArray[Any], block: Block) -> BlockEdges:
    from bioimage_cpp.graph.distributed import block_edge_map_stats
    from fastremap import unique

    outer = np.ascontiguousarray(labels[block.outer])
    begin = [part.start for part in block.core]
    edges, stats = block_edge_map_stats(
        outer, np.asarray(values[block.outer], np.float64), begin, block.shape, number_of_threads=1
    )
    ids, counts = unique(outer[block.core], return_counts=True)
    return BlockEdges(
        edges.astype(np.int64), stats[:, 0], stats[:, 1], stats[:, 3], ids.astype(np.int64), counts.astype(np.int64)
    )


def make_dense(labels: NDArray[Any]) -> tuple[NDArray[np.uint32], NDArray[Any]]:
    """Rename labels to 1 ... N, keeping 0 and their order.

    Parameters
    ----------
    labels
        Any unsigned labels, also beyond 32 bits and with gaps.

    Returns
    -------
    dense
        uint32, of the same shape.
    names
        (N + 1,) the old label of each new one; ``names[0]`` is 0.

    >>> make_dense(np.array([7, 0, 2**40], np.uint64))
    (array([1, 0, 2], dtype=uint32), array([            0,             7, 1099511627776], dtype=uint64))
    """
    from fastremap import remap, unique

    ids = unique(labels)
    ids = ids[ids != 0]
    names = np.concatenate([np.zeros(1, labels.dtype), ids])
    if len(ids) and int(ids[-1]) == len(ids):
        return labels.astype(np.uint32, copy=False), names
    if len(ids) == 0:
        return np.zeros(labels.shape, np.uint32), names
    if int(ids[-1]) <= 8 * labels.size:
        table = np.zeros(int(ids[-1]) + 1, np.uint32)
        table[ids] = np.arange(1, len(ids) + 1, dtype=np.uint32)
        return map_ids(labels, table), names
    pairs = {int(old): new for new, old in enumerate(names)}
    return remap(labels, pairs, preserve_missing_labels=False).astype(np.uint32), names


def number_from_one(table: NDArray[Any]) -> NDArray[np.uint32]:
    """Return node labels renamed to 1 ... K in the order of their first node; node 0 stays 0 alone.

    >>> number_from_one(np.array([9, 4, 4, 0]))
    array([0, 1, 1, 2], dtype=uint32)
    """
    dense = np.zeros(len(table), np.uint32)
    if len(table) > 1:
        _, first, place = np.unique(table[1:], return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.uint32)
        rank[np.argsort(first)] = np.arange(1, len(first) + 1, dtype=np.uint32)
        dense[1:] = rank[place]
    return dense


def flood_nodes(graph: RegionGraph, keep: NDArray[np.bool_], allowed: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Give every node that is not kept to a kept one, across the weakest boundaries first.

    Nodes that no kept one can reach stay as they are, joined with those they touch.

    Parameters
    ----------
    graph
        Objects and their boundaries.
    keep
        (N + 1,) which nodes stay separate.
    allowed
        (E,) which edges may be crossed; all unless given.

    Returns
    -------
    NDArray
        (N + 1,) uint32, new dense labels; 0 stays 0.
    """
    from bioimage_cpp.graph import UndirectedGraph, connected_components, edge_weighted_watershed

    open_edges = np.ones(len(graph.edges), bool) if allowed is None else allowed
    native = UndirectedGraph.from_unique_edges(graph.n_nodes, graph.edges[open_edges].astype(np.uint64))
    seeds = np.where(keep, np.arange(graph.n_nodes), 0).astype(np.uint64)
    seeds[0] = 0
    flooded = np.asarray(edge_weighted_watershed(native, graph.evidence[open_edges], seeds))
    lonely = flooded == 0
    if lonely[1:].any():
        islands = np.asarray(connected_components(native)).astype(np.uint64)
        flooded = np.where(lonely, islands + np.uint64(graph.n_nodes), flooded)
    return number_from_one(flooded)


def absorb_small(graph: RegionGraph, min_size: int, allowed: NDArray[np.bool_] | None = None) -> NDArray[np.uint32]:
    """Return new labels in which every object below `min_size` voxels has joined a larger one.

    A small object joins across its weakest boundary; small ones that touch may join each other on the way. Where
    nothing large can be reached, what touches becomes one object.

    Parameters
    ----------
    graph
        Objects and their boundaries.
    min_size
        In voxels; 0 and 1 leave everything as it is.
    allowed
        (E,) which edges may be crossed; all unless given.

    Returns
    -------
    NDArray
        (N + 1,) dense labels; 0 stays 0.
    """
    small = graph.sizes < min_size
    small[0] = False
    if not small.any():
        return np.arange(graph.n_nodes, dtype=np.uint32)
    return flood_nodes(graph, ~small, allowed)
