"""What all pages of the wizard share: a title, a sentence, a column of controls, and whether one may go on."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from plantseg_app.gui.workbench import Workbench


class Page(QWidget):
    """One step of the work; subclasses fill `column` in their `__init__` and redraw in `refresh`.

    Class attributes
    ----------------
    title
        Its name in the bar of steps.
    hint
        One sentence that says what a person does here.

    Signals
    -------
    completeness_changed
        Whether one may go on to the next page has changed.
    """

    title: ClassVar[str]
    hint: ClassVar[str]

    completeness_changed = Signal()

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self.bench = bench
        self.document = bench.document
        # A step or a role may change what fits on the page, so the column scrolls rather than being cut off.
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        content = QWidget()
        self.column = QVBoxLayout(content)
        self.column.setContentsMargins(12, 10, 12, 10)
        self.column.setSpacing(8)
        area.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.column.addWidget(sentence(self.hint))

    @property
    def is_complete(self) -> bool:
        """Whether one may go on to the next page."""
        return True

    def enter(self) -> None:
        """Get ready, because the page comes up."""
        self.refresh()

    def leave(self) -> None:
        """Put things away, because another page comes up."""

    def refresh(self) -> None:
        """Show the document and the runner as they are now."""


def sentence(text: str = "") -> QLabel:
    """Return a label that wraps its text."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def heading(text: str) -> QLabel:
    """Return a label that begins a section of a page."""
    label = QLabel(f"<b>{text}</b>")
    label.setContentsMargins(0, 8, 0, 0)
    return label


def button(text: str, tip: str, main: bool = False) -> QPushButton:
    """Return a button with tool tip and accessible name; `main` marks the one that carries the work on."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setAccessibleName(text.replace("&", "").rstrip("…"))
    if main:
        made.setProperty("main", True)
    return made
