"""A line for a file or folder, with a button that lets a person choose it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QWidget

from plantseg_app.gui.widgets import button


class PathLine(QWidget):
    """Where something lies or is to go.

    Parameters
    ----------
    name
        Its accessible name, and the title of the dialog.
    tip
        Its tool tip.
    placeholder
        What stands in the line while it is empty.

    Signals
    -------
    changed
        Another path was typed or chosen.
    """

    changed = Signal()

    def __init__(self, name: str, tip: str, placeholder: str = "") -> None:
        super().__init__()
        self._name = name
        self.line = QLineEdit()
        self.line.setAccessibleName(name)
        self.line.setToolTip(tip)
        self.line.setPlaceholderText(placeholder)
        self.choose_button = button("…", f"Choose: {tip}")
        self.choose_button.setAccessibleName(f"Choose {name.lower()}")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.choose_button)
        self.line.textChanged.connect(self.changed)
        self.choose_button.clicked.connect(self._choose)

    @property
    def path(self) -> Path | None:
        """What stands in the line, None when nothing does."""
        text = self.line.text().strip()
        return Path(text).expanduser() if text else None

    def set_path(self, path: Path | None) -> None:
        """Show a path."""
        self.line.setText("" if path is None else str(path))

    def _choose(self) -> None:
        start = "" if self.path is None else str(self.path)
        folder = QFileDialog.getExistingDirectory(self, self._name, start)
        if folder:
            self.set_path(Path(folder))
