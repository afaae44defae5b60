"""Names, tool tips, keyboard and room: the look itself finds planted faults, and our dialogs and forms have none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QMainWindow,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSlider,
    QSpinBox,
    QTableWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

import plantseg_app.steps  # noqa: F401 - fills the registry
from plantseg_app.core.step import STEPS
from plantseg_app.gui.about import AboutDialog
from plantseg_app.gui.actions import ACTIONS, build_actions
from plantseg_app.gui.error_dialog import ErrorDialog
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.log_console import LogDock
from plantseg_app.gui.preferences import PreferenceStore
from plantseg_app.gui.preferences_dialog import PreferencesDialog
from plantseg_app.gui.shortcuts_window import ShortcutsWindow, shortcuts_of
from plantseg_app.train.settings import AugmentSettings, OptimiserSettings

PAGE_WIDTH = 350


@pytest.mark.parametrize(
    "make",
    [
        QPushButton,
        QCheckBox,
        QComboBox,
        QSpinBox,
        lambda: QSlider(Qt.Orientation.Horizontal),
        QLineEdit,
        QListWidget,
        QTableWidget,
        QProgressBar,
    ],
)
def test_a_control_without_name_or_tip_is_found(
    qtbot: QtBot, accessibility: ModuleType, make: Callable[[], QWidget]
) -> None:
    root = QWidget()
    qtbot.addWidget(root)
    column = QVBoxLayout(root)
    control = make()
    column.addWidget(control)
    found = accessibility.unnamed_widgets(root)
    assert len(found) == 1, found
    assert "no name and no tool tip" in found[0]
    assert type(control).__name__ in found[0]
    control.setAccessibleName("A name")
    assert "no tool tip" in accessibility.unnamed_widgets(root)[0]
    control.setToolTip("A tip.")
    assert accessibility.unnamed_widgets(root) == []


def test_a_label_with_a_buddy_and_a_text_are_names(qtbot: QtBot, accessibility: ModuleType) -> None:
    root = QWidget()
    qtbot.addWidget(root)
    row = QHBoxLayout(root)
    label, box, button = QLabel("Size"), QSpinBox(), QPushButton("Go")
    label.setBuddy(box)
    for widget in (label, box, button):
        widget.setToolTip("A tip.")
        row.addWidget(widget)
    assert accessibility.unnamed_widgets(root) == []


def test_a_control_out_of_reach_of_the_keyboard_is_found(qtbot: QtBot, accessibility: ModuleType) -> None:
    root = QWidget()
    qtbot.addWidget(root)
    row = QHBoxLayout(root)
    near, far = QPushButton("near"), QPushButton("far")
    far.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    row.addWidget(near)
    row.addWidget(far)
    found = accessibility.unreachable_widgets(root)
    assert len(found) == 1
    assert "far" in found[0]


@pytest.mark.parametrize(
    ("widget", "limit"),
    [
        (lambda: QLabel("a text that is long"), lambda w: w.setMaximumWidth(30)),
        (lambda: QLabel("a text"), lambda w: w.setMaximumHeight(5)),
        (lambda: QPushButton("a button"), lambda w: w.setMaximumWidth(20)),
        (lambda: QCheckBox("a tick"), lambda w: w.setMaximumWidth(20)),
        (lambda: QLineEdit("text"), lambda w: w.setMaximumHeight(6)),
    ],
)
def test_what_does_not_fit_is_found(qtbot: QtBot, accessibility: ModuleType, widget, limit) -> None:
    root = QWidget()
    qtbot.addWidget(root)
    column = QVBoxLayout(root)
    made = widget()
    column.addWidget(made)
    column.addStretch(1)
    root.show()
    assert accessibility.cut_off_widgets(root) == []
    limit(made)
    found = accessibility.cut_off_widgets(root)
    assert len(found) == 1, found
    assert "needs a" in found[0]


def test_words_that_wrap_need_the_height_of_all_their_lines(qtbot: QtBot, accessibility: ModuleType) -> None:
    root = QWidget()
    qtbot.addWidget(root)
    column = QVBoxLayout(root)
    label = QLabel("several words that need several lines " * 5)
    label.setWordWrap(True)
    label.setFixedWidth(200)
    column.addWidget(label)
    column.addStretch(1)
    root.show()
    assert accessibility.cut_off_widgets(root) == []
    label.setMaximumHeight(20)
    assert "needs a height" in accessibility.cut_off_widgets(root)[0]


def test_a_page_wider_than_its_place_is_found(qtbot: QtBot, accessibility: ModuleType) -> None:
    area = QScrollArea()
    qtbot.addWidget(area)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    button = QPushButton("wide")
    button.setMinimumWidth(500)
    area.setWidget(button)
    area.show()
    assert accessibility.cut_off_widgets(area, QSize(600, 300)) == []
    found = accessibility.cut_off_widgets(area, QSize(300, 300))
    assert "does not scroll sideways" in found[0]


def test_a_window_that_needs_a_larger_screen_is_found(qtbot: QtBot, accessibility: ModuleType) -> None:
    root = QWidget()
    qtbot.addWidget(root)
    root.setMinimumWidth(1500)
    root.show()
    assert "needs 1500" in accessibility.cut_off_widgets(root)[0]


def main_window() -> QMainWindow:
    window = QMainWindow()
    build_actions(window, {action.key: lambda: None for action in ACTIONS})
    dock = LogDock()
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    tabs = QTabWidget()
    tabs.tabBar().setAccessibleName("Pages")
    tabs.tabBar().setToolTip("Pages.")
    tabs.addTab(QLabel("page"), "A page")
    window.setCentralWidget(tabs)
    return window


def preferences(folder: Path) -> PreferencesDialog:
    store = PreferenceStore(folder / "preferences.json")
    store.opened("/a.tif")
    return PreferencesDialog(store)


def failure() -> ErrorDialog:
    details = "Traceback (most recent call last):\n" + "  File 'a.py', line 1, in a\n" * 30
    dialog = ErrorDialog("The memory of the machine ran out while Predict ran. " * 3, "Crop the image. " * 8, details)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    dialog.show_button.setChecked(True)
    return dialog


WINDOWS = {
    "about": lambda _: AboutDialog(),
    "failure": lambda _: failure(),
    "preferences": preferences,
    "shortcuts": lambda _: ShortcutsWindow(shortcuts_of()),
    "main": lambda _: main_window(),
}


@pytest.mark.parametrize("name", list(WINDOWS))
def test_our_windows_have_no_fault(
    name: str, qtbot: QtBot, accessibility: ModuleType, large_font: object, tmp_path: Path
) -> None:
    window = WINDOWS[name](tmp_path)
    qtbot.addWidget(window)
    window.show()
    size = QSize(min(window.width(), 1280), min(window.height(), 800))
    assert accessibility.unnamed_widgets(window) == []
    assert accessibility.unreachable_widgets(window) == []
    assert accessibility.cut_off_widgets(window, size) == []
    for dock in window.findChildren(LogDock):
        dock.detach()


@pytest.mark.parametrize("model", [*STEPS, AugmentSettings, OptimiserSettings], ids=lambda model: model.__name__)
def test_every_form_fits_beside_the_canvas(
    model: type, qtbot: QtBot, accessibility: ModuleType, large_font: object
) -> None:
    area = QScrollArea()
    qtbot.addWidget(area)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    page = QWidget()
    column = QVBoxLayout(page)
    form = StepForm(model)
    column.addWidget(form)
    column.addStretch(1)
    form.advanced.open()
    for row in form.rows.values():
        row.info_button.setChecked(True)
        row.reset_button.setVisible(True)
        row.set_problem("Input should be less than or equal to 1; 1.5 was given.")
        tick = getattr(row.editor, "empty_box", None)
        if tick is not None:
            tick.setChecked(False)
    area.setWidget(page)
    area.show()
    assert accessibility.unnamed_widgets(area) == []
    assert accessibility.unreachable_widgets(area) == []
    assert accessibility.cut_off_widgets(area, QSize(PAGE_WIDTH, 800)) == []
