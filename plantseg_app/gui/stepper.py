"""The bar above the canvas that says where in the work one is, and leads to the other pages."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QToolButton, QWidget


class Stepper(QWidget):
    """Numbered steps in their order; the one that is open stands out, and those out of reach are grey.

    Signals
    -------
    chosen
        The index of the page that was clicked.
    """

    chosen = Signal(int)

    def __init__(self, titles: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Steps of the work")
        self._group = QButtonGroup(self)
        # In the areas beside the wizard no step is the current one.
        self._group.setExclusive(False)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 8, 4)
        row.setSpacing(2)
        for index, title in enumerate(titles):
            if index:
                row.addWidget(QLabel("›"))
            step = QToolButton()
            step.setText(f"{index + 1}  {title}".replace("&", "&&"))
            step.setToolTip(f"Go to step {index + 1}: {title} (Ctrl+{index + 1})")
            step.setAccessibleName(f"Step {index + 1}: {title}")
            step.setShortcut(f"Ctrl+{index + 1}")
            step.setCheckable(True)
            step.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
            step.setProperty("step", True)
            self._group.addButton(step, index)
            row.addWidget(step)
        row.addStretch(1)
        self._group.idClicked.connect(self.chosen)

    def show_state(self, current: int, reachable: int) -> None:
        """Mark page `current` (-1: none), and let a person go as far as page `reachable`."""
        for index, step in enumerate(self._group.buttons()):
            step.setChecked(index == current)
            step.setEnabled(index <= reachable)
