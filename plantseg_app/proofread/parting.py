"""Cutting cells: the relief along which they part, and which part keeps which id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plantseg_app.algorithms.flooding import flood, scale_sigma, smooth
from plantseg_app.algorithms.nuclei import BOUNDARY_SIGMA
from plantseg_app.proofread.cell_index import Box
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Assign, Tissue


def grow_parts(tissue: Tissue, box: Box, seeds: NDArray[np.uint32], inside: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return the parts that grow from seeds 1 ... N within `inside`; they meet on the boundary map, else at necks.

    Parameters
    ----------
    box
        Where in the image; of the shape of the arrays.
    seeds
        0 elsewhere; overwritten.
    """
    if tissue.boundary is not None:
        relief = smooth(tissue.boundary[box], scale_sigma(BOUNDARY_SIGMA, tissue.spacing))
    else:
        relief = _necks(inside, tissue.spacing)
    return flood(relief, seeds, np.ascontiguousarray(inside))


def _necks(inside: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Return a relief that is deep where a cell is wide."""
    from edt import edt

    wide = edt(inside, anisotropy=spacing, parallel=1)
    return np.asarray(np.negative(wide, out=wide))


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
    space = tissue.planes[layer][box]
    shared = np.array([np.bincount(parts[space == cell], minlength=n_parts + 1)[1:] for cell in cells])
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
