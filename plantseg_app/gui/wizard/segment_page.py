"""Fourth page: from the map to cells."""

from __future__ import annotations

from typing import ClassVar

from plantseg_app.gui.wizard.page import Page, button
from plantseg_app.gui.workbench import Workbench


class SegmentPage(Page):
    """Choose how the map becomes cells, and run it."""

    title: ClassVar[str] = "Segment"
    hint: ClassVar[str] = "The boundaries are closed to cells."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.run_button = button("&Segment", "Run the workflow on the image (Ctrl+R).", main=True)
        self.run_button.clicked.connect(lambda: bench.run(self.document.workflow.outputs))
        self.column.addWidget(self.run_button)
        self.column.addStretch(1)
