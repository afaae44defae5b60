"""The tools that paint and erase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from plantseg_app.proofread.cell_index import Box
from plantseg_app.proofread.layer_room import layer_with_room, move_to_layer
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.slices import fill_between
from plantseg_app.proofread.tissue import Assign, Change, Tissue
from plantseg_app.proofread.tool import Axis, CellId, Field, Points, Tool


class Paint(Tool):
    """Give voxels to a cell, or make a new cell of them.

    With `between` the painted voxels are outlines on some slices, and the slices between them are filled with shapes
    that go over from one to the next. Voxels of locked cells are left out.
    """

    id: ClassVar[str] = "paint"
    title: ClassVar[str] = "Paint a cell"

    voxels: Points = Field(description="The painted voxels.", exclude=True)
    cell: CellId | None = Field(None, description="The cell that gets them; empty for a new cell.")
    over_cells: bool = Field(False, description="Also take voxels of other cells, not of background alone.")
    between: Axis | None = Field(None, description="Fill the slices between painted ones, counted along this axis.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Paint in the layer of the cell, or in one that has room."""
        if self.cell is not None:
            tissue.check_editable((self.cell,))
        box, mask = self._mask(tissue)
        cell = tissue.new_ids(1)[0] if self.cell is None else self.cell
        layer = 0 if self.cell is None else tissue.index.layer(cell)
        if tissue.is_layered:
            roomy = layer_with_room(tissue, *self._with_old(tissue, box, mask), (cell,), layer)
            if roomy is not None:
                layer = roomy
                if self.cell is not None:
                    yield from move_to_layer(tissue, cell, layer)
        met = tissue.planes[layer][box]
        if not self.over_cells:
            mask &= met == 0
        if not (mask & (met != cell)).any():
            raise Refused(
                "There is no free background under the brush; allow painting over other cells, or erase first."
            )
        yield Assign(layer, box, mask, (0, cell))

    def _with_old(self, tissue: Tissue, box: Box, mask: NDArray[np.bool_]) -> tuple[Box, NDArray[np.bool_]]:
        """Return box and mask together with the voxels that the cell has."""
        if self.cell is None:
            return box, mask
        old = tissue.index.box(self.cell)
        z, y, x = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, old, strict=True))
        both = tissue.mask_of((self.cell,), (z, y, x))
        both[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, (z, y, x), strict=True))] |= mask
        return (z, y, x), both

    def _mask(self, tissue: Tissue) -> tuple[Box, NDArray[np.bool_]]:
        box, mask = mask_of_points(tissue, self.voxels)
        if self.between is not None:
            mask = fill_between(mask, "zyx".index(self.between), tissue.spacing)
        return box, mask

    @property
    def words(self) -> str:
        """What was done."""
        return "Painted a new cell" if self.cell is None else f"Painted cell {self.cell}"


class Erase(Tool):
    """Make voxels background, of one cell or of all that are not locked."""

    id: ClassVar[str] = "erase"
    title: ClassVar[str] = "Erase"

    voxels: Points = Field(description="The erased voxels.", exclude=True)
    cell: CellId | None = Field(None, description="The only cell that loses voxels; all when empty.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Assign background in each layer that holds something there."""
        if self.cell is not None:
            tissue.check_editable((self.cell,))
        box, mask = mask_of_points(tissue, self.voxels)
        layers = range(len(tissue.planes)) if self.cell is None else [tissue.index.layer(self.cell)]
        for layer in layers:
            met = tissue.planes[layer][box]
            hit = mask & (met > 0 if self.cell is None else met == self.cell)
            if hit.any():
                yield Assign(layer, box, hit, (0, 0))

    @property
    def words(self) -> str:
        """What was done."""
        return "Erased voxels" if self.cell is None else f"Erased voxels of cell {self.cell}"


def mask_of_points(tissue: Tissue, points: NDArray[np.int64]) -> tuple[Box, NDArray[np.bool_]]:
    """Return the smallest box around the points that lie in the image, and where in it they are.

    Raises
    ------
    Refused
        If none lies in the image.
    """
    inside = points[((points >= 0) & (points < tissue.shape_vox)).all(1)]
    if not len(inside):
        raise Refused("Nothing was drawn inside the image.")
    low, high = inside.min(0), inside.max(0) + 1
    mask = np.zeros(high - low, bool)
    mask[tuple((inside - low).T)] = True
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (z, y, x), mask
