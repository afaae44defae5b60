"""The tool that makes cells background."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from plantseg_app.proofread.tissue import Change, Rename, Tissue
from plantseg_app.proofread.tool import Cells, Field, Tool, listed


class Delete(Tool):
    """Make cells background."""

    id: ClassVar[str] = "delete"
    title: ClassVar[str] = "Delete cells"

    cells: Cells = Field(description="The cells.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Rename them to 0."""
        tissue.check_editable(self.cells)
        for cell in dict.fromkeys(self.cells):
            yield Rename(tissue.index.layer(cell), tissue.index.box(cell), cell, 0)

    @property
    def words(self) -> str:
        """What was done."""
        return f"Deleted {listed(self.cells)}"
