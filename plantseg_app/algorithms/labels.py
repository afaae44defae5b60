"""Repair of a segmentation: small objects, holes, numbering, background, smoothing.

Label 0 is background. Names of objects may have gaps and exceed 32 bits; unless a function is about numbering, every
object keeps its name. Nothing here changes its input.

>>> import numpy as np
>>> drop_small(np.array([[[3, 3, 3, 8]]], np.uint32), min_size=2).tolist()
[[[3, 3, 3, 0]]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, map_ids, never_stop
from plantseg_app.algorithms.region_graph import RegionGraph, absorb_small, build_region_graph, make_dense

Labels = NDArray[Any]


def count_voxels(dense: NDArray[np.uint32], n_nodes: int) -> NDArray[np.int64]:
    """Return the number of voxels of each dense label, 0 included, slice by slice to save memory."""
    sizes = np.zeros(n_nodes, np.int64)
    for plane in dense:
        sizes += np.bincount(plane.ravel(), minlength=n_nodes)
    return sizes


def drop_small(labels: Labels, min_size: int) -> Labels:
    """Return the labels with every object below `min_size` voxels made background."""
    dense, names = make_dense(labels)
    kept = names.copy()
    kept[count_voxels(dense, len(names)) < min_size] = 0
    return map_ids(dense, kept)


def merge_small(
    labels: Labels,
    min_size: int,
    boundary: NDArray[Any] | None = None,
    n_threads: int = 1,
    check: Check = never_stop,
) -> Labels:
    """Return the labels with every object below `min_size` voxels merged into a neighbour.

    Parameters
    ----------
    labels
        (Z, Y, X) labels; an object that touches nothing but background stays.
    min_size
        In voxels.
    boundary
        Boundary map of the same shape: the neighbour behind the weakest boundary is taken. Without it, the neighbour
        with the longest contact.
    n_threads, check
        As elsewhere.

    Returns
    -------
    NDArray
        Labels of the same type; a merged object has the name of its largest part.
    """
    dense, names = make_dense(labels)
    values = np.zeros(labels.shape, np.uint8) if boundary is None else boundary
    graph = build_region_graph(dense, values, n_threads, check)
    if boundary is None:
        graph = RegionGraph(graph.edges, -graph.lengths, graph.lengths, graph.sizes)
    table = absorb_small(graph, min_size)
    return map_ids(dense, names[_largest_part(table, graph.sizes)[table]], n_threads)


def _largest_part(table: NDArray[Any], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each group, its member with the most voxels, the first of several."""
    members = np.arange(len(table))
    order = np.lexsort((-members, sizes))
    largest = np.zeros(int(table.max(initial=0)) + 1, np.int64)
    largest[table[order]] = members[order]
    return largest


def fill_holes(labels: Labels, max_size: int | None = None, by_slice: bool = False) -> Labels:
    """Return the labels with background that one object encloses given to that object.

    Parameters
    ----------
    labels
        (Z, Y, X) labels.
    max_size
        Larger holes stay, in voxels; all are filled unless given.
    by_slice
        Whether a hole need only be closed within its slice.

    Notes
    -----
    A hole is a part of the background, connected over faces, that touches one object only and no border of the image.
    Where several objects enclose it together it is a space between cells and stays.
    """
    result = labels.copy()
    if by_slice or labels.shape[0] == 1:
        for plane in result:
            _fill_in_place(plane, max_size)
    else:
        _fill_in_place(result, max_size)
    return result


def _fill_in_place(labels: Labels, max_size: int | None) -> None:
    import cc3d

    dense, names = make_dense(labels)
    background = dense == 0
    holes = cc3d.connected_components(background, connectivity=6 if labels.ndim == 3 else 4, out_dtype=np.uint32)
    n_holes = int(holes.max())
    if n_holes == 0 or len(names) == 1:
        return
    joint = np.where(background, holes + np.uint32(len(names) - 1), dense)
    space = joint if joint.ndim == 3 else joint[None]
    graph = build_region_graph(space, np.zeros(space.shape, np.uint8))
    first_hole = len(names)
    # Two holes never touch, so each edge of a hole leads to an object.
    hole_edges = graph.edges[graph.edges[:, 1] >= first_hole]
    touched = np.bincount(hole_edges[:, 1], minlength=graph.n_nodes)
    owner = np.zeros(graph.n_nodes, np.int64)
    owner[hole_edges[:, 1]] = hole_edges[:, 0]
    fill = touched == 1
    fill[:first_hole] = False
    fill[_labels_at_border(joint)] = False
    if max_size is not None:
        fill &= graph.sizes <= max_size
    table = np.zeros(graph.n_nodes, names.dtype)
    table[fill] = names[owner[fill]]
    inside = background & fill[joint]
    labels[inside] = table[joint[inside]]


def _labels_at_border(labels: Labels) -> NDArray[np.int64]:
    faces = [np.take(labels, index, axis=axis).ravel() for axis in range(labels.ndim) for index in (0, -1)]
    return np.unique(np.concatenate(faces)).astype(np.int64)


def split_components(labels: Labels) -> NDArray[np.uint32]:
    """Return one label for each connected part of each object, 1 ... N; parts are connected over faces."""
    import cc3d

    dense, _ = make_dense(labels)
    return np.asarray(cc3d.connected_components(dense, connectivity=6, out_dtype=np.uint32), np.uint32)


def number_consecutively(labels: Labels) -> NDArray[np.uint32]:
    """Return the labels renamed to 1 ... N in the order of their names."""
    return make_dense(labels)[0].copy()


def largest_to_background(labels: Labels) -> Labels:
    """Return the labels with the largest object made background; what is background already does not compete."""
    dense, names = make_dense(labels)
    if len(names) == 1:
        return labels.copy()
    sizes = count_voxels(dense, len(names))
    kept = names.copy()
    kept[1 + int(np.argmax(sizes[1:]))] = 0
    return map_ids(dense, kept)


def mean_by_label(dense: NDArray[np.uint32], values: NDArray[Any], n_nodes: int) -> NDArray[np.float64]:
    """Return the mean of `values` over the voxels of each dense label, 0 included; NaN for a label without voxels."""
    sums, sizes = np.zeros(n_nodes), np.zeros(n_nodes)
    for plane, numbers in zip(dense, values, strict=True):
        flat = plane.ravel()
        sums += np.bincount(flat, weights=numbers.ravel(), minlength=n_nodes)
        sizes += np.bincount(flat, minlength=n_nodes)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / sizes)


def keep_foreground(labels: Labels, foreground: NDArray[Any], threshold: float) -> Labels:
    """Return the labels with every object whose mean foreground value is below `threshold` made background."""
    dense, names = make_dense(labels)
    kept = names.copy()
    kept[~(mean_by_label(dense, foreground, len(names)) >= threshold)] = 0
    kept[0] = 0
    return map_ids(dense, kept)
