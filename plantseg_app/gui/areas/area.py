"""What the areas of the window share: a name in the switch, coming up and going away, and taking dropped files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from plantseg_app.gui.workbench import Workbench


class Area(QWidget):
    """One area; subclasses build themselves in `__init__`.

    Class attributes
    ----------------
    title
        Its word in the switch at the top of the window.
    hint
        One sentence for the tool tip of that word.
    icon
        The name of its icon, which is also the key of the action that opens it.

    Attributes
    ----------
    n_threads
        Cores for its work; None: all.
    """

    title: ClassVar[str]
    hint: ClassVar[str]
    icon: ClassVar[str]

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self.bench = bench
        self.n_threads: int | None = None
        self.setAccessibleName(self.title)
        # Files dropped here mean something else than files dropped on the canvas.
        self.setAcceptDrops(True)

    def enter(self) -> None:
        """Get ready, because the area comes up."""

    @property
    def is_busy(self) -> bool:
        """Whether something runs here that closing the window would stop."""
        return False

    @property
    def busy_text(self) -> str:
        """What runs, as a sentence for the question before the window closes."""
        return ""

    def shut_down(self) -> None:
        """End what runs, because the window closes."""

    def take_paths(self, paths: Sequence[Path]) -> None:
        """Use files and folders that were dropped."""

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Accept files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Use what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.take_paths(paths)


class Column(QScrollArea):
    """Controls below each other that scroll up and down when they do not fit; it is as wide as the widest needs.

    Parameters
    ----------
    least_width
        Below which it never gets, in pixels.
    """

    def __init__(self, least_width: int) -> None:
        super().__init__()
        self._least_width = least_width
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._content = QWidget()
        self.lines = QVBoxLayout(self._content)
        self.lines.setContentsMargins(12, 10, 12, 10)
        self.lines.setSpacing(8)
        self.setWidget(self._content)
        self.setMinimumWidth(least_width)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow the content, whose least width changes with fonts and with what is shown."""
        done = super().eventFilter(watched, event)
        if watched is self._content and event.type() == QEvent.Type.LayoutRequest:
            needed = self._content.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
            self.setMinimumWidth(max(self._least_width, needed))
        return done


def free_width(label: QLabel) -> QLabel:
    """Let a label wrap at any width, rather than demand the one that it thinks is beautiful."""
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label
