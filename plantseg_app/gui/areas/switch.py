"""The words at the right end of the bar of steps that open the wizard or another area of the window."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QToolButton, QWidget


class AreaSwitch(QWidget):
    """One word an area; that of the open area stands out.

    Parameters
    ----------
    entries
        Word and help of each area, in their order.

    Signals
    -------
    chosen
        The index of the area that was clicked.
    """

    chosen = Signal(int)

    def __init__(self, entries: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Areas of the window")
        self._group = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 8, 0)
        row.setSpacing(2)
        for index, (title, hint) in enumerate(entries):
            key = f"Ctrl+Shift+{index + 1}"
            word = QToolButton()
            word.setText(title)
            word.setToolTip(f"{hint} ({key})")
            word.setAccessibleName(f"Area {title}")
            word.setShortcut(key)
            word.setCheckable(True)
            word.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
            word.setProperty("step", True)
            self._group.addButton(word, index)
            row.addWidget(word)
        self._group.idClicked.connect(self.chosen)

    def show_current(self, index: int) -> None:
        """Mark the area that is open."""
        self._group.button(index).setChecked(True)
