"""The tool that takes a cell apart into the superpixels it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from plantseg_app.algorithms.region_graph import make_dense
from plantseg_app.proofread.parting import name_parts
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Change, Tissue
from plantseg_app.proofread.tool import CellId, Field, Tool


class SplitIntoSuperpixels(Tool):
    """Take a cell apart into its superpixels, to merge the right ones anew. The largest keeps the id."""

    id: ClassVar[str] = "superpixels"
    title: ClassVar[str] = "Split into superpixels"

    cell: CellId = Field(description="The cell.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Give each superpixel an id."""
        if tissue.superpixels is None:
            raise Refused("There are no superpixels of these labels; split the cell by scribbles.")
        tissue.check_editable((self.cell,))
        layer, box = tissue.index.layer(self.cell), tissue.index.box(self.cell)
        parts, names = make_dense(tissue.superpixels[box] * (tissue.planes[layer][box] == self.cell))
        if len(names) < 3:
            raise Refused(f"Cell {self.cell} is a single superpixel; split it by scribbles.")
        yield name_parts(tissue, layer, box, parts, (self.cell,))

    @property
    def words(self) -> str:
        """What was done."""
        return f"Split cell {self.cell} into its superpixels"
