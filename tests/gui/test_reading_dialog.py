"""The question about a file: it offers what is there, follows the answers with its picture, refuses what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot

from plantseg_app.io import inspect_image
from plantseg_app.run.reading import Part, usual_reading

pytestmark = pytest.mark.gui


@pytest.fixture
def ask(qtbot: QtBot) -> Iterator[Callable[[Path], Any]]:
    from PySide6.QtWidgets import QWidget

    from plantseg_app.gui.qt_runner import Beside
    from plantseg_app.gui.reading_dialog import ReadingDialog

    window = QWidget()
    qtbot.addWidget(window)
    beside = Beside(window)

    def asked(path: Path, again: bool = False) -> Any:
        info = inspect_image(path)
        dialog = ReadingDialog(info, usual_reading(info), beside, again, 0, window)
        dialog.open()
        return dialog

    yield asked
    beside.stop()


def tif(path: Path, data: np.ndarray, axes: str) -> Path:
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": axes})
    return path


def choose(box: Any, letter: str) -> None:
    box.setCurrentIndex(box.findData(letter))


def test_the_picture_follows_the_answers(tmp_path: Path, ask: Callable[..., Any], qtbot: QtBot) -> None:
    data = np.zeros((2, 3, 40, 60), np.uint8)
    data[1, :, :, 30:] = 200
    dialog = ask(tif(tmp_path / "a.tif", data, "TZYX"))
    qtbot.waitUntil(lambda: not dialog.picture.pixmap().isNull())

    def right_is_bright() -> bool:
        image = dialog.picture.pixmap().toImage()
        return image.pixelColor(image.width() - 20, image.height() // 2).lightness() > 200

    assert not right_is_bright()
    dialog.time.setValue(1)
    qtbot.waitUntil(right_is_bright)
    dialog.flips["X"].setChecked(True)
    qtbot.waitUntil(lambda: not right_is_bright())
    assert dialog.reading().axes == "TZY-X"


def test_an_axis_that_gets_the_meaning_of_another_swaps_with_it(tmp_path: Path, ask: Callable[..., Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.zeros((2, 5, 8, 9), np.uint8)
    dialog = ask(tmp_path / "a.h5")
    assert dialog.reading().axes == "CZYX"
    choose(dialog._axes[0], "Z")
    assert dialog.reading().axes == "ZCYX"
    assert len(dialog.reading().parts) == 5
    choose(dialog._axes[1], "T")
    assert dialog.reading().axes == "ZTYX"
    assert dialog.reading().parts == (Part(None, "membranes"),)
    assert dialog.reading().time == 0
    choose(dialog._axes[3], "C")
    assert not dialog.open_button.isEnabled()
    assert "need Y and X" in dialog.problem.text()


def test_another_data_set_has_other_answers(tmp_path: Path, ask: Callable[..., Any]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"] = np.zeros((9, 8, 7), np.uint8)
        file["two"] = np.zeros((6, 5), np.uint16)
        file["two"].attrs["element_size_um"] = [0.5, 0.25]
    dialog = ask(tmp_path / "a.h5")
    assert dialog.reading().dataset == "one"
    assert dialog.voxel_size.property("state") == "unknown"
    dialog.dataset.setCurrentIndex(1)
    reading = dialog.reading()
    assert (reading.dataset, reading.voxel_size_um) == ("two", None)
    assert dialog.voxel_size.text() == "0.5 × 0.25"
    assert "element_size_um" in dialog.voxel_source.text()


def test_each_channel_has_a_role_and_none_is_refused(tmp_path: Path, ask: Callable[..., Any]) -> None:
    dialog = ask(tif(tmp_path / "a.tif", np.zeros((4, 2, 8, 9), np.uint8), "ZCYX"))
    (_, first, _), (_, second, role) = dialog.channels._rows
    role.setCurrentIndex(role.findData("nuclei"))
    first.setChecked(False)
    assert dialog.reading().parts == (Part(1, "nuclei"),)
    second.setChecked(False)
    assert not dialog.open_button.isEnabled()
    assert dialog.problem.text()


def test_a_colour_picture_offers_its_brightness(tmp_path: Path, ask: Callable[..., Any], qtbot: QtBot) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    dialog = ask(tmp_path / "a.tif")
    assert dialog.reading().parts == (Part("gray", "membranes"),)
    qtbot.waitUntil(lambda: not dialog.picture.pixmap().isNull())


def test_a_wrong_voxel_size_is_refused(tmp_path: Path, ask: Callable[..., Any], qtbot: QtBot) -> None:
    dialog = ask(tif(tmp_path / "a.tif", np.zeros((2, 4, 8, 9), np.uint8), "TZYX"))
    qtbot.keyClicks(dialog.voxel_size, "0")
    assert not dialog.open_button.isEnabled()
    dialog.voxel_size.clear()
    qtbot.keyClicks(dialog.voxel_size, "0.5 0.2")
    assert dialog.reading().voxel_size_um == (0.5, 0.2, 0.2)
    assert dialog.open_button.isEnabled()


def test_every_control_has_a_name_and_a_tool_tip(tmp_path: Path, ask: Callable[..., Any]) -> None:
    from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QSpinBox

    dialog = ask(tif(tmp_path / "a.tif", np.zeros((2, 4, 2, 8, 9), np.uint8), "TZCYX"), again=True)
    for sort in (QAbstractButton, QComboBox, QSpinBox, QLineEdit):
        for widget in dialog.findChildren(sort):
            if not widget.objectName().startswith("qt_"):
                assert widget.accessibleName(), widget
                assert widget.toolTip(), widget
