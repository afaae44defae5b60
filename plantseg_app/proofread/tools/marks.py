"""The tools that say of cells whether they are right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from plantseg_app.proofread.refusal import Refused
from plantseg_app.proofread.tissue import Change, Mark, Tissue
from plantseg_app.proofread.tool import Cells, Field, Tool, listed


class _Marking(Tool):
    """Say the same of some cells; their voxels stay."""

    cells: Cells = Field(description="The cells.")

    _mark: ClassVar[Mark | None]
    _already: ClassVar[str]

    def changes(self, tissue: Tissue) -> Iterator[Change]:
        """Change no voxel."""
        for cell in self.cells:
            tissue.check_present(cell)
        if all(tissue.marks.get(cell) is self._mark for cell in self.cells):
            noun, verb = ("Cell", "is") if len(self.cells) == 1 else ("Cells", "are")
            raise Refused(f"{noun} {listed(self.cells).partition(' ')[2]} {verb} {self._already} already.")
        yield from ()

    def marks(self, tissue: Tissue) -> Mapping[int, Mark | None]:  # noqa: ARG002 - the same for any tissue
        """Return the same mark for all of them."""
        return dict.fromkeys(self.cells, self._mark)


class Lock(_Marking):
    """Mark cells as correct: no tool changes their voxels any more, and they are what training learns from."""

    id: ClassVar[str] = "lock"
    title: ClassVar[str] = "Mark as correct"
    _mark = Mark.CORRECT
    _already = "marked as correct"

    @property
    def words(self) -> str:
        """What was done."""
        return f"Marked {listed(self.cells)} as correct"


class Unmark(_Marking):
    """Take back what was said of cells: they are neither correct nor unsure, and can be changed."""

    id: ClassVar[str] = "unmark"
    title: ClassVar[str] = "Unlock"
    _mark = None
    _already = "unlocked"

    @property
    def words(self) -> str:
        """What was done."""
        return f"Unlocked {listed(self.cells)}"


class MarkUnsure(_Marking):
    """Mark cells of which nobody can tell; they can be changed, and training does not learn from them."""

    id: ClassVar[str] = "unsure"
    title: ClassVar[str] = "Mark as unsure"
    _mark = Mark.UNSURE
    _already = "marked as unsure"

    @property
    def words(self) -> str:
        """What was done."""
        return f"Marked {listed(self.cells)} as unsure"
