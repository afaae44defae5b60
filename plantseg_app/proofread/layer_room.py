"""Which layer has room for an object, and moving objects there; plain labels have one layer and nothing moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.proofread.cell_index import Box
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Assign, Change, Rename, Tissue


def roomy_layer(tissue: Tissue, cells: Sequence[int]) -> int:
    """Return the layer in which all of the cells fit together without covering others; the first one's if it does.

    Raises
    ------
    Refused
        If no layer has the room.
    """
    layers = [tissue.index.layer(cell) for cell in cells]
    if len(set(layers)) == 1:
        return layers[0]
    box = tissue.box_around(cells)
    layer = layer_with_room(tissue, box, tissue.mask_of(cells, box), cells, layers[0])
    if layer is None:
        raise Refused("The objects lie in different layers, and in each of them another object is in the way.")
    return layer


def layer_with_room(
    tissue: Tissue, box: Box, mask: NDArray[np.bool_], cells: Sequence[int], preferred: int
) -> int | None:
    """Return a layer in which `mask` of `box` covers background and `cells` alone; None when there is none."""
    order = [preferred, *(layer for layer in range(len(tissue.planes)) if layer != preferred)]
    for layer in order:
        met: NDArray[Any] = tissue.planes[layer][box][mask]
        if np.isin(met, [0, *cells]).all():
            return layer
    return None


def move_to_layer(tissue: Tissue, cell: int, layer: int, name: int | None = None) -> Iterator[Change]:
    """Yield what moves a cell to a layer, there under `name`; nothing when it is there already."""
    old = tissue.index.layer(cell)
    if old == layer:
        return
    box = tissue.index.box(cell)
    mask = tissue.planes[old][box] == cell
    yield Rename(old, box, cell, 0)
    yield Assign(layer, box, mask, (0, cell if name is None else name))


def layer_free_at(tissue: Tissue, points: NDArray[np.int64]) -> int:
    """Return the first layer that is background at points (N, 3) of the image.

    Raises
    ------
    Refused
        If there is a cell in each.
    """
    for layer, space in enumerate(tissue.planes):
        if not space[tuple(points.T)].any():
            return layer
    met = tissue.cells_under(points)
    raise Refused(f"The seed lies in cell {met[0]}; put it on background.")
