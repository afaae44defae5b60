"""A section of a page or form that is closed at first."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget


class Fold(QWidget):
    """A title that opens and closes what is in its `column`."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.button = QToolButton()
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setCheckable(True)
        self.button.setAutoRaise(True)
        self.button.setProperty("role", "fold")
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.button.setAccessibleName(title)
        self.button.setToolTip("Show or hide the settings that rarely need a change.")
        self.button.toggled.connect(self._turn)
        self._inside = QWidget()
        self.column = QVBoxLayout(self._inside)
        self.column.setContentsMargins(12, 0, 0, 0)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.button)
        whole.addWidget(self._inside)
        self.say_changed(0)
        self._turn(False)

    def open(self) -> None:
        """Show what is inside."""
        self.button.setChecked(True)

    def say_changed(self, count: int) -> None:
        """Tell how many settings inside differ from their defaults, since they may be out of sight."""
        self.button.setText(f"{self._title} ({count} changed)" if count else self._title)

    def _turn(self, is_open: bool) -> None:
        self.button.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self._inside.setVisible(is_open)
