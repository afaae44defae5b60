"""Objects that grow over voxels whose embedding is like their own, and objects grown anew from their cores.

>>> embedding = np.zeros((1, 1, 1, 8), np.float32)
>>> embedding[..., 4], embedding[..., 5:] = 1, 4
>>> seeds = np.array([[[0, 1, 0, 0, 0, 0, 2, 0]]], np.uint32)
>>> grow_alike(embedding, seeds, np.array([[9.0], [0.0], [4.0]]), limit=2.0).tolist()
[[[1, 1, 1, 1, 1, 2, 2, 2]]]
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import Check, never_stop
from plantseg_app.algorithms.flooding import Spacing
from plantseg_app.algorithms.merging import embedding_sums
from plantseg_app.algorithms.region_graph import make_dense

_LIMITS = (0.25, 0.5, 1.0, np.inf)
"""The rounds in which objects grow anew, in units of what is alike: what is sure comes first."""

_LEAST_CORE = 0.1
"""Share of an object that is its core; those with less are nets of lines, deep where lines meet."""


def grow_alike(
    embedding: NDArray[Any],
    seeds: NDArray[np.uint32],
    centres: NDArray[Any],
    limit: float,
    inside: NDArray[np.bool_] | None = None,
    check: Check = never_stop,
) -> NDArray[np.uint32]:
    """Return what grows from seeds, voxel by voxel, over neighbours whose embedding is close to the seed's centre.

    All seeds grow by one voxel at a time, also over corners; of several that reach a voxel at once it goes to the one
    whose centre is nearest.

    Parameters
    ----------
    embedding
        (C, Z, Y, X).
    seeds
        (Z, Y, X), 1 ... N.
    centres
        (N + 1, C), the embedding of each seed; that of 0 does not count.
    limit
        Largest Euclidean distance to the centre.
    inside
        (Z, Y, X), where they may grow; everywhere unless given.
    check
        Called between steps; may raise to stop.
    """
    # A rim of one voxel that nothing grows into saves asking for borders.
    rim = [(1, 1)] * 3
    labels = np.pad(seeds, rim)
    room = np.pad(np.ones(seeds.shape, bool) if inside is None else inside, rim)
    flat, free = labels.ravel(), (room & (labels == 0)).ravel()
    # Only free voxels are asked for their embedding.
    rows = np.ascontiguousarray(embedding[:, free.reshape(labels.shape)[1:-1, 1:-1, 1:-1]].T, np.float32)
    row_of = np.cumsum(free) - 1
    table = np.asarray(centres, np.float32)
    steps = _steps_to_neighbours(labels.shape)
    nearest = np.full(len(rows), np.inf, np.float32)
    front = _beside_free(flat, free, steps)
    while len(front):
        check()
        arrived, names = [], flat[front]
        for step in steps:
            reached = front + step
            # A free voxel that has a name has it since a step ago, and may still get another one.
            asked = free[reached] & (flat[reached] != names)
            reached, own = reached[asked], names[asked]
            places = row_of[reached]
            apart = rows[places] - table[own]
            distance = np.sqrt(np.einsum("nc,nc->n", apart, apart))
            better = (distance <= limit) & (distance < nearest[places])
            reached, own = reached[better], own[better]
            arrived.append(reached[flat[reached] == 0])
            nearest[row_of[reached]] = distance[better]
            flat[reached] = own
        front = np.concatenate(arrived)
        free[front] = False
    return np.ascontiguousarray(labels[1:-1, 1:-1, 1:-1])


def _steps_to_neighbours(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the steps in a flat array to the neighbours of a voxel, corners included."""
    axis_steps = (shape[1] * shape[2], shape[2], 1)
    return np.array([np.dot(step, axis_steps) for step in itertools.product((-1, 0, 1), repeat=3) if any(step)])


def _beside_free(flat: NDArray[np.uint32], free: NDArray[np.bool_], steps: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the labelled voxels that have a free neighbour."""
    beside = np.zeros(free.shape, bool)
    # The rim is never free, so no step leads out of the array.
    places = np.flatnonzero(free)
    for step in steps:
        beside[places + step] = True
    return np.flatnonzero(beside & (flat > 0))


def regrow_from_cores(
    labels: NDArray[np.uint32],
    embedding: NDArray[Any],
    min_thickness: float,
    alike: float,
    spacing: Spacing = (1.0, 1.0, 1.0),
    check: Check = never_stop,
) -> NDArray[np.uint32]:
    """Return the objects grown anew from where they are thick, over what is most like each of them first.

    Where embeddings change from those of one object into those of the next over some voxels, a clustering finds lines
    between the objects, and nets of lines. They vanish here, and their voxels go to the more alike side.

    Parameters
    ----------
    labels
        (Z, Y, X), dense; 0 takes nothing.
    embedding
        (C, Z, Y, X).
    min_thickness
        Objects into which no ball of this diameter fits vanish, in voxels of the finest axis; up to 1, all stay.
    alike
        Euclidean distance within which embeddings are those of one object.
    spacing
        Edge lengths of a voxel, any unit.
    check
        Called between stages; may raise to stop.
    """
    if min_thickness <= 1 or not labels.any():
        return labels
    is_core = depth_within(labels, spacing) > min_thickness / 2
    sizes = np.bincount(labels.ravel())
    cores = np.bincount(labels[is_core], minlength=len(sizes))
    kept = (cores > 0) & (cores >= _LEAST_CORE * sizes)
    kept[0] = False
    if not kept.any():
        return labels
    seeds = np.where(is_core & kept[labels], labels, np.uint32(0))
    sums, counts = embedding_sums(seeds, embedding)
    centres = sums / np.maximum(counts, 1)[:, None]
    grown = seeds
    for limit in _LIMITS:
        grown = grow_alike(embedding, grown, centres, limit * alike, labels > 0, check)
    return make_dense(grown)[0]


def depth_within(labels: NDArray[np.uint32], spacing: Spacing) -> NDArray[np.float32]:
    """Return the distance of each voxel to the nearest one of another label, in units of the finest axis; 0 for 0.

    The border of the image is no other label, and neither is what would lie beside a single slice.
    """
    from edt import edt

    steps = tuple(step / min(spacing) for step in spacing)
    single = labels.shape[0] == 1
    plane, steps = (labels[0], steps[1:]) if single else (labels, steps)
    depth = np.asarray(edt(np.ascontiguousarray(plane), anisotropy=steps, black_border=False), np.float32)
    return depth.reshape(labels.shape)
