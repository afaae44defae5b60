"""The about box: what a bug report should say about program, libraries and machine, to be copied."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import psutil
import PySide6.QtCore
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

import plantseg_app
from plantseg_app.paths import home_dir
from plantseg_app.run.devices import find_devices

_LIBRARIES = ("PySide6-Essentials", "napari", "vispy", "torch", "numpy", "scipy", "scikit-image", "bioimage-cpp")
_LONG = 50


def system_lines() -> list[tuple[str, str]]:
    """Return name and value of everything that decides how the program behaves here; torch is not loaded for it."""
    memory = psutil.virtual_memory()
    screens = QGuiApplication.screens()
    sizes = (
        f"{screen.size().width()} x {screen.size().height()} @ {screen.devicePixelRatio():g}" for screen in screens
    )
    return [
        ("PlantSeg App", plantseg_app.__version__),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("Qt", PySide6.QtCore.qVersion()),
        *((name, _version(name)) for name in _LIBRARIES),
        ("System", platform.platform()),
        ("Processor", f"{platform.machine()}, {psutil.cpu_count() or 1} threads"),
        ("Memory", f"{memory.total / 1e9:.1f} GB, {memory.available / 1e9:.1f} GB free"),
        ("Devices", ", ".join(device.title for device in find_devices())),
        ("Screen", ", ".join(sizes) or "none"),
        ("Folder", str(home_dir())),
    ]


def system_text() -> str:
    """Return the same as lines of text."""
    return "\n".join(f"{name}: {value}" for name, value in system_lines())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


class AboutDialog(QDialog):
    """Program, versions and machine, with a button that copies them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("About PlantSeg App")
        column = QVBoxLayout(self)
        column.setSpacing(10)
        title = QLabel(f"PlantSeg App {plantseg_app.__version__}")
        title.setProperty("role", "heading")
        column.addWidget(title)
        says = QLabel("From a microscopy stack to proofread cells. Free software under the MIT licence.")
        says.setWordWrap(True)
        column.addWidget(says)
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        for row, (name, value) in enumerate(system_lines()[1:]):
            label = QLabel(name)
            label.setProperty("role", "help")
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            shown = QLabel(value)
            # A label that wraps makes Qt guess the height of the whole, so only those that need it do.
            shown.setWordWrap(len(value) > _LONG)
            shown.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(shown, row, 1)
        column.addLayout(grid)
        column.addStretch(1)
        buttons = QDialogButtonBox()
        self.copy_button = self._button("&Copy", "Copy all of this, to paste it into a report.")
        self.copy_button.clicked.connect(lambda: QGuiApplication.clipboard().setText(system_text()))
        self.close_button = self._button("C&lose", "Close this window (Esc).")
        self.close_button.setDefault(True)
        self.close_button.clicked.connect(self.accept)
        buttons.addButton(self.copy_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.close_button, QDialogButtonBox.ButtonRole.AcceptRole)
        column.addWidget(buttons)
        self.setMinimumWidth(self.fontMetrics().horizontalAdvance("n") * 60)

    @staticmethod
    def _button(text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setAccessibleName(text.replace("&", ""))
        return button
