"""The window as a person uses it: drop, segment, cancel, save, drop rubbish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind
from plantseg_app.paths import samples_dir
from tests.gui.windows import LONG_MS, drop, opened_window

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[object]:
    yield from opened_window(qtbot)


def test_from_dropped_stack_to_cells(window, qtbot: QtBot) -> None:
    from PySide6.QtCore import Qt

    assert not window.page.is_complete
    with qtbot.waitSignal(window.document.images_changed, timeout=LONG_MS):
        assert drop(window, samples_dir() / "sample_ovule.h5")
    qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=LONG_MS)
    assert window.viewer.layer_names() == ["sample_ovule"]
    window.go_to("Segment")

    qtbot.mouseClick(window.page.run_button, Qt.MouseButton.LeftButton)
    assert window.run_bar.cancel_button.isEnabled()
    qtbot.mouseClick(window.run_bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=60_000)
    assert window.document.cells is None

    qtbot.mouseClick(window.page.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.document.cells is not None, timeout=120_000)
    assert window.document.cells.volume.kind is Kind.LABELS
    assert "cells" in window.viewer.layer_names()


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
