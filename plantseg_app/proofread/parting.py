"""Cutting cells: the relief along which they part, and which part keeps which id."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.blocks import grow
from plantseg_app.algorithms.flooding import flood, reach, scale_sigma, smooth
from plantseg_app.algorithms.nuclei import BOUNDARY_SIGMA
from plantseg_app.proofread.cell_index import Box
from plantseg_app.proofread.coarse_flood import flood_coarsely
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Assign, Tissue

_CRUMB = 0.01

AT_ONCE_VOX = 2**18
"""Boxes up to this many voxels are flooded at full resolution; larger ones coarsely first."""


def grow_parts(tissue: Tissue, box: Box, seeds: NDArray[np.uint32], inside: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the parts that grow from seeds 1 ... N within `inside`; they meet on the boundary map, else at necks.

    Parameters
    ----------
    box
        Where in the image; of the shape of the arrays.
    seeds
        0 elsewhere; overwritten.
    """
    inside = np.ascontiguousarray(inside)
    if inside.size <= AT_ONCE_VOX:
        return flood(_relief(tissue, box, inside), seeds, inside)
    if tissue.boundary is None:
        necks = _necks(inside, tissue.spacing)
        return flood_coarsely(seeds, inside, lambda part: necks[part])
    return flood_coarsely(seeds, inside, functools.partial(_walls, tissue, box))


def _relief(tissue: Tissue, box: Box, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    if tissue.boundary is None:
        return _necks(inside, tissue.spacing)
    return smooth(tissue.boundary[box], scale_sigma(BOUNDARY_SIGMA, tissue.spacing))


def _walls(tissue: Tissue, box: Box, part: tuple[slice, ...]) -> NDArray[np.float32]:
    """Return the smoothed boundary map in a part of a box, as it is there in the whole box."""
    sigma = scale_sigma(BOUNDARY_SIGMA, tissue.spacing)
    shape = [outer.stop - outer.start for outer in box]
    block = grow(part, shape, reach(sigma), reach(sigma))
    z, y, x = (slice(a.start + b.start, a.start + b.stop) for a, b in zip(box, block.outer, strict=True))
    boundary: NDArray[Any] = np.empty(0) if tissue.boundary is None else tissue.boundary[z, y, x]
    return np.ascontiguousarray(smooth(boundary, sigma)[block.core])


def _necks(inside: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Return a relief that is deep where a cell is wide."""
    from bioimage_cpp.distance import distance_transform

    # Beyond the box is outside of the cell, but a single slice is all the space there is.
    rim = [(0, 0) if n == 1 else (1, 1) for n in inside.shape]
    wide = distance_transform(np.pad(inside, rim), sampling=list(spacing))
    middle = tuple(slice(low, low + n) for (low, _), n in zip(rim, inside.shape, strict=True))
    return np.ascontiguousarray(-wide[middle], np.float32)


def name_parts(tissue: Tissue, layer: int, box: Box, parts: NDArray[np.uint32], cells: Sequence[int]) -> Assign:
    """Return what gives each part an id: that of the cell it holds most of, or a new one where a larger part has it.

    Parameters
    ----------
    parts
        1 ... N, 0 where nothing changes.
    cells
        The cells that are cut, all in `layer`.

    Raises
    ------
    Refused
        If all would stay one cell.
    """
    n_parts = int(parts.max(initial=0))
    shared = np.zeros((len(cells), n_parts), np.int64)
    for plane, labels in zip(parts, tissue.planes[layer][box], strict=True):
        for number, cell in enumerate(cells):
            shared[number] += np.bincount(plane[labels == cell], minlength=n_parts + 1)[1:]
    names = [0] * (n_parts + 1)
    # The largest shares first; the earlier part of equals.
    for place in np.argsort(-shared.T, axis=None, kind="stable"):
        part, number = divmod(int(place), len(cells))
        if shared[number, part] and not names[part + 1] and cells[number] not in names:
            names[part + 1] = cells[number]
    nameless = [part for part in range(1, n_parts + 1) if not names[part] and shared[:, part - 1].any()]
    for part, name in zip(nameless, tissue.new_ids(len(nameless)), strict=True):
        names[part] = name
    if sum(map(bool, names)) < 2:
        raise Refused("This would leave the cell in one piece.")
    return Assign(layer, box, parts, names)


def parts_beside(wall: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return the parts 1 ... N into which a wall cuts a body, the voxels of the wall given to the nearest one.

    Pieces of the body that the wall does not touch are 0, and so is everything where it leaves the body in one part.
    Crumbs between the steps of a slanted wall are no parts.
    """
    import cc3d

    rest = inside & ~wall
    pieces = np.asarray(cc3d.connected_components(rest, connectivity=6, out_dtype=np.uint32))
    beside = np.unique(pieces[_spread_over_faces(wall)])
    sizes = np.bincount(pieces.ravel())
    parts = [int(piece) for piece in beside if piece and sizes[piece] >= _CRUMB * sizes[beside[beside > 0]].max()]
    if len(parts) < 2:
        return np.zeros(inside.shape, np.uint32)
    table = np.zeros(len(sizes), np.uint32)
    table[parts] = np.arange(1, len(parts) + 1)
    crumbs = np.isin(pieces, [piece for piece in beside if piece and piece not in parts])
    # Only the wall and the crumbs are flooded, from the parts beside them.
    return flood(np.zeros(inside.shape, np.float32), table[pieces], (table[pieces] > 0) | (wall & inside) | crumbs)


def _spread_over_faces(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(mask))
