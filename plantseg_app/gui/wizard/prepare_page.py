"""The page `Prepare` of the wizard."""

from __future__ import annotations

from typing import ClassVar

from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.workbench import Workbench


class PreparePage(Page):
    """Crop, rescale or clean the image where it needs it; often nothing has to be done here."""

    title: ClassVar[str] = "Prepare"
    hint: ClassVar[str] = "Crop, rescale or clean the image where it needs it; often nothing has to be done here."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.column.addStretch(1)
