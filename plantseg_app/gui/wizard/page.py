"""What all pages of the wizard share: a title, a sentence, a column of controls, and whether one may go on."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from plantseg_app.gui.widgets import sentence
from plantseg_app.gui.workbench import Workbench


class Page(QWidget):
    """One step of the work; subclasses fill `column` in their `__init__` and redraw in `refresh`.

    What carries the work on goes into `footer`, which stays in sight while the column scrolls.

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
        area = self._area = _Column()
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
        outer.addWidget(area, 1)
        self.footer = QVBoxLayout()
        self.footer.setContentsMargins(12, 4, 12, 4)
        outer.addLayout(self.footer)
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

    def show_widget(self, widget: QWidget) -> None:
        """Scroll so far that `widget` is seen."""
        self._area.ensureWidgetVisible(widget)

    def run(self) -> None:
        """Carry the work of this page out on the whole image; by default the whole workflow."""
        self.bench.run(self.document.workflow.outputs)

    def preview(self) -> None:
        """Show what the settings of this page make of what is on the screen, where the page can."""
        self.bench.tell(f"The page {self.title} has no preview; Prepare and Segment have.")

    def restore(self) -> None:
        """Go on with what was under way when the session that was brought back ended; called once the page is open."""

    def shut_down(self) -> None:
        """Let go of files and threads, because the window closes."""

    @property
    def busy_text(self) -> str:
        """What runs or waits here that closing the window would end, as a sentence; "" when nothing does."""
        return ""

    def drop(self) -> bool:
        """Forget what was begun by hand on the canvas; False when there is nothing."""
        return False

    def undo(self) -> None:
        """Take the last change back, where the page changes something by hand."""
        self.bench.tell("There is nothing to undo here; corrections are made on the page Proofread.")

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        self.bench.tell("There is nothing to redo here; corrections are made on the page Proofread.")

    def toggle_likeness(self) -> None:
        """Show which pixels of an embedding are like the one under the cursor, or no longer, where the page can."""
        self.bench.tell(f"The page {self.title} shows no likeness; Predict and Segment do.")

    def refresh(self) -> None:
        """Show the document and the runner as they are now."""


class _Column(QScrollArea):
    """Scrolls up and down alone, and so is never narrower than what it holds."""

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the width of the content and of the scroll bar."""
        hint, content = super().minimumSizeHint(), self.widget()
        if content is not None:
            hint.setWidth(content.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width())
        return hint

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow widgets that come, go or grow."""
        if watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)
