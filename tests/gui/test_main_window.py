"""The window as a person uses it: drop, segment, cancel, save, drop rubbish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind
from plantseg_app.io import read_volume, read_workflow
from plantseg_app.paths import samples_dir

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[object]:
    from plantseg_app.gui.main_window import MainWindow

    window = MainWindow()
    window.show()
    qtbot.waitExposed(window)
    yield window
    qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=60_000)
    window.close()
    window.deleteLater()
    qtbot.wait(50)


def drop(window: object, *paths: Path) -> bool:
    from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
    from PySide6.QtGui import QDragEnterEvent, QDropEvent
    from PySide6.QtWidgets import QApplication

    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    position = QPointF(window.rect().center())
    rest = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    entered = QDragEnterEvent(position.toPoint(), *rest)
    QApplication.sendEvent(window, entered)
    dropped = QDropEvent(position, *rest)
    QApplication.sendEvent(window, dropped)
    return entered.isAccepted() and dropped.isAccepted()


def test_from_dropped_stack_to_saved_cells(window, qtbot: QtBot, tmp_path: Path) -> None:
    from PySide6.QtCore import Qt

    assert not window.run_button.isEnabled()
    assert not window.save_button.isEnabled()
    with qtbot.waitSignal(window.runner.stopped, timeout=30_000):
        assert drop(window, samples_dir() / "sample_ovule.h5")
    assert "32 × 128 × 128" in window.image_label.text()

    qtbot.mouseClick(window.run_button, Qt.MouseButton.LeftButton)
    assert window.cancel_button.isEnabled()
    qtbot.mouseClick(window.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=60_000)
    assert window.cells is None

    with qtbot.waitSignal(window.runner.succeeded, timeout=120_000):
        qtbot.mouseClick(window.run_button, Qt.MouseButton.LeftButton)
    assert window.cells is not None
    assert "cells" in window.status_label.text()

    path = tmp_path / "cells.tif"
    with qtbot.waitSignal(window.runner.succeeded, timeout=30_000):
        window.save(path)
    saved = read_volume(path, kind=Kind.LABELS)
    assert np.array_equal(saved.data, window.cells.data)
    assert "workflow: 1" in read_workflow(path)


def test_rubbish_is_reported_and_changes_nothing(window, qtbot: QtBot, tmp_path: Path) -> None:
    from PySide6.QtWidgets import QMessageBox

    rubbish = tmp_path / "rubbish.tif"
    rubbish.write_bytes(b"II*\0garbage")
    with qtbot.waitSignal(window.runner.failed, timeout=30_000):
        drop(window, rubbish)
    qtbot.waitUntil(lambda: not window.runner.is_busy)
    assert "rubbish.tif" in window.status_label.text()
    for box in window.findChildren(QMessageBox):
        box.close()
    assert window.image is None
    assert window.open_button.isEnabled()


def test_every_control_has_a_name_and_a_tool_tip(window) -> None:
    from PySide6.QtWidgets import QComboBox, QProgressBar, QPushButton

    steps = next(dock for dock in window.children() if getattr(dock, "objectName", str)() == "Steps")
    for sort in (QPushButton, QComboBox, QProgressBar):
        for widget in steps.findChildren(sort):
            assert widget.accessibleName(), widget
            assert widget.toolTip(), widget
