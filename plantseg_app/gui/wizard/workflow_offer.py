"""A line that says that an opened file holds the workflow that made it, and offers to open that as well."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QWidget

from plantseg_app.gui.widgets import button, sentence


class WorkflowOffer(QFrame):
    """A line that says that an opened file holds the workflow that made it, and offers to open that too.

    Signals
    -------
    accepted
        The file whose workflow is wanted.
    """

    accepted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "offer")
        self.text = sentence()
        self.open_button = button("Open its &workflow", "Take the workflow that made this file, with its settings.")
        self.dismiss_button = QToolButton()
        self.dismiss_button.setText("✕")
        self.dismiss_button.setAutoRaise(True)
        self.dismiss_button.setAccessibleName("Dismiss")
        self.dismiss_button.setToolTip("Keep the workflow that is open.")
        self._path: Path | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 4)
        row.addWidget(self.text, 1)
        row.addWidget(self.open_button)
        row.addWidget(self.dismiss_button)
        self.setVisible(False)
        self.dismiss_button.clicked.connect(self.hide)
        self.open_button.clicked.connect(self._accept)

    def show_offer(self, path: Path) -> None:
        """Offer the workflow of this file, in place of an earlier offer."""
        self._path = path
        self.text.setText(f"{path.name} holds the workflow that made it.")
        self.show()

    def _accept(self) -> None:
        self.hide()
        if self._path is not None:
            self.accepted.emit(self._path)
