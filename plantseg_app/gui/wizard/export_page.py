"""The page `Measure & export` of the wizard."""

from __future__ import annotations

from typing import ClassVar

from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.workbench import Workbench


class ExportPage(Page):
    """Save the cells, the table of their sizes and the workflow."""

    title: ClassVar[str] = "Measure & export"
    hint: ClassVar[str] = "Save the cells, the table of their sizes and the workflow."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.column.addStretch(1)
