"""The about box, and that asking for devices loads no torch."""

from __future__ import annotations

import subprocess
import sys

from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from plantseg_app.gui.about import AboutDialog, system_lines


def test_everything_a_report_needs_is_copied(qtbot: QtBot) -> None:
    dialog = AboutDialog()
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.copy_button.click()
    copied = QGuiApplication.clipboard().text()
    for name, value in system_lines()[:3]:
        assert f"{name}: {value}" in copied
    for word in ("Qt", "napari", "torch", "Memory", "Devices", "Screen"):
        assert f"{word}: " in copied
    assert "not installed" not in copied


def test_versions_and_devices_are_found_without_torch() -> None:
    program = (
        "import sys; from plantseg_app.gui.about import system_text; "
        "print('torch: 2' in system_text(), 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["True", "False"]
