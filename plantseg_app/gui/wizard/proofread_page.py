"""The page `Proofread` of the wizard."""

from __future__ import annotations

from typing import ClassVar

from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.workbench import Workbench


class ProofreadPage(Page):
    """Correct the cells where the computer was wrong."""

    title: ClassVar[str] = "Proofread"
    hint: ClassVar[str] = "Correct the cells where the computer was wrong."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.column.addStretch(1)
