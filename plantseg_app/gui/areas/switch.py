"""The words at the right end of the bar of steps that open the wizard or another area of the window."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QSizePolicy, QToolButton, QWidget

from plantseg_app.gui.actions import ACTIONS
from plantseg_app.gui.icons import icon


@dataclasses.dataclass(frozen=True)
class AreaEntry:
    """One area: its word, one sentence on it, and the name of its icon."""

    title: str
    hint: str
    icon: str


class AreaSwitch(QWidget):
    """One word an area, or only its icon where there is no room; that of the open area stands out.

    Signals
    -------
    chosen
        The index of the area that was clicked.
    """

    chosen = Signal(int)

    def __init__(self, entries: Sequence[AreaEntry], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Areas of the window")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._group = QButtonGroup(self)
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(0, 4, 8, 4)
        row.setSpacing(2)
        row.addStretch(1)
        for index, entry in enumerate(entries):
            # The keys are those of the menu; given twice they would do nothing.
            key = next((action.shortcut for action in ACTIONS if action.key == entry.icon), "")
            word = QToolButton()
            word.setText(entry.title)
            word.setIcon(icon(entry.icon))
            word.setToolTip(f"{entry.title}: {entry.hint}" + (f" ({key})" if key else ""))
            word.setAccessibleName(f"Area {entry.title}")
            word.setCheckable(True)
            word.setProperty("area", True)
            self._group.addButton(word, index)
            row.addWidget(word)
        self._group.idClicked.connect(self.chosen)

    def show_current(self, index: int) -> None:
        """Mark the area that is open."""
        self._group.button(index).setChecked(True)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size with words."""
        return self._size(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size with icons alone."""
        return self._size(Qt.ToolButtonStyle.ToolButtonIconOnly)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Leave out the words where they do not fit."""
        super().resizeEvent(event)
        fits = self.width() >= self.sizeHint().width()
        self._show(Qt.ToolButtonStyle.ToolButtonTextBesideIcon if fits else Qt.ToolButtonStyle.ToolButtonIconOnly)

    def _size(self, style: Qt.ToolButtonStyle) -> QSize:
        """Return the size in a style, which each word works out while it wears it."""
        words = self._group.buttons()
        before = [word.toolButtonStyle() for word in words if isinstance(word, QToolButton)]
        self._show(style)
        sizes = [word.sizeHint() for word in words]
        for word, old in zip(words, before, strict=True):
            if isinstance(word, QToolButton):
                word.setToolButtonStyle(old)
        margins = self._row.contentsMargins()
        width = sum(size.width() for size in sizes) + self._row.spacing() * len(sizes)
        height = max(size.height() for size in sizes)
        return QSize(width + margins.left() + margins.right(), height + margins.top() + margins.bottom())

    def _show(self, style: Qt.ToolButtonStyle) -> None:
        for word in self._group.buttons():
            if isinstance(word, QToolButton) and word.toolButtonStyle() != style:
                word.setToolButtonStyle(style)
