"""Second page: crop, tell how large cells are, and clean the image."""

from __future__ import annotations

from typing import ClassVar

from plantseg_app.gui.widgets import heading
from plantseg_app.gui.wizard.before_after import BeforeAfter
from plantseg_app.gui.wizard.cell_size_section import CellSizeSection
from plantseg_app.gui.wizard.crop_section import CropSection
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.wizard.step_cards import CardSource, StepCards
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.prepared import preparation
from plantseg_app.run.workflow_crop import crop_nodes


class PreparePage(Page):
    """Choose the box to work on, measure a cell, and put steps before the network; often nothing has to be done."""

    title: ClassVar[str] = "Prepare"
    hint: ClassVar[str] = "Crop, tell how large cells are, or clean the image. Often nothing has to be done here."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.crop = CropSection(bench)
        self.cell_size = CellSizeSection(bench)
        self.cards = StepCards(
            bench,
            CardSource(
                "preprocess",
                lambda workflow: [name for name in preparation(workflow) if name not in crop_nodes(workflow)],
                leave_out=("crop", "paste-back"),
            ),
        )
        self.before_after = BeforeAfter(bench)
        for title, section in (
            ("Crop", self.crop),
            ("Cell size", self.cell_size),
            ("Steps", self.cards),
        ):
            self.column.addWidget(heading(title))
            self.column.addWidget(section)
        self.column.addWidget(self.before_after)
        self.column.addStretch(1)

    def refresh(self) -> None:
        """Show the document as it is now."""
        self.crop.refresh()
        self.cell_size.refresh()
        self.cards.refresh()
        self.before_after.refresh()

    def preview(self) -> None:
        """Show the slice before and after the steps."""
        if not self.before_after.has_steps:
            self.bench.tell("Add a step first; then this page shows the slice before and after it.")
            return
        self.before_after.show_box.setChecked(True)

    def leave(self) -> None:
        """Let go of the canvas; the outline of the box stays."""
        self.crop.leave()
        self.cell_size.leave()
        self.before_after.leave()
