"""One nucleus, one cell: cells that share a nucleus are merged, a cell with several is split between them.

>>> import numpy as np
>>> cells = np.array([[[1, 1, 1, 2, 2, 2]]], np.uint32)
>>> nuclei = np.array([[[0, 0, 5, 5, 0, 0]]], np.uint32)
>>> correct_by_nuclei(cells, nuclei, NucleiRules()).tolist()
[[[1, 1, 1, 1, 1, 1]]]
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, map_ids, never_stop
from plantseg_app.algorithms.flooding import Spacing, flood, scale_sigma, smooth
from plantseg_app.algorithms.labels import count_voxels
from plantseg_app.algorithms.overlap import Overlaps, count_overlaps
from plantseg_app.algorithms.region_graph import make_dense, number_from_one

Labels = NDArray[Any]

BOUNDARY_SIGMA = 1.0
"""Smoothing of the boundary map along which a cell is split, in voxels of the finest axis."""


@dataclasses.dataclass(frozen=True)
class NucleiRules:
    """When nuclei overrule cells.

    Attributes
    ----------
    merge_threshold
        Cells that each hold at least this share of one nucleus are merged.
    split_threshold
        A cell that holds at least this share of each of several nuclei is split between them.
    ignore_smallest, ignore_largest
        Shares of all nuclei, by size, that are taken for debris or clumps and have no say.
    """

    merge_threshold: float = 0.33
    split_threshold: float = 0.66
    ignore_smallest: float = 0.003
    ignore_largest: float = 0.001


def correct_by_nuclei(
    cells: Labels,
    nuclei: Labels,
    rules: NucleiRules,
    boundary: NDArray[Any] | None = None,
    spacing: Spacing = (1.0, 1.0, 1.0),
    check: Check = never_stop,
) -> Labels:
    """Merge cells that share a nucleus, then split those that hold several.

    Parameters
    ----------
    cells, nuclei
        (Z, Y, X) labels, 0 is none.
    rules
        When.
    boundary
        Boundary map along which cells are split; without it every voxel goes to the nearest nucleus.
    spacing
        Edge lengths of a voxel.
    check
        Called between cells; may raise to stop.

    Returns
    -------
    NDArray
        Labels of the type of `cells`, wider if new names need it. A merged cell has the name of its largest part; of a
        split cell, the part around the nucleus with the smallest name keeps the name, the others get new ones.
    """
    dense, names = make_dense(cells)
    kernels = _usable_nuclei(nuclei, rules)
    merged, names = _merge(dense, names, kernels, rules.merge_threshold)
    check()
    return _split(merged, names, kernels, rules.split_threshold, boundary, spacing, check)


def _usable_nuclei(nuclei: Labels, rules: NucleiRules) -> NDArray[np.uint32]:
    """Return dense nuclei without the smallest and largest; few nuclei are all kept, whatever the shares say."""
    dense, names = make_dense(nuclei)
    n_nuclei = len(names) - 1
    order = 1 + np.argsort(count_voxels(dense, len(names))[1:], kind="stable")
    table = np.arange(n_nuclei + 1, dtype=np.uint32)
    table[order[: int(rules.ignore_smallest * n_nuclei)]] = 0
    table[order[n_nuclei - int(rules.ignore_largest * n_nuclei) :]] = 0
    return map_ids(dense, table)


def _shared(cells: NDArray[np.uint32], nuclei: NDArray[np.uint32], threshold: float) -> Overlaps:
    """Return the pairs of cell and nucleus in which the cell holds at least `threshold` of the nucleus."""
    table = count_overlaps(cells, nuclei)
    sizes = np.bincount(table.second, weights=table.counts)
    keep = (table.first > 0) & (table.second > 0) & (table.counts >= threshold * sizes[table.second])
    return Overlaps(table.first[keep], table.second[keep], table.counts[keep])


def _merge(
    cells: NDArray[np.uint32], names: Labels, nuclei: NDArray[np.uint32], threshold: float
) -> tuple[NDArray[np.uint32], Labels]:
    """Return dense cells after merging, with their names."""
    from bioimage_cpp.graph import UndirectedGraph, connected_components

    pairs = _shared(cells, nuclei, threshold)
    n_cells = len(names)
    # Cells and nuclei are the two sides of one graph; what is connected is one cell.
    edges = np.stack([pairs.first, pairs.second + n_cells - 1], axis=1).astype(np.uint64)
    graph = UndirectedGraph.from_edges(n_cells + int(nuclei.max()), edges)
    groups = number_from_one(np.asarray(connected_components(graph))[:n_cells])
    sizes = count_voxels(cells, n_cells)
    order = np.lexsort((-np.arange(n_cells), sizes))
    group_names = np.zeros(int(groups.max(initial=0)) + 1, names.dtype)
    group_names[groups[order]] = names[order]
    group_names[0] = 0
    return map_ids(cells, groups), group_names


def _split(
    cells: NDArray[np.uint32],
    names: Labels,
    nuclei: NDArray[np.uint32],
    threshold: float,
    boundary: NDArray[Any] | None,
    spacing: Spacing,
    check: Check,
) -> Labels:
    from scipy.ndimage import find_objects

    pairs = _shared(cells, nuclei, threshold)
    held = np.bincount(pairs.first, minlength=len(names))
    crowded = np.flatnonzero(held > 1)
    next_name = int(names.max(initial=0)) + 1
    if next_name + int(held[crowded].sum()) > np.iinfo(names.dtype).max:
        names = names.astype(np.uint64)
    result = map_ids(cells, names)
    boxes = find_objects(cells.astype(np.int32)) if len(crowded) else []
    for cell in crowded:
        check()
        box = boxes[cell - 1]
        inside = cells[box] == cell
        seeds = np.where(inside & np.isin(nuclei[box], pairs.second[pairs.first == cell]), nuclei[box], 0)
        dense, kernels = make_dense(seeds)
        relief = None if boundary is None else _relief(boundary, box, spacing)
        parts = _grow(dense, inside, relief, spacing)
        new_names = np.full(len(kernels), names[cell], result.dtype)
        new_names[2:] = np.arange(next_name, next_name + len(kernels) - 2)
        next_name += len(kernels) - 2
        result[box][inside] = new_names[parts[inside]]
    return result


def _relief(boundary: NDArray[Any], box: tuple[slice, ...], spacing: Spacing) -> NDArray[np.float32]:
    return smooth(boundary[box], scale_sigma(BOUNDARY_SIGMA, spacing))


def _grow(
    seeds: NDArray[np.uint32], inside: NDArray[np.bool_], relief: NDArray[np.float32] | None, spacing: Spacing
) -> NDArray[np.uint32]:
    """Grow dense seeds within a cell, over the relief or else to the nearest; 0 where none can reach."""
    if relief is not None:
        return flood(relief, seeds.copy(), np.ascontiguousarray(inside))
    from bioimage_cpp.distance import distance_transform

    nearest = distance_transform(seeds == 0, sampling=list(spacing), return_distances=False, return_indices=True)
    return np.asarray(seeds[tuple(nearest)], np.uint32)
