"""The tool that cuts cells by scribbles or seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from plantseg_app.proofread.parting import grow_parts, name_parts
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Change, Tissue, cell_under
from plantseg_app.proofread.tool import CellId, Field, Points, Tool, listed


class Split(Tool):
    """Cut cells anew, one part for each scribble; a seed is a scribble of one voxel.

    Scribbles in one cell cut it; scribbles across several cells divide all of these anew. The parts meet on the
    boundary map where there is one, else at necks. The largest part of a cell keeps its id. Pieces that no scribble
    reaches stay as they are.
    """

    id: ClassVar[str] = "split"
    title: ClassVar[str] = "Split by scribbles"

    scribbles: tuple[Points, ...] = Field(description="Voxels of each scribble.", min_length=1, exclude=True)
    cells: tuple[CellId, ...] = Field((), description="The cells to cut; those under the scribbles when empty.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Flood the cells from the scribbles."""
        cells = list(dict.fromkeys(self.cells)) or self._cells_under(tissue)
        tissue.check_editable(cells)
        layers = {tissue.index.layer(cell) for cell in cells}
        if len(layers) > 1:
            raise Refused("The scribbles lie on objects of different layers; choose the one to split.")
        layer = layers.pop()
        box = tissue.box_around(cells)
        inside = tissue.mask_of(cells, box)
        seeds = np.zeros(inside.shape, np.uint32)
        corner = [part.start for part in box]
        for number, scribble in enumerate(self.scribbles, start=1):
            points = scribble - corner
            z, y, x = points[((points >= 0) & (points < inside.shape)).all(1)].T
            seeds[z, y, x] = number
        seeds[~inside] = 0
        met = np.unique(seeds[seeds > 0])
        if len(met) < 2:
            raise Refused(f"A split needs two scribbles in {listed(tuple(cells))}; draw one in each part.")
        yield name_parts(tissue, layer, box, grow_parts(tissue, box, seeds, inside), cells)

    def _cells_under(self, tissue: Tissue) -> list[int]:
        cells = tissue.cells_under(np.concatenate(self.scribbles))
        if not cells:
            raise Refused("The scribbles touch no cell; draw them inside the cell to split.")
        if not tissue.is_layered:
            return cells
        # Objects that overlap cannot be told apart by a click: the one that holds most of the scribbles is meant.
        return [cell_under(tissue, self.scribbles, "scribble")]

    @property
    def words(self) -> str:
        """What was done."""
        what = listed(self.cells) if self.cells else "cells"
        return f"Split {what} by {len(self.scribbles)} scribbles"
