"""What tests of the whole window share: opening it, dropping files on it, waiting for what it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytestqt.qtbot import QtBot

LONG_MS = 120_000


def opened_window(qtbot: QtBot, **arguments: Any) -> Iterator[Any]:
    """Yield a main window that is on the screen, and close it afterwards.

    Its process is not warmed up, which would cost each test more than it saves.
    """
    from plantseg_app.gui.main_window import MainWindow

    window = MainWindow(**{"warm": False, **arguments})
    window.show()
    qtbot.waitExposed(window)
    yield window
    close(window, qtbot)


def close(window: Any, qtbot: QtBot) -> None:
    """Close a window, stopping what runs in it."""
    window.cancel()
    qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=LONG_MS)
    window.document.note_saved(list(window.document.results))
    window.close()
    window.deleteLater()
    qtbot.wait(50)


def drop(widget: Any, *paths: Path) -> bool:
    """Drop files as a file manager does, and return whether they were taken."""
    from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
    from PySide6.QtGui import QDragEnterEvent, QDropEvent
    from PySide6.QtWidgets import QApplication

    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    position = QPointF(widget.rect().center())
    rest = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    entered = QDragEnterEvent(position.toPoint(), *rest)
    QApplication.sendEvent(widget, entered)
    dropped = QDropEvent(position, *rest)
    QApplication.sendEvent(widget, dropped)
    return entered.isAccepted() and dropped.isAccepted()


def open_files(window: Any, qtbot: QtBot, *paths: Path) -> None:
    """Open images and wait until they are there."""
    before = len(window.document.images)
    window.open_paths(paths)
    qtbot.waitUntil(
        lambda: len(window.document.images) == before + len(paths) and not window.runner.is_busy, timeout=LONG_MS
    )


def run_until(window: Any, qtbot: QtBot, start: Callable[[], object], done: Callable[[], bool]) -> None:
    """Start something and wait until it is done and nothing runs any more."""
    start()
    qtbot.waitUntil(lambda: done() and not window.runner.is_busy, timeout=LONG_MS)
