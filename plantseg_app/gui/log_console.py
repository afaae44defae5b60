"""What the program notes while it works: a dock to read it in, and a file that stays after a crash."""

from __future__ import annotations

import collections
import dataclasses
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.io.atomic import replacing
from plantseg_app.paths import home_dir

_LOG = logging.getLogger(__name__)
_FORMAT = "%(asctime)s  %(levelname)-8s  %(name)s: %(message)s"
_KEPT = 5000
_FILE_BYTES, _FILES = 1_000_000, 5
LEVELS = {"Everything": logging.INFO, "Warnings": logging.WARNING, "Errors": logging.ERROR}


@dataclasses.dataclass(frozen=True)
class Line:
    """One note: how grave it is, and its text with the traceback if there is one."""

    level: int
    text: str


class _Bridge(QObject):
    """Carries notes from any thread into that of the window."""

    arrived = Signal(int, str)


class QtLogHandler(logging.Handler):
    """Turns log records into a Qt signal, from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(_FORMAT, "%H:%M:%S"))
        self.bridge = _Bridge()

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record on."""
        self.bridge.arrived.emit(record.levelno, self.format(record))


def log_folder() -> Path:
    """Return the folder of the log files."""
    return home_dir() / "logs"


def start_file_log() -> logging.Handler | None:
    """Write the log of this run into `log_folder`, the older ones being kept a while; None where that is impossible.

    Nothing keeps the program from starting: a folder that cannot be written to is only noted.
    """
    try:
        log_folder().mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            log_folder() / "plantseg-app.log", maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8"
        )
    except OSError as error:
        _LOG.warning("There is no log file, because %s cannot be written to: %s", log_folder(), error)
        return None
    handler.setFormatter(logging.Formatter(_FORMAT))
    _attach(handler)
    return handler


def _attach(handler: logging.Handler) -> None:
    root = logging.getLogger()
    root.addHandler(handler)
    # Our own notes from "information" on, those of libraries from "warning" on, as the root is set.
    logging.getLogger("plantseg_app").setLevel(logging.INFO)


class LogDock(QDockWidget):
    """The notes of the program, the newest at the bottom; filled from the moment it is made."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Log", parent)
        self.setObjectName("log")
        self._lines: collections.deque[Line] = collections.deque(maxlen=_KEPT)
        self.view = QPlainTextEdit()
        self.view.setReadOnly(True)
        self.view.setMaximumBlockCount(_KEPT)
        self.view.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.view.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.view.setAccessibleName("Log")
        self.view.setToolTip("What the program has noted, the newest at the bottom.")
        self.level_box = QComboBox()
        for title, level in LEVELS.items():
            self.level_box.addItem(title, level)
        self.level_box.setAccessibleName("Least level")
        self.level_box.setToolTip("Show only notes that are at least this grave.")
        self.level_box.currentIndexChanged.connect(self._show_all)
        self._build()
        self.handler = QtLogHandler()
        self.handler.bridge.arrived.connect(self.add)
        _attach(self.handler)
        self.destroyed.connect(self._detach_of(self.handler))

    def add(self, level: int, text: str) -> None:
        """Take one note."""
        self._lines.append(Line(level, text))
        if level >= self.level_box.currentData():
            self.view.appendPlainText(text)

    def text(self) -> str:
        """Return what is shown."""
        return self.view.toPlainText()

    def save(self, path: Path) -> None:
        """Write what is shown to a file."""
        with replacing(path) as partial:
            partial.write_text(self.text() + "\n", encoding="utf-8")

    def detach(self) -> None:
        """Take no more notes."""
        logging.getLogger().removeHandler(self.handler)

    @staticmethod
    def _detach_of(handler: logging.Handler) -> object:
        # Not a method: when `destroyed` is told, the dock itself is gone.
        return lambda: logging.getLogger().removeHandler(handler)

    def _build(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 4, 4, 4)
        row = QHBoxLayout()
        label = QLabel("Show")
        label.setBuddy(self.level_box)
        row.addWidget(label)
        row.addWidget(self.level_box)
        row.addStretch(1)
        self.copy_button = self._button("Copy", "Copy what is shown.")
        self.save_button = self._button("Save…", "Save what is shown to a text file.")
        self.clear_button = self._button("Clear", "Empty the list; the log file keeps everything.")
        for button in (self.copy_button, self.save_button, self.clear_button):
            row.addWidget(button)
        column.addLayout(row)
        column.addWidget(self.view, 1)
        self.setWidget(inside)
        self.copy_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text()))
        self.save_button.clicked.connect(self._choose_file)
        self.clear_button.clicked.connect(self._clear)

    @staticmethod
    def _button(text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(f"{text.rstrip('…')} the log")
        button.setToolTip(tip)
        return button

    def _show_all(self) -> None:
        least = self.level_box.currentData()
        self.view.setPlainText("\n".join(line.text for line in self._lines if line.level >= least))
        bar = self.view.verticalScrollBar()
        bar.setValue(bar.maximum())

    def _clear(self) -> None:
        self._lines.clear()
        self.view.clear()

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save log", "plantseg-app-log.txt", "Text (*.txt)")
        if not path:
            return
        try:
            self.save(Path(path))
        except OSError as error:
            _LOG.error("The log could not be saved to %s: %s", path, error)
