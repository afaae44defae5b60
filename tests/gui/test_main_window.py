"""The window as a person uses it: drop, segment, cancel, save, drop rubbish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.paths import samples_dir
from tests.gui.windows import LONG_MS, close, drop, open_files, opened_window

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[object]:
    yield from opened_window(qtbot)


def test_rubbish_is_reported_and_changes_nothing(window, qtbot: QtBot, tmp_path: Path) -> None:
    from PySide6.QtWidgets import QMessageBox

    rubbish = tmp_path / "rubbish.tif"
    rubbish.write_bytes(b"II*\0garbage")
    assert drop(window, rubbish)
    qtbot.waitUntil(lambda: bool(window.findChildren(QMessageBox)), timeout=LONG_MS)
    (box,) = window.findChildren(QMessageBox)
    assert "rubbish.tif" in box.text()
    box.close()
    assert not window.document.images


def test_every_control_has_a_name_and_a_tool_tip(window) -> None:
    from PySide6.QtWidgets import QComboBox, QProgressBar, QPushButton

    for part in (*window.pages, window.stepper, window.run_bar):
        for sort in (QPushButton, QComboBox, QProgressBar):
            for widget in part.findChildren(sort):
                assert widget.accessibleName(), widget
                assert widget.toolTip(), widget


def test_a_closed_window_leaves_nothing_behind(qtbot: QtBot) -> None:
    from PySide6.QtWidgets import QApplication

    before = {id(widget) for widget in QApplication.allWidgets()}
    window = next(opened_window(qtbot))
    open_files(window, qtbot, samples_dir() / "sample_ovule.h5")
    for page in window.pages:
        window.go_to(page.title)
    for number in range(1, len(window.areas) + 1):
        window.open_area(number)
    process = psutil.Process(window.runner._worker.pid)
    close(window, qtbot)
    left = [type(widget).__name__ for widget in QApplication.allWidgets() if id(widget) not in before]
    # Qt itself keeps the label in which it shows tool tips.
    assert [name for name in left if name != "QLabel"] == []
    assert not process.is_running()
