"""The tool that gives a cell another id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Change, Rename, Tissue
from plantseg_app.proofread.tool import CellId, Field, Tool


class Relabel(Tool):
    """Give a cell an id that no other has."""

    id: ClassVar[str] = "relabel"
    title: ClassVar[str] = "Give another id"

    cell: CellId = Field(description="The cell.")
    to: CellId | None = Field(None, description="The new id; empty for the next free one.")

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Rename it."""
        tissue.check_editable((self.cell,))
        if self.to is not None and self.to in tissue.index:
            raise Refused(f"There is a cell {self.to} already; to join them, merge them.")
        new = tissue.new_ids(1)[0] if self.to is None else tissue.reserve(self.to)
        yield Rename(tissue.index.layer(self.cell), tissue.index.box(self.cell), self.cell, new)

    @property
    def words(self) -> str:
        """What was done."""
        return f"Gave cell {self.cell} {'a new id' if self.to is None else f'the id {self.to}'}"
