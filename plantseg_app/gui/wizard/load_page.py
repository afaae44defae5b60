"""First page: open images, and say what each of them shows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from PySide6.QtWidgets import QFileDialog

from plantseg_app.gui.wizard.page import Page, button, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.paths import samples_dir


class LoadPage(Page):
    """Open images by dropping or choosing them, and give them roles."""

    title: ClassVar[str] = "Load"
    hint: ClassVar[str] = "Drop one or several TIFF or HDF5 stacks anywhere on this window, or choose them."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.open_button = button("&Open images…", "Choose stacks to open (Ctrl+O).", main=True)
        self.sample_button = button("Open the &sample", "Open the confocal stack that comes with the program.")
        self.about_images = sentence()
        self.open_button.clicked.connect(self._choose)
        self.sample_button.clicked.connect(lambda: bench.open_paths([samples_dir() / "sample_ovule.h5"]))
        for widget in (self.open_button, self.sample_button, self.about_images):
            self.column.addWidget(widget)
        self.column.addStretch(1)

    @property
    def is_complete(self) -> bool:
        """Whether an image is open."""
        return bool(self.document.images)

    def refresh(self) -> None:
        """List the open images."""
        self.about_images.setText("<br>".join(self.document.images) or "Nothing is open yet.")

    def _choose(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Open images")
        self.bench.open_paths([Path(path) for path in paths])
