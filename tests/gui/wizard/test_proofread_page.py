"""Correcting cells in a real window, by mouse and keys on the canvas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.document import OpenImage, Result
from plantseg_app.gui.proofreading.overlay import CORRECT, LOOKED_AT, POINTED
from plantseg_app.io import write_volume
from plantseg_app.proofread.tissue import Mark
from tests.gui.windows import LONG_MS, open_files

pytestmark = pytest.mark.gui
NO, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton


def blocks() -> NDArray[np.uint32]:
    """Return eight cells of 4 x 20 x 12 voxels around a gap along X, which is background."""
    labels = np.zeros((8, 44, 24), np.uint32)
    for number in range(8):
        z, y, x = number // 4, number // 2 % 2, number % 2
        labels[4 * z : 4 * z + 4, 24 * y : 24 * y + 20, 12 * x : 12 * x + 12] = number + 1
    return labels


@pytest.fixture
def window(qtbot: QtBot, emptied_window: Any, make_active: Callable[[Any], None]) -> Any:
    """The window in which the blocks are corrected."""
    show_cells(emptied_window, Volume(blocks(), Kind.LABELS, voxel_size_um=(1.0, 0.5, 0.5)))
    begin(emptied_window, qtbot)
    make_active(emptied_window)
    return emptied_window


def show_cells(window: Any, volume: Volume) -> None:
    raw = Volume(np.zeros(volume.shape_vox, np.uint8), Kind.RAW, volume.voxel_size_um)
    window.document.add_image(OpenImage("raw", "membranes", raw))
    window.document.set_result(Result("cells", volume, window.document.workflow))
    window.layers.show_result("cells")


def begin(window: Any, qtbot: QtBot) -> None:
    window.go_to("Proofread")
    if not window.page.is_correcting:
        window.page.start_button.click()
    qtbot.waitUntil(lambda: window.page.is_correcting, timeout=LONG_MS)
    window.viewer.model.dims.set_current_step(0, 1)
    window.viewer.fit()


class Mouse:
    """Moves, clicks and draws at voxels of the canvas."""

    def __init__(self, window: Any) -> None:
        self.window, self.viewer = window, window.viewer
        self.native = window.viewer._qt_viewer.canvas.native

    def at(self, *voxel: float) -> QPoint:
        model = self.viewer.model
        world = self.viewer.labels_planes("corrected cells")[0].data_to_world(voxel)
        axes = model.dims.displayed
        zoom, centre = model.scene.camera.zoom, model.scene.camera.center
        y, x = (zoom * (world[axis] - middle) for axis, middle in zip(axes, centre[-2:], strict=True))
        return QPoint(round(self.native.width() / 2 + x), round(self.native.height() / 2 + y))

    def move(self, *voxel: float) -> None:
        self.move_to(self.at(*voxel))

    def move_to(self, place: QPoint) -> None:
        # A mouse that does not move tells nothing.
        QTest.mouseMove(self.native, place + QPoint(2, 0))
        QTest.mouseMove(self.native, place)
        QTest.qWait(20)

    def click(self, *voxel: float, keys: Qt.KeyboardModifier = NO) -> None:
        self.stroke(voxel, keys=keys)

    def stroke(self, *way: tuple[float, ...], keys: Qt.KeyboardModifier = NO) -> None:
        self.move(*way[0])
        QTest.mousePress(self.native, LEFT, keys, self.at(*way[0]))
        for voxel in way[1:]:
            QTest.mouseMove(self.native, self.at(*voxel))
            QTest.qWait(20)
        QTest.mouseRelease(self.native, LEFT, keys, self.at(*way[-1]))
        QTest.qWait(20)


@pytest.fixture
def mouse(window: Any) -> Mouse:
    return Mouse(window)


def key(window: Any, *keys: Qt.Key, modifiers: Qt.KeyboardModifier = NO) -> None:
    for one in keys:
        QTest.keyClick(window, one, modifiers)
        QTest.qWait(20)


def labels_of(window: Any) -> NDArray[np.uint32]:
    labels: NDArray[np.uint32] = window.page.corrections.session.labels
    return labels


def test_cells_are_merged_by_clicks_and_by_a_stroke_and_undone(window: Any, mouse: Mouse) -> None:
    key(window, Qt.Key.Key_M)
    assert window.page.key_in_hand == "merge"
    mouse.click(1, 10, 5)
    assert "click the cell to join" in window.page.said.text()
    mouse.click(1, 10, 18)
    labels = labels_of(window)
    assert (labels[:4, :20] == 1).all()
    assert "Merged cells 1 and 2" in window.page.said.text()
    key(window, Qt.Key.Key_Escape)
    mouse.stroke((1, 30, 5), (1, 30, 18))
    assert (labels[:4, 24:] == 3).all()
    key(window, Qt.Key.Key_Z, modifiers=Qt.KeyboardModifier.ControlModifier)
    key(window, Qt.Key.Key_Z, modifiers=Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(labels, blocks())
    key(window, Qt.Key.Key_Z, modifiers=Qt.KeyboardModifier.ControlModifier | SHIFT)
    assert (labels[:4, :20] == 1).all()


def test_scribbles_split_after_return_and_escape_wipes(window: Any, mouse: Mouse) -> None:
    key(window, Qt.Key.Key_S)
    assert not window.commands.actions["apply"].isEnabled()
    mouse.stroke((1, 2, 3), (1, 2, 9))
    assert window.commands.actions["apply"].isEnabled()
    key(window, Qt.Key.Key_Escape)
    assert not window.commands.actions["apply"].isEnabled()
    mouse.stroke((1, 2, 3), (1, 2, 9))
    mouse.stroke((1, 17, 3), (1, 17, 9))
    key(window, Qt.Key.Key_Return)
    labels = labels_of(window)
    assert set(np.unique(labels[:4, :20, :12])) == {1, 9}
    assert labels[1, 2, 5] != labels[1, 17, 5]
    assert (labels[4:] == blocks()[4:]).all()


def test_a_line_cuts_at_once(window: Any, mouse: Mouse) -> None:
    key(window, Qt.Key.Key_C)
    mouse.stroke((1, 10, -2), (1, 10, 11))
    labels = labels_of(window)
    assert len(np.unique(labels[:4, :20, :12])) == 2
    assert labels[3, 2, 5] != labels[3, 17, 5]


def test_seeds_split(window: Any, mouse: Mouse) -> None:
    key(window, Qt.Key.Key_D)
    mouse.click(1, 3, 5)
    mouse.click(1, 16, 5)
    key(window, Qt.Key.Key_Return)
    assert len(np.unique(labels_of(window)[:4, :20, :12])) == 2


def test_a_cell_is_added_by_painting_two_slices(window: Any, mouse: Mouse) -> None:
    key(window, Qt.Key.Key_X)
    mouse.click(1, 10, 5)
    labels = labels_of(window)
    assert not (labels == 1).any()
    key(window, Qt.Key.Key_A)
    window.page.brush.setValue(4)
    mouse.stroke((0, 10, 5), (0, 12, 5))
    window.viewer.model.dims.set_current_step(0, 3)
    mouse.stroke((3, 10, 5), (3, 12, 5))
    key(window, Qt.Key.Key_Return)
    assert sorted(set(np.flatnonzero((labels == 9).any((1, 2))))) in ([0, 1, 2, 3], [1, 2, 3])
    assert (labels[2:4] == 9).any((1, 2)).all()


def test_painting_and_erasing_begin_in_a_cell(window: Any, mouse: Mouse) -> None:
    labels = labels_of(window)
    key(window, Qt.Key.Key_P)
    window.page.brush.setValue(3)
    mouse.stroke((1, 18, 5), (1, 22, 5))
    assert labels[1, 21, 5] == 1
    assert labels[2, 21, 5] == 0
    mouse.click(1, 22, 18)
    assert "Begin the stroke in the cell" in window.page.said.text()
    key(window, Qt.Key.Key_E)
    mouse.stroke((1, 10, 5), (1, 12, 5))
    assert labels[1, 11, 5] == 0


def test_a_locked_cell_refuses_says_why_and_looks_different(window: Any, mouse: Mouse) -> None:
    before = window.viewer.picture()
    mouse.move(1, 10, 5)
    assert "Cell 1" in window.page.pointed.text()
    assert "960 voxels" in window.page.pointed.text()
    assert "240 µm³" in window.page.pointed.text()
    key(window, Qt.Key.Key_L)
    session = window.page.corrections.session
    assert session.marks == {1: Mark.CORRECT}
    mouse.move(1, 22, 5)
    marked = window.viewer.labels_planes("corrections")[0].data
    assert set(np.unique(marked[:4, :20, :12])) == {0, CORRECT}
    assert not marked[4:].any()
    assert (before != window.viewer.picture()).any()
    mouse.move(1, 10, 5)
    key(window, Qt.Key.Key_X)
    assert "locked" in window.page.said.text()
    assert np.array_equal(session.labels, blocks())
    mouse.move(1, 30, 18)
    key(window, Qt.Key.Key_M)
    mouse.move(1, 10, 5)
    assert window.viewer.model.cursor.style == "forbidden"
    mouse.move(1, 30, 18)
    assert window.viewer.model.cursor.style == "cross"
    mouse.move(1, 10, 5)
    key(window, Qt.Key.Key_L)
    assert session.marks == {}
    mouse.move(1, 22, 5)
    assert not marked.any()


def test_the_cell_under_the_cursor_is_outlined(window: Any, mouse: Mouse) -> None:
    mouse.move(1, 10, 5)
    drawn = window.viewer.labels_planes("corrections")[0].data
    assert (drawn == POINTED).any((0, 1)).nonzero()[0].tolist() == list(range(12))
    assert drawn[1, 0, 0] == drawn[1, 19, 11] == POINTED
    assert drawn[1, 10, 5] == 0
    assert not drawn[[0, *range(2, 8)]].any()
    mouse.move(1, 22, 5)
    assert not drawn.any()
    mouse.move(1, 30, 5)
    assert drawn[1, 24, 0] == POINTED
    window.viewer.model.dims.set_current_step(0, 5)
    QTest.qWait(50)
    assert drawn[5, 24, 0] == POINTED
    assert not drawn[1].any()


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1)])
def test_other_directions_of_slices(window: Any, mouse: Mouse, order: tuple[int, ...], qtbot: QtBot) -> None:
    window.viewer.model.dims.order = order
    window.viewer.model.dims.set_current_step(order[0], 5)
    window.viewer.fit()
    qtbot.wait(50)
    mouse.move(2, 5, 5)
    assert window.page.corrections.pointer.spot == ((2, 5, 5), 1)
    key(window, Qt.Key.Key_M)
    mouse.stroke((2, 5, 5), (6, 5, 5))
    assert (labels_of(window)[:, :20, :12] == 1).all()
    shown = window.viewer.labels_planes("corrected cells")[0]
    assert set(np.unique(shown._slice.image.raw)) == set(np.unique(labels_of(window).take(5, order[0])))


def test_in_3d_the_first_cell_on_the_line_of_sight_is_meant(window: Any, mouse: Mouse, qtbot: QtBot) -> None:
    window.viewer.toggle_3d()
    window.viewer.fit()
    qtbot.wait(100)
    middle = QPoint(mouse.native.width() // 2 - 40, mouse.native.height() // 2 - 100)
    mouse.move_to(middle)
    cell = window.page.corrections.pointer.spot.cell
    assert cell
    key(window, Qt.Key.Key_X)
    assert not (labels_of(window) == cell).any()
    assert window.page.corrections.pointer.spot != cell


def test_the_journal_lies_beside_the_file_and_is_gone_on_with(
    window: Any, empty: Callable[[Any], None], tmp_path: Path, qtbot: QtBot
) -> None:
    empty(window)
    file = write_volume(tmp_path / "blocks_labels.tif", Volume(blocks(), Kind.LABELS, voxel_size_um=(1.0, 0.5, 0.5)))
    open_files(window, qtbot, file)
    begin(window, qtbot)
    mouse = Mouse(window)
    mouse.move(1, 10, 5)
    key(window, Qt.Key.Key_X)
    assert "Deleted cell 1" in file.with_name("blocks_labels.corrections.jsonl").read_text(encoding="utf-8")
    corrected = labels_of(window).copy()
    window.go_to("Measure & export")
    assert np.array_equal(window.document.results["corrected cells"].volume.data, corrected)
    begin(window, qtbot)
    qtbot.waitUntil(lambda: not window.page.corrections.is_keeping, timeout=LONG_MS)
    key(window, Qt.Key.Key_Z, modifiers=Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(labels_of(window), blocks())
    assert np.array_equal(window.document.results["corrected cells"].volume.data, corrected)
    key(window, Qt.Key.Key_Z, modifiers=Qt.KeyboardModifier.ControlModifier | SHIFT)

    # As at another start of the program, perhaps on another machine.
    empty(window)
    open_files(window, qtbot, file)
    begin(window, qtbot)
    assert np.array_equal(labels_of(window), corrected)
    assert "1 correction of earlier" in window.page.said.text()
    assert [edit.words for edit in window.page.corrections.session.edits] == ["Deleted cell 1"]


def test_an_own_journal_beside_exported_labels(window: Any, mouse: Mouse, tmp_path: Path, qtbot: QtBot) -> None:
    mouse.move(1, 10, 5)
    key(window, Qt.Key.Key_X)
    window.go_to("Measure & export")
    qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=LONG_MS)
    page = window.page
    page.folder_line.set_path(tmp_path / "out")
    page.save_button.click()
    qtbot.waitUntil(lambda: "Saved" in page.saved.text(), timeout=LONG_MS)
    saved = next(iter((tmp_path / "out").glob("*corrected*.tif")))
    journal = saved.with_name(f"{saved.stem}.corrections.jsonl")
    assert '"record":"saved"' in journal.read_text(encoding="utf-8")


def test_progress_and_a_summary_to_copy(window: Any, mouse: Mouse) -> None:
    mouse.move(1, 10, 5)
    key(window, Qt.Key.Key_X)
    mouse.move(1, 10, 18)
    key(window, Qt.Key.Key_L)
    assert window.page.progress.text().startswith("1 of 7 cells checked · 1 correction")
    window.page.summary_button.click()
    assert "1 marked as correct" in QGuiApplication.clipboard().text()


@pytest.fixture
def doubtful(window: Any, empty: Callable[[Any], None], qtbot: QtBot) -> Any:
    """The page of the window after N was pressed: the first cell closes around a hole, the second is in two pieces."""
    empty(window)
    labels = blocks()
    labels[1:3, 6:12, 4:8] = 0
    labels[0:2, 21:23, 20:24] = 2
    show_cells(window, Volume(labels, Kind.LABELS, voxel_size_um=(1.0, 0.5, 0.5)))
    begin(window, qtbot)
    key(window, Qt.Key.Key_N)
    assert window.page.suspicious.is_looking
    qtbot.waitUntil(lambda: not window.page.suspicious.is_looking, timeout=LONG_MS)
    return window.page


def listed(page: Any) -> list[int]:
    return [doubt.cell for doubt, _ in page.suspicious_panel.table.rows]


def test_the_work_list_leads_to_the_doubtful_cells(doubtful: Any, window: Any) -> None:
    table, viewer, work = doubtful.suspicious_panel.table, window.viewer, doubtful.suspicious.work
    shown = [[table.index(row, column).data() for column in range(3)] for row in range(2)]
    assert shown == [["1", "912", "Closes around 48 voxels"], ["2", "976", "In 2 pieces"]]
    key(window, Qt.Key.Key_N)
    layer, outlined = viewer.labels_planes("corrected cells")[0], viewer.labels_planes("corrections")[0].data
    camera, place = viewer.model.scene.camera, layer.world_to_data(viewer.model.dims.point)[0]
    assert np.allclose(camera.center[-2:], layer.data_to_world((0, 9.5, 5.5))[1:], atol=0.3)
    assert outlined[round(place), 0, 0] == LOOKED_AT
    assert "closes around 48 voxels" in doubtful.suspicious_panel.said.text()
    key(window, Qt.Key.Key_N)
    assert work.current == 2
    assert not (outlined[:, :12, :12] == LOOKED_AT).any()
    key(window, Qt.Key.Key_N, modifiers=SHIFT)
    assert work.current == 1
    key(window, Qt.Key.Key_Y)
    assert doubtful.corrections.session.marks == {1: Mark.CORRECT}
    assert work.current == 3, "the second was seen"
    assert listed(doubtful)[0] == 2
    viewer.model.dims.order = (2, 0, 1)
    doubtful.suspicious_panel.view.selectRow(0)
    assert work.current == 2
    assert 2 in labels_of(window)[:, :, round(layer.world_to_data(viewer.model.dims.point)[2])]
    viewer.toggle_3d()
    key(window, Qt.Key.Key_N)
    box = doubtful.corrections.session.tissue.index.box(work.current)
    middle = [(part.start + part.stop - 1) / 2 for part in box]
    order = viewer.model.dims.displayed
    assert np.allclose(camera.center, [layer.data_to_world(middle)[axis] for axis in order])


def test_a_corrected_cell_is_looked_at_anew(doubtful: Any, window: Any, qtbot: QtBot) -> None:
    doubtful.suspicious.go_to(1)
    doubtful.corrections.do("fill-holes", {"cells": (1,)})
    qtbot.waitUntil(lambda: listed(doubtful)[0] == 2, timeout=LONG_MS)
    doubtful.undo()
    qtbot.waitUntil(lambda: listed(doubtful)[0] == 1, timeout=LONG_MS)
    doubtful.corrections.do("delete", {"cells": (1,)})
    assert doubtful.suspicious.current is None
    qtbot.waitUntil(lambda: 1 not in listed(doubtful), timeout=LONG_MS)
    assert not (window.viewer.labels_planes("corrections")[0].data == LOOKED_AT).any()
    key(window, Qt.Key.Key_N)
    assert doubtful.suspicious.current.cell == 2
    doubtful.corrections.end()
    assert doubtful.suspicious.work is None


def test_nuclei_say_what_to_merge_and_to_divide(window: Any, empty: Callable[[Any], None], qtbot: QtBot) -> None:
    empty(window)
    cells, nuclei = blocks(), np.zeros((8, 44, 24), np.uint32)
    nuclei[1:3, 8:12, 10:14] = 1
    nuclei[1:3, 28:31, 3:8] = 2
    nuclei[1:3, 38:41, 3:8] = 3
    for number, cell in enumerate((4, 5, 6, 7), 4):
        z, y, x = (cell - 1) // 4, (cell - 1) // 2 % 2, (cell - 1) % 2
        nuclei[4 * z + 1, 24 * y + 8 : 24 * y + 12, 12 * x + 4 : 12 * x + 8] = number
    show_cells(window, Volume(cells, Kind.LABELS, voxel_size_um=(1.0, 0.5, 0.5)))
    window.document.add_image(OpenImage("seen", "nuclei_labels", Volume(nuclei, Kind.LABELS, (1.0, 0.5, 0.5))))
    begin(window, qtbot)
    page, panel = window.page, window.page.nuclei_panel
    assert panel.choice.currentText() == "seen"

    def compare() -> list[tuple[str, str]]:
        panel.compare_button.click()
        qtbot.waitUntil(lambda: not page.nuclei.is_busy, timeout=LONG_MS)
        return [
            tuple(panel.table.index(row, column).data() for column in (0, 1)) for row in range(len(panel.table.rows))
        ]

    found = [("1, 2", "Merge: share a nucleus"), ("3", "Divide: several nuclei")]
    assert compare() == found
    panel.view.selectRow(1)
    assert "Cell 3 holds 2 nuclei" in panel.said.text()
    panel.apply_button.click()
    labels = labels_of(window)
    assert labels[1, 29, 5] != labels[1, 40, 5]
    assert [row.cells for row in panel.table.rows] == [(1, 2)]
    page.undo()
    assert np.array_equal(labels, blocks())
    compare()
    panel.all_button.click()
    qtbot.waitUntil(lambda: "2 corrections were made" in panel.said.text(), timeout=LONG_MS)
    assert labels[1, 29, 5] != labels[1, 40, 5]
    assert (labels[:4, :20] == 1).all()
    assert compare() == []
    panel.back_button.click()
    qtbot.waitUntil(lambda: not page.nuclei.is_busy, timeout=LONG_MS)
    assert np.array_equal(labels, blocks())
    page.nuclei.take("")
    assert page.corrections.session.tissue.nuclei is None
    assert not panel.compare_button.isVisible()


def test_one_cannot_paint_behind_the_sessions_back(window: Any) -> None:
    assert not any(layer.editable for layer in window.viewer.labels_planes("corrected cells"))


def test_objects_that_overlap(window: Any, empty: Callable[[Any], None], qtbot: QtBot) -> None:
    empty(window)
    labels = np.zeros((2, 1, 40, 40), np.uint32)
    labels[0, 0, 5:25, 5:25], labels[1, 0, 15:35, 15:35] = 1, 2
    show_cells(window, Volume(labels, Kind.LAYERED_LABELS))
    begin(window, qtbot)
    mouse = Mouse(window)
    mouse.move(0, 20, 20)
    assert window.page.corrections.pointer.spot.cell == 2
    window.viewer.labels_planes("corrected cells")[1].visible = False
    mouse.move(0, 21, 21)
    assert window.page.corrections.pointer.spot.cell == 1
    key(window, Qt.Key.Key_X)
    assert labels_of(window).max() == 2
    assert not labels_of(window)[0].any()
    assert len(labels_of(window)) == 3, "an empty plane to spare"
