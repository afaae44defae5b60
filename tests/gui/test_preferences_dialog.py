"""The dialog of preferences changes them at once, and follows changes from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from plantseg_app.gui.palette import LABEL_PALETTES
from plantseg_app.gui.preferences import Appearance, PreferenceStore
from plantseg_app.gui.preferences_dialog import PreferencesDialog


@pytest.fixture
def store(tmp_path: Path) -> PreferenceStore:
    return PreferenceStore(tmp_path / "preferences.json")


@pytest.fixture
def dialog(store: PreferenceStore, qtbot: QtBot) -> PreferencesDialog:
    dialog = PreferencesDialog(store)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    return dialog


def control(dialog: PreferencesDialog, part: str, name: str, number: int = 0):
    return dialog.forms[part].rows[name].editor.controls()[number][0]


def test_a_choice_applies_at_once(dialog: PreferencesDialog, store: PreferenceStore, qtbot: QtBot) -> None:
    size = control(dialog, "appearance", "font_size_pt")
    size.selectAll()
    qtbot.keyClicks(size, "14")
    qtbot.keyClick(size, Qt.Key.Key_Return)
    assert store.value.appearance.font_size_pt == 14
    assert dialog.isVisible(), "Return ends the typing, not the dialog"
    palette = control(dialog, "appearance", "label_palette")
    assert [palette.itemData(place) for place in range(palette.count())] == list(LABEL_PALETTES)
    qtbot.keyClick(palette, Qt.Key.Key_Down)
    assert store.value.appearance.label_palette == "tol-bright"
    shown = dialog.swatches.grab().toImage().pixelColor(3, 3).name()
    assert shown == LABEL_PALETTES["tol-bright"].colours[0]


def test_a_mistake_is_explained_and_changes_nothing(
    dialog: PreferencesDialog, store: PreferenceStore, qtbot: QtBot
) -> None:
    line = control(dialog, "folders", "output")
    qtbot.keyClicks(line, "some/where")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert "whole path" in dialog.forms["folders"].rows["output"].problem_label.text()
    assert store.value.folders.output == ""


def test_a_folder_can_be_looked_for(
    dialog: PreferencesDialog, store: PreferenceStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    control(dialog, "folders", "models", 1).click()
    assert store.value.folders.models == str(tmp_path)


def test_the_devices_of_the_machine_are_offered(dialog: PreferencesDialog, store: PreferenceStore) -> None:
    box = control(dialog, "computing", "device")
    ids = [box.itemData(place) for place in range(box.count())]
    assert ids[0] == "auto"
    assert ids[-1] == "cpu"
    box.setCurrentIndex(len(ids) - 1)
    box.activated.emit(len(ids) - 1)
    assert store.value.computing.device == "cpu"


def test_changes_from_elsewhere_are_shown(dialog: PreferencesDialog, store: PreferenceStore) -> None:
    store.change(appearance=Appearance(theme="light"))
    assert control(dialog, "appearance", "theme").currentData() == "light"
    dialog.close()
    store.change(appearance=Appearance(theme="dark"))
    dialog.show()
    assert control(dialog, "appearance", "theme").currentData() == "dark"


def test_it_can_forget(dialog: PreferencesDialog, store: PreferenceStore) -> None:
    assert not dialog.forget_button.isEnabled()
    store.opened("/a.tif")
    assert dialog.forget_button.isEnabled()
    dialog.forget_button.click()
    assert store.value.recent_files == ()
