"""What the first page shows while nothing is open: where to drop images, the sample, and the files of last time."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from plantseg_app.gui.widgets import button, heading

_MOST_SHOWN = 6


class DropHint(QFrame):
    """A friendly frame that says that images can be dropped, with the buttons that open some."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "drop")
        sign = QLabel("⬇")
        sign.setProperty("role", "sign")
        text = QLabel("<b>Drop images here</b><br>or anywhere on this window")
        formats = QLabel("TIFF, HDF5, PNG and JPEG; single files or whole folders")
        self.open_button = button("&Open images…", "Choose image files to open (Ctrl+O).", main=True)
        self.sample_button = button(
            "Open the &sample", "Open the stack that comes with the program: cells of a plant ovule."
        )
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 14, 14, 14)
        for label in (sign, text, formats):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setWordWrap(True)
            column.addWidget(label)
        for made in (self.open_button, self.sample_button):
            column.addWidget(made)


class RecentFiles(QWidget):
    """The files that were opened last; those that are gone are grey.

    Signals
    -------
    chosen
        A file to open.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addWidget(heading("Opened before"))
        self._buttons: list[RecentButton] = []
        self.setVisible(False)

    def show_files(self, files: Sequence[tuple[Path, float | None]]) -> None:
        """Show files, each with when it was changed, in seconds since 1970; None for one that is gone."""
        for made in self._buttons:
            self._column.removeWidget(made)
            made.deleteLater()
        self._buttons = [RecentButton(path, changed_s) for path, changed_s in files[:_MOST_SHOWN]]
        for made in self._buttons:
            made.clicked.connect(lambda _checked, path=made.path: self.chosen.emit(path))
            self._column.addWidget(made)
        self.setVisible(bool(self._buttons))


class RecentButton(QPushButton):
    """A file that was opened before: its name, and below it its day and folder, shortened to the width there is."""

    def __init__(self, path: Path, changed_s: float | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.path = path
        is_there = changed_s is not None
        when = "no longer there" if changed_s is None else day(changed_s)
        self._lines = (path.name, f"{when}, {_short(path.parent)}")
        self.setFlat(True)
        self.setEnabled(is_there)
        self.setProperty("role", "file")
        self.setAccessibleName(f"Open {path.name}")
        self.setToolTip(html.escape(str(path)) + ("" if is_there else "<br>This file is no longer there."))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._shorten()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Use the width there is."""
        super().resizeEvent(event)
        self._shorten()

    def _shorten(self) -> None:
        metrics, room = self.fontMetrics(), max(60, self.width() - 16)
        lines = [metrics.elidedText(line, Qt.TextElideMode.ElideMiddle, room) for line in self._lines]
        self.setText("\n".join(lines).replace("&", "&&"))


def day(seconds: float, now: float | None = None) -> str:
    """Return the day of a time as people say it.

    >>> day(86400 * 10.5, 86400 * 10.5), day(86400 * 9.5, 86400 * 10.5)
    ('today', 'yesterday')
    """
    then, today = time.localtime(seconds), time.localtime(time.time() if now is None else now)
    yesterday = time.localtime((time.time() if now is None else now) - 86400)
    for words, date in (("today", today), ("yesterday", yesterday)):
        if (then.tm_year, then.tm_yday) == (date.tm_year, date.tm_yday):
            return words
    return time.strftime("%Y-%m-%d", then)


def _short(folder: Path) -> str:
    home = Path.home()
    return f"~/{folder.relative_to(home)}" if folder.is_relative_to(home) else str(folder)
