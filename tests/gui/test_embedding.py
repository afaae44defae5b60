"""Embeddings in a real window: colours, likeness under the cursor, objects picked by clicking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.document import OpenImage, Result
from plantseg_app.gui.likeness import LIKENESS
from plantseg_app.gui.wizard.proofread_page import BY_HAND
from tests.gui.windows import LONG_MS

pytestmark = pytest.mark.gui
SIZE_UM = (1.0, 0.5, 0.5)


def scene() -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Return two objects through three slices, and an embedding in which they are 4 from each other and background."""
    names = np.zeros((3, 40, 60), np.uint32)
    names[:, 8:30, 6:26], names[:, 8:30, 26:50] = 1, 2
    values = 4 * np.eye(3, 6, dtype=np.float32)
    noise = np.random.default_rng(0).normal(0, 0.05, (6, *names.shape))
    return names, (np.moveaxis(values[names], -1, 0) + noise).astype(np.float32)


@pytest.fixture
def window(qtbot: QtBot, emptied_window: Any, make_active: Callable[[Any], None]) -> Any:
    """The window with an image and its embedding, on the page Segment."""
    names, embedding = scene()
    raw = Volume((names * 60).astype(np.uint8), Kind.RAW, SIZE_UM)
    emptied_window.document.add_image(OpenImage("raw", "membranes", raw))
    emptied_window.document.set_result(
        Result("embedding", Volume(embedding, Kind.EMBEDDING, SIZE_UM), emptied_window.document.workflow)
    )
    emptied_window.layers.show_result("embedding")
    qtbot.waitUntil(lambda: "embedding" in emptied_window.viewer.layer_names(), timeout=LONG_MS)
    emptied_window.go_to("Segment")
    emptied_window.viewer.model.dims.set_current_step(0, 1)
    emptied_window.viewer.fit()
    make_active(emptied_window)
    return emptied_window


def at(window: Any, *voxel: float) -> QPoint:
    native, model = window.viewer._qt_viewer.canvas.native, window.viewer.model
    world = window.viewer._find("embedding").data_to_world(voxel)
    zoom, centre = model.scene.camera.zoom, model.scene.camera.center
    y, x = (zoom * (world[axis] - middle) for axis, middle in zip((1, 2), centre[-2:], strict=True))
    return QPoint(round(native.width() / 2 + x), round(native.height() / 2 + y))


def move(window: Any, *voxel: float) -> None:
    native, place = window.viewer._qt_viewer.canvas.native, at(window, *voxel)
    QTest.mouseMove(native, place + QPoint(2, 0))
    QTest.mouseMove(native, place)
    QTest.qWait(60)


def click(window: Any, *voxel: float) -> None:
    move(window, *voxel)
    native = window.viewer._qt_viewer.canvas.native
    QTest.mouseClick(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at(window, *voxel))
    QTest.qWait(20)


def test_an_embedding_is_one_layer_of_colours_that_tell_objects_apart(window: Any) -> None:
    names, _ = scene()
    assert window.viewer.layer_names() == ["raw", "embedding"]
    layer = window.viewer._find("embedding")
    assert layer.rgb
    colours = np.asarray(layer.data).astype(float)
    means = [colours[names == name].mean(0) for name in (0, 1, 2)]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(means) for b in means[:i]) > 60
    box = window.viewer.visible_box("embedding")
    assert [part.stop for part in box] == [2, 40, 60]
    # A new embedding takes its place, and a removed one leaves.
    window.layers.show_result("embedding")
    QTest.qWait(200)
    assert window.viewer.layer_names() == ["raw", "embedding"]


def test_what_is_like_the_pixel_under_the_cursor_lights_up(window: Any, qtbot: QtBot) -> None:
    names, _ = scene()
    panel = window.page.embedding
    assert panel.isVisible()
    chosen = window.viewer.model.layers.selection.active
    window.commands.actions["likeness"].trigger()
    qtbot.waitUntil(lambda: panel.likeness.is_on, timeout=LONG_MS)
    for voxel, name in (((1, 15, 15), 1), ((1, 15, 40), 2), ((1, 2, 2), 0)):
        move(window, *voxel)
        qtbot.waitUntil(lambda voxel=voxel: panel.likeness.place == voxel, timeout=LONG_MS)
        shown = window.viewer.array(LIKENESS)
        z, y, x = window.viewer.visible_box("embedding")
        same = names[z, y, x] == name
        assert shown[same].min() > 0.5 > shown[~same].max()
    assert window.viewer.model.layers.selection.active is chosen
    window.viewer.model.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: panel.likeness.place == (2, 2, 2), timeout=LONG_MS)
    window.viewer.toggle_3d()
    qtbot.waitUntil(lambda: LIKENESS not in window.viewer.layer_names(), timeout=LONG_MS)
    window.viewer.toggle_3d()
    window.go_to("Prepare")
    assert not panel.likeness.is_on
    assert LIKENESS not in window.viewer.layer_names()


def test_a_click_makes_a_cell_of_an_object(window: Any, qtbot: QtBot) -> None:
    names, _ = scene()
    window.commands.actions["pick_objects"].trigger()
    page = window.proofreading
    qtbot.waitUntil(lambda: page.is_correcting and page.key_in_hand == "alike", timeout=LONG_MS)
    assert window.page is page
    window.viewer.model.dims.set_current_step(0, 1)
    window.viewer.fit()
    click(window, 1, 20, 12)
    click(window, 1, 20, 40)
    labels = page.corrections.session.labels
    for name in (1, 2):
        (cell,) = np.unique(labels[names == name])
        np.testing.assert_array_equal(labels == cell, names == name)
    # What is picked already, and what is background, is refused.
    click(window, 1, 20, 12)
    assert "lies in cell" in page.said.text()
    click(window, 1, 2, 2)
    assert "background" in page.said.text()
    assert LIKENESS in window.viewer.layer_names()
    page.undo()
    assert not labels[names == 2].any()
    page.act("look")
    assert LIKENESS not in window.viewer.layer_names()
    window.turn_page(1)
    assert window.document.cells.name == "corrected cells"
    assert window.document.cells.volume.voxel_size_um == SIZE_UM
    assert BY_HAND in window.document.cells.inputs.values()


def test_objects_are_added_to_cells_that_there_are(window: Any, qtbot: QtBot) -> None:
    names, _ = scene()
    cells = np.where(names == 1, 5, 0).astype(np.uint32)
    window.document.set_result(Result("cells", Volume(cells, Kind.LABELS, SIZE_UM), window.document.workflow))
    window.page.embedding.pick_button.click()
    page = window.proofreading
    qtbot.waitUntil(lambda: page.is_correcting and page.key_in_hand == "alike", timeout=LONG_MS)
    window.viewer.model.dims.set_current_step(0, 1)
    window.viewer.fit()
    click(window, 1, 20, 40)
    labels = page.corrections.session.labels
    assert sorted(np.unique(labels)) == [0, 5, 6]
    np.testing.assert_array_equal(labels == 6, names == 2)


def test_without_an_embedding_there_is_nothing_to_pick(window: Any) -> None:
    window.document.remove_result("embedding")
    assert window.page.embedding.isHidden()
    for key in ("likeness", "pick_objects"):
        window.go_to("Segment")
        window.commands.actions[key].trigger()
        assert "no embedding" in window.run_bar.label.text()
    assert not window.proofreading.is_correcting
