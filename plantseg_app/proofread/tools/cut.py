"""The tool that cuts a cell along a drawn line or surface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from plantseg_app.proofread.curtain import curtain
from plantseg_app.proofread.parting import name_parts, parts_beside
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Change, Tissue, cell_under
from plantseg_app.proofread.tool import Axis, CellId, Field, Points, Tool


class Cut(Tool):
    """Cut a cell along a line drawn on a slice, or along a surface through lines drawn on several slices.

    A line cuts all slices of the cell; between several lines the surface goes over from one to the next. A line that
    ends inside the cell is lengthened to its rim. The largest part keeps the id.
    """

    id: ClassVar[str] = "cut"
    title: ClassVar[str] = "Cut along a line"

    lines: tuple[Points, ...] = Field(
        description="Corners of each line, in the order in which they were drawn.", min_length=1, exclude=True
    )
    across: Axis = Field("z", description="The axis across the slices on which the lines were drawn.")
    cell: CellId | None = Field(None, description="The cell to cut; the one under most of the lines when empty.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Part the cell by the voxels that the surface passes through."""
        axis = "zyx".index(self.across)
        cell = cell_under(tissue, self.lines, "line") if self.cell is None else self.cell
        tissue.check_editable((cell,))
        layer, box = tissue.index.layer(cell), tissue.index.box(cell)
        inside = tissue.planes[layer][box] == cell
        corner = np.array([part.start for part in box])
        wall = curtain([line - corner for line in self.lines], axis, inside)
        if not wall.any():
            raise Refused(f"The line passes beside cell {cell}; draw it across the cell.")
        parts = parts_beside(wall, inside)
        if int(parts.max()) < 2:
            raise Refused(f"The line does not part cell {cell}; draw it from rim to rim.")
        yield name_parts(tissue, layer, box, parts, (cell,))

    @property
    def words(self) -> str:
        """What was done."""
        what = "a cell" if self.cell is None else f"cell {self.cell}"
        return f"Cut {what} along {'a line' if len(self.lines) == 1 else f'a surface of {len(self.lines)} lines'}"
