"""Third page: the network that finds boundaries or nuclei."""

from __future__ import annotations

from typing import ClassVar

from plantseg_app.gui.wizard.page import Page, button
from plantseg_app.gui.workbench import Workbench


class PredictPage(Page):
    """Choose a network and run it."""

    title: ClassVar[str] = "Predict"
    hint: ClassVar[str] = "A trained network finds the cell boundaries."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.run_button = button("&Predict", "Run the network on the image.", main=True)
        self.run_button.clicked.connect(lambda: bench.run(("boundary",)))
        self.column.addWidget(self.run_button)
        self.column.addStretch(1)
