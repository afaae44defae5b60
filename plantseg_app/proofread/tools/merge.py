"""The tool that makes several cells one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from plantseg_app.proofread.layer_room import move_to_layer, roomy_layer
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Change, Rename, Tissue
from plantseg_app.proofread.tool import CellId, Field, Tool, listed


class Merge(Tool):
    """Make several cells one, under the id of the first.

    They need not touch. For a stroke, take ``tissue.cells_under(points)``.
    """

    id: ClassVar[str] = "merge"
    title: ClassVar[str] = "Merge cells"

    cells: Annotated[tuple[CellId, ...], Field(min_length=1)] = Field(description="The first keeps its id.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Rename the others; objects of other layers move to one that has room for all of them."""
        first, *others = dict.fromkeys(self.cells)
        if not others:
            raise Refused(f"Only cell {first} was chosen; a merge needs two cells.")
        tissue.check_editable((first, *others))
        layer = roomy_layer(tissue, (first, *others))
        yield from move_to_layer(tissue, first, layer)
        for cell in others:
            if tissue.index.layer(cell) == layer:
                yield Rename(layer, tissue.index.box(cell), cell, first)
            else:
                yield from move_to_layer(tissue, cell, layer, first)

    @property
    def words(self) -> str:
        """What was done."""
        return f"Merged {listed(self.cells)}"
