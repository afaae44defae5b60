"""What the areas of the window share: a name in the switch, coming up and going away, and taking dropped files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

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
    """

    title: ClassVar[str]
    hint: ClassVar[str]
    icon: ClassVar[str]

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self.bench = bench
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


def scrolling_column(minimum_width: int) -> tuple[QScrollArea, QVBoxLayout]:
    """Return a column that scrolls when its controls do not fit, and the layout to put them into."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumWidth(minimum_width)
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(12, 10, 12, 10)
    column.setSpacing(8)
    area.setWidget(content)
    return area, column
