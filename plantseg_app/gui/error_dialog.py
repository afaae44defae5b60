"""What a person sees when something fails: what happened, what to do, and the details for a report.

`install_excepthook` does the same for defects of the program, which would otherwise end in a terminal nobody reads.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from types import TracebackType

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.gui.about import system_text
from plantseg_app.gui.icons import icon

_LOG = logging.getLogger(__name__)


class ErrorDialog(QDialog):
    """Tells of a failure; show it with ``open()``, which does not stop the program.

    Parameters
    ----------
    sentence
        What happened.
    advice
        What to do about it; "" when there is none.
    details
        What only a report needs, such as a traceback; "" when there is none.
    """

    def __init__(self, sentence: str, advice: str = "", details: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("PlantSeg App")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.sentence, self.advice, self.details = sentence, advice, details
        column = QVBoxLayout(self)
        column.setSpacing(10)
        column.addLayout(self._heading())
        if advice:
            column.addWidget(_words(advice))
        self.details_view = QPlainTextEdit(details)
        self.details_view.setReadOnly(True)
        self.details_view.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.details_view.setAccessibleName("Details")
        self.details_view.setToolTip("What a report of this failure should contain.")
        self.details_view.setMinimumHeight(self.fontMetrics().height() * 12)
        self.details_view.hide()
        column.addWidget(self.details_view, 1)
        column.addWidget(self._buttons())
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance("n") * 62)

    def report(self) -> str:
        """Return all that a report needs: what happened, the details, the versions, the machine."""
        parts = (self.sentence, self.advice, self.details, system_text())
        return "\n\n".join(part.strip() for part in parts if part)

    def _heading(self) -> QHBoxLayout:
        row = QHBoxLayout()
        picture = QLabel()
        picture.setPixmap(icon("warning").pixmap(self.fontMetrics().height() * 2))
        row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        words = _words(self.sentence)
        words.setProperty("role", "sentence")
        row.addWidget(words, 1)
        return row

    def _buttons(self) -> QDialogButtonBox:
        buttons = QDialogButtonBox()
        self.copy_button = _button("&Copy details", "Copy everything that a report of this failure needs.")
        self.copy_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.report()))
        self.show_button = _button("&Show details", "Show what only a report needs.")
        self.show_button.setCheckable(True)
        self.show_button.toggled.connect(self.details_view.setVisible)
        self.show_button.toggled.connect(lambda: self.adjustSize())
        self.close_button = _button("C&lose", "Close this message (Esc).")
        self.close_button.setDefault(True)
        self.close_button.setProperty("main", True)
        self.close_button.clicked.connect(self.accept)
        if self.details:
            buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)
            buttons.addButton(self.show_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.close_button, QDialogButtonBox.ButtonRole.AcceptRole)
        return buttons


def _words(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    return label


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAccessibleName(text.replace("&", ""))
    return button


class DefectReporter(QObject):
    """Takes what nobody caught, notes it in the log, and shows each defect once.

    Signals
    -------
    caught
        Sentence, advice and details of a defect, in the thread of the window.
    """

    caught = Signal(str, str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._seen: set[str] = set()
        self._is_busy = threading.local()
        self._before = sys.excepthook, threading.excepthook
        self._dialog: ErrorDialog | None = None
        self.caught.connect(self._show)

    def install(self) -> None:
        """Take over from Python's own reporting, in all threads."""
        sys.excepthook = self._take
        threading.excepthook = self._take_from_thread

    def uninstall(self) -> None:
        """Give back."""
        sys.excepthook, threading.excepthook = self._before

    def _take_from_thread(self, found: threading.ExceptHookArgs) -> None:
        if found.exc_value is not None and found.exc_type is not SystemExit:
            self._take(found.exc_type, found.exc_value, found.exc_traceback)

    def _take(self, sort: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(sort, KeyboardInterrupt) or getattr(self._is_busy, "now", False):
            # A defect while a defect is being reported goes the plain way, so that there is no circle.
            self._before[0](sort, error, trace)
            return
        self._is_busy.now = True
        try:
            details = "".join(traceback.format_exception(sort, error, trace))
            _LOG.critical("A defect of the program:\n%s", details)
            if self._is_new(sort, trace):
                self.caught.emit(
                    f"Something went wrong inside the program: {sort.__name__}: {error}",
                    "This is a defect of the program, not a mistake of yours. Your images and results are still there. "
                    "Please report it with the details; then save what you need and start the program again.",
                    details,
                )
        finally:
            self._is_busy.now = False

    def _is_new(self, sort: type[BaseException], trace: TracebackType | None) -> bool:
        place = traceback.extract_tb(trace)[-1:] if trace else []
        key = f"{sort.__name__} {[(frame.filename, frame.lineno) for frame in place]}"
        new = key not in self._seen
        self._seen.add(key)
        return new

    def _show(self, sentence: str, advice: str, details: str) -> None:
        parent = self.parent()
        self._dialog = ErrorDialog(sentence, advice, details, parent if isinstance(parent, QWidget) else None)
        self._dialog.open()


def install_excepthook(window: QWidget | None = None) -> DefectReporter:
    """Show defects of the program in a dialog of `window`, and go on; keep what is returned."""
    reporter = DefectReporter(window)
    reporter.install()
    return reporter
