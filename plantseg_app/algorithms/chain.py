"""From superpixels to cells: what all partitions of a boundary map have in common before and after the partition.

>>> import numpy as np
>>> boundary = np.zeros((1, 12, 21), np.float32)
>>> boundary[:, :, 10] = 1.0
>>> over = prepare(boundary)
>>> cells = finish(over, np.arange(over.graph.n_nodes), min_size=0)
>>> int(cells.max()) == over.graph.n_nodes - 1
True
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, map_ids, never_stop
from plantseg_app.algorithms.flooding import Spacing
from plantseg_app.algorithms.region_graph import RegionGraph, absorb_small, build_region_graph, make_dense
from plantseg_app.algorithms.watershed import oversegment


@dataclasses.dataclass(frozen=True, eq=False)
class Oversegmentation:
    """Superpixels and the graph of their boundaries.

    Attributes
    ----------
    labels
        (Z, Y, X) uint32, 1 ... N; 0 is background and stays so.
    graph
        Their boundaries.
    """

    labels: NDArray[np.uint32]
    graph: RegionGraph


def prepare(
    boundary: NDArray[Any],
    superpixels: NDArray[Any] | None = None,
    spacing: Spacing | None = None,
    n_threads: int = 1,
    check: Check = never_stop,
) -> Oversegmentation:
    """Return superpixels with their graph: the given ones, or a distance transform watershed with default settings.

    Parameters
    ----------
    boundary
        (Z, Y, X) float32 in [0, 1].
    superpixels
        (Z, Y, X) any unsigned labels, 0 is background; made here unless given.
    spacing
        Edge lengths of a voxel, for superpixels made here.
    n_threads, check
        As in `oversegment`.
    """
    if superpixels is None:
        return Oversegmentation(*oversegment(boundary, spacing=spacing, n_threads=n_threads, check=check))
    labels, _ = make_dense(superpixels)
    check()
    return Oversegmentation(labels, build_region_graph(labels, boundary, n_threads, check))


def finish(over: Oversegmentation, node_labels: NDArray[Any], min_size: int, n_threads: int = 1) -> NDArray[np.uint32]:
    """Paint a partition onto the voxels, after cells below `min_size` voxels have joined their best neighbour.

    Parameters
    ----------
    over
        The superpixels.
    node_labels
        (N + 1,) the cell of each superpixel, dense from 1; 0 for 0.
    min_size
        In voxels.

    Returns
    -------
    NDArray
        (Z, Y, X) uint32, dense.
    """
    cells = over.graph.contract(node_labels)
    table = absorb_small(cells, min_size)[np.asarray(node_labels, np.int64)]
    return map_ids(over.labels, table, n_threads)
