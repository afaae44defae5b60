"""The tool that divides a cell between its nuclei."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from plantseg_app.core.fields import Fraction
from plantseg_app.proofread.parting import grow_parts, name_parts
from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Change, Tissue
from plantseg_app.proofread.tool import CellId, Field, Tool, field_of
from plantseg_app.steps.postprocess.split_merge_by_nuclei import SplitMergeByNuclei


class SplitByNuclei(Tool):
    """Divide a cell that holds several nuclei between them. The parts meet on the boundary map, else at necks."""

    id: ClassVar[str] = "split-by-nuclei"
    title: ClassVar[str] = "Split between nuclei"

    cell: CellId = Field(description="The cell.")
    split_threshold: Fraction = field_of(SplitMergeByNuclei, "split_threshold")
    ignore: tuple[CellId, ...] = Field((), description="Nuclei that have no say.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Flood the cell from its nuclei."""
        if tissue.nuclei is None:
            raise Refused("There are no nuclei; open them, or split the cell by scribbles.")
        tissue.check_editable((self.cell,))
        layer, box = tissue.index.layer(self.cell), tissue.index.box(self.cell)
        inside = tissue.planes[layer][box] == self.cell
        held = [name for name, share in tissue.nuclei_in(self.cell).items() if share >= self.split_threshold]
        held = [name for name in held if name not in self.ignore]
        if len(held) < 2:
            raise Refused(
                f"Cell {self.cell} holds {'one nucleus' if held else 'no nucleus'}; there is nothing to divide."
            )
        seeds = np.zeros(inside.shape, np.uint32)
        for number, name in enumerate(held, start=1):
            seeds[(tissue.nuclei[box] == name) & inside] = number
        yield name_parts(tissue, layer, box, grow_parts(tissue, box, seeds, inside), (self.cell,))

    @property
    def words(self) -> str:
        """What was done."""
        return f"Divided cell {self.cell} between its nuclei"
