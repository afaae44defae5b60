"""The question before the window closes while a batch or a training runs."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QMessageBox, QWidget

from plantseg_app.gui.areas.area import Area


class ClosingQuestion(QObject):
    """Asks once; when the answer is yes, the window is closed again and is not asked any more."""

    def __init__(self, window: QWidget, areas: Sequence[Area]) -> None:
        super().__init__(window)
        self._window, self._areas = window, areas
        self._is_answered = False

    def agrees(self, event: QCloseEvent) -> bool:
        """Return whether the window may close now; else `event` is ignored and the person is asked."""
        texts = [area.busy_text for area in self._areas if area.is_busy]
        if self._is_answered or not texts:
            return True
        event.ignore()
        box = QMessageBox(QMessageBox.Icon.Question, "PlantSeg App", "Close the program?", parent=self._window)
        box.setInformativeText("\n".join(texts))
        stop = box.addButton("&Stop and close", QMessageBox.ButtonRole.AcceptRole)
        box.addButton("&Keep open", QMessageBox.ButtonRole.RejectRole)
        stop.clicked.connect(self._close)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()
        return False

    def _close(self) -> None:
        self._is_answered = True
        self._window.close()
