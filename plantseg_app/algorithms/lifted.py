"""The lifted multicut: superpixels that lie in the same nucleus belong together, those in different nuclei do not.

Nuclei enter as extra edges between superpixels that need not touch, each with a cost of its own.

>>> import numpy as np
>>> labels = np.array([[[1, 2, 3, 4]]], np.uint32)
>>> nuclei_of_superpixels(labels, np.array([[[5, 0, 0, 9]]], np.uint32), 5, 0.2).tolist()
[0, 1, 0, 0, 2]
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.chain import Oversegmentation
from plantseg_app.algorithms.overlap import count_overlaps
from plantseg_app.algorithms.partition import improve_in_rounds, multicut_costs
from plantseg_app.algorithms.region_graph import RegionGraph, make_dense, number_from_one

NUCLEUS_WEIGHT = 5.0
"""How much more the word of a nucleus counts than that of the most certain boundary; PlantSeg's value."""


@dataclasses.dataclass(frozen=True, eq=False)
class LiftedEdges:
    """What nuclei say about pairs of superpixels.

    Attributes
    ----------
    pairs
        (L, 2) int64 node labels.
    same
        (L,) whether both lie in the same nucleus.
    """

    pairs: NDArray[np.int64]
    same: NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class LiftedOversegmentation(Oversegmentation):
    """Superpixels, the graph of their boundaries, and what nuclei say about pairs of them."""

    lifted: LiftedEdges


def label_nuclei(probability: NDArray[Any], threshold: float, min_size: int) -> NDArray[np.uint32]:
    """Return the connected components of a nuclei map above a threshold, without those below `min_size` voxels."""
    import cc3d

    parts = cc3d.connected_components(probability > threshold, connectivity=6, out_dtype=np.uint32)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    table = np.cumsum(sizes >= min_size).astype(np.uint32)
    table[sizes < min_size] = 0
    return np.asarray(table[parts], np.uint32)


def nuclei_of_superpixels(
    labels: NDArray[np.uint32], nuclei: NDArray[Any], n_nodes: int, overlap_threshold: float
) -> NDArray[np.int64]:
    """Return for each superpixel the nucleus that covers most of it, 0 for none, renamed to 1 ... K.

    Parameters
    ----------
    labels
        Dense superpixels.
    nuclei
        Nuclei labels of the same shape, 0 is none.
    n_nodes
        Number of superpixels, 0 included.
    overlap_threshold
        Share of its voxels that the nucleus has to cover.
    """
    dense, _ = make_dense(nuclei)
    table = count_overlaps(labels, dense)
    sizes = np.bincount(table.first, weights=table.counts, minlength=n_nodes)
    inside = (table.second > 0) & (table.first > 0)
    first, second, counts = table.first[inside], table.second[inside], table.counts[inside]
    owner = np.zeros(n_nodes, np.int64)
    # Ascending by count, ties by the larger name first: the last one written wins.
    order = np.lexsort((-second, counts))
    enough = counts[order] >= overlap_threshold * sizes[first[order]]
    owner[first[order][enough]] = second[order][enough]
    return owner


def find_lifted_edges(graph: RegionGraph, nucleus: NDArray[np.int64], graph_depth: int) -> LiftedEdges:
    """Return all pairs of superpixels with a nucleus that are at most `graph_depth` steps apart on the graph."""
    from bioimage_cpp.graph.lifted_multicut import lifted_edges_from_node_labels

    near = graph.edges[(nucleus[graph.edges] > 0).all(axis=1)]
    far = np.empty((0, 2), np.int64)
    if graph_depth > 1:
        found = lifted_edges_from_node_labels(
            graph.as_native(), nucleus.astype(np.uint64), graph_depth, ignore_label=0, number_of_threads=1
        )
        far = np.asarray(found).astype(np.int64)
    pairs = np.concatenate([near, far])
    return LiftedEdges(pairs, nucleus[pairs[:, 0]] == nucleus[pairs[:, 1]])


def lifted_multicut(
    graph: RegionGraph,
    lifted: LiftedEdges,
    beta: float,
    time_limit_s: float | None = None,
    check: Check = never_stop,
) -> NDArray[np.uint32]:
    """Cut the graph at the least total cost of boundaries and nuclei.

    Parameters
    ----------
    graph
        Superpixels and their boundaries.
    lifted
        What nuclei say.
    beta
        In [0, 1]; larger cuts more.
    time_limit_s
        The best partition so far is returned after this time; a round that has begun is finished first.
    check
        Called between rounds; may raise to stop.

    Returns
    -------
    NDArray
        (N + 1,) labels of the nodes, dense from 1; 0 for 0.

    References
    ----------
    .. [1] Pape et al. (2019), Leveraging domain knowledge to improve microscopy image segmentation with lifted
           multicuts, Frontiers in Computer Science, https://doi.org/10.3389/fcomp.2019.00006
    """
    from bioimage_cpp.graph import lifted_multicut as library

    if len(graph.edges) == 0:
        return np.arange(graph.n_nodes, dtype=np.uint32)
    costs = multicut_costs(graph.evidence, beta, graph.lengths)
    weight = NUCLEUS_WEIGHT * max(float(np.abs(costs).max()), 1e-3)
    objective = library.LiftedMulticutObjective(
        graph.as_native(),
        costs,
        lifted_uvs=lifted.pairs.astype(np.uint64),
        lifted_costs=np.where(lifted.same, weight, -weight),
    )
    deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
    library.LiftedGreedyAdditiveMulticut().optimize(objective)
    improve_in_rounds(objective, _kernighan_lin_round, 1, deadline, check)
    return number_from_one(np.asarray(objective.labels))


def _kernighan_lin_round(number: int) -> Any:
    from bioimage_cpp.graph.lifted_multicut import LiftedKernighanLinMulticut

    del number
    return LiftedKernighanLinMulticut(number_of_outer_iterations=1)
