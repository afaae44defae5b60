"""The page Prepare as a person uses it: with the mouse on the canvas, and with the real computing process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.io import read_volume
from plantseg_app.paths import samples_dir

pytestmark = pytest.mark.gui

SAMPLE = samples_dir() / "sample_ovule.h5"


@pytest.fixture
def window(sample_window: Any) -> Any:
    """The window on the page Prepare."""
    sample_window.go_to("Prepare")
    return sample_window


def drag(window: Any, qtbot: QtBot, start_vox: tuple[float, float], stop_vox: tuple[float, float]) -> None:
    """Press the mouse on the canvas at one place of the image (Y, X), pull it to another, and let go."""
    from PySide6.QtCore import QPoint, Qt

    viewer = window.viewer
    canvas = viewer._qt_viewer.canvas.native
    layer = viewer.model.layers["sample_ovule"]
    camera = viewer.model.scene.camera

    def at(place: tuple[float, float]) -> QPoint:
        world = np.asarray(place) * layer.scale[-2:] + layer.translate[-2:]
        y, x = (world - np.asarray(camera.center)[-2:]) * camera.zoom
        return QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))

    middle = tuple((a + b) / 2 for a, b in zip(start_vox, stop_vox, strict=True))
    left = Qt.MouseButton.LeftButton
    qtbot.mouseMove(canvas, at(start_vox))
    qtbot.mousePress(canvas, left, pos=at(start_vox))
    for place in (middle, stop_vox):
        qtbot.mouseMove(canvas, at(place))
        qtbot.wait(20)
    qtbot.mouseRelease(canvas, left, pos=at(stop_vox))


def test_a_drawn_crop_gives_the_labels_that_the_command_line_makes(window: Any, qtbot: QtBot) -> None:
    from plantseg_app.core.workflow import Workflow
    from plantseg_app.gui.geometry import grid_of
    from plantseg_app.run.runner import Runner
    from plantseg_app.run.workflow_crop import crop_of

    crop = window.page.crop
    crop.draw_button.click()
    drag(window, qtbot, (20, 10), (100, 90))
    qtbot.waitUntil(lambda: crop_of(window.document.workflow) is not None)
    z, y, x = crop.box()
    assert (z.start, z.stop) == (0, 32)
    np.testing.assert_allclose([y.start, y.stop, x.start, x.stop], [20, 100, 10, 90], atol=1)
    assert not crop.draw_button.isChecked()

    crop.first.setValue(4)
    crop.last.setValue(23)
    qtbot.waitUntil(lambda: crop.box()[0] == slice(4, 24))
    assert crop.outline.box == crop.box()
    assert "crop" in window.viewer.layer_names()

    window.bench.run(window.document.workflow.outputs)
    qtbot.waitUntil(lambda: "cells" in window.document.results and not window.runner.is_busy, timeout=120_000)
    cells = window.document.results["cells"].volume
    text = window.document.workflow.to_yaml()
    expected = Runner().run(Workflow.from_yaml(text), {"image": read_volume(SAMPLE)})["cells"]
    assert len(np.unique(expected.data)) > 5
    np.testing.assert_array_equal(cells.data, expected.data)
    layer = window.viewer.model.layers["cells"]
    full = grid_of(window.document.main_image.volume)
    np.testing.assert_allclose(layer.translate, [a.start * s for a, s in zip(crop.box(), full.scale, strict=True)])


def test_the_outline_is_pulled_typed_and_taken_off(window: Any, qtbot: QtBot) -> None:
    from plantseg_app.run.workflow_crop import crop_of

    crop, viewer = window.page.crop, window.viewer
    crop.box_edit.setText("2:12, 10:60, :")
    crop.box_edit.editingFinished.emit()
    assert crop_of(window.document.workflow) == "2:12, 10:60, :"
    shapes = viewer.model.layers["crop"]
    np.testing.assert_allclose(shapes.data[0][0], [9.5, -0.5])
    shapes.data = [np.array([[29.5, 9.5], [29.5, 99.5], [79.5, 99.5], [79.5, 9.5]])]
    qtbot.waitUntil(lambda: crop_of(window.document.workflow) == "2:12, 30:80, 10:100")

    crop.in_place.click()
    assert window.document.workflow.outputs == ("paste-back",)
    crop.in_place.click()
    assert window.document.workflow.outputs == ("cells",)

    crop.box_edit.setText("2:400, :, :")
    crop.box_edit.editingFinished.emit()
    assert "0:32 is all" in crop.about.text()
    assert crop_of(window.document.workflow) == "2:12, 30:80, 10:100"

    viewer.toggle_3d()
    assert len(viewer.model.layers["crop"].data) == 6
    viewer.toggle_3d()
    window.go_to("Load")
    assert "crop" in viewer.layer_names()
    window.go_to("Prepare")
    crop.remove_button.click()
    assert crop_of(window.document.workflow) is None
    assert "crop" not in viewer.layer_names()


def test_what_is_visible_becomes_the_box(window: Any, qtbot: QtBot) -> None:
    crop, viewer = window.page.crop, window.viewer
    viewer.model.scene.camera.zoom *= 3
    qtbot.waitUntil(lambda: viewer.visible_box("sample_ovule")[1].stop < 128)
    seen = viewer.visible_box("sample_ovule")
    crop.visible_button.click()
    assert crop.box() == (slice(0, 32), seen[1], seen[2])


def test_a_measured_cell_says_the_scale_and_one_click_sets_it(window: Any, qtbot: QtBot) -> None:
    page = window.page
    page.cell_size.measure_button.click()
    drag(window, qtbot, (30, 20), (60, 60))
    qtbot.waitUntil(lambda: window.document.cell_diameter_vox is not None)
    assert window.document.cell_diameter_vox == pytest.approx(50, rel=0.03)
    spacing = window.document.main_image.volume.voxel_size_um
    assert page.cell_size.diameter.value() == pytest.approx(50 * spacing.x, rel=0.05)
    note = page.cell_size.note
    assert note.use_button.isHidden()
    assert note.sentence.property("role") == "good"

    page.cell_size.unit.setCurrentIndex(1)
    page.cell_size.diameter.setValue(126)
    assert note.sentence.text() == "Cells are about 2.1 times larger than membranes-3d knows: scale 0.476."
    assert note.sentence.property("role") == "warning"
    note.use_button.click()
    assert window.document.workflow.nodes["boundary"].step.settings()["scale"] == 0.476
    assert note.use_button.isHidden()
    window.go_to("Predict")
    assert window.page.form.step().scale == 0.476
    assert window.page.scale_note.use_button.isHidden()


def test_before_and_after_shows_what_the_steps_make_of_the_slice(window: Any, qtbot: QtBot) -> None:
    from plantseg_app.gui.wizard.before_after import PREVIEW
    from plantseg_app.run.runner import Runner
    from plantseg_app.run.workflow_edit import with_outputs

    page, viewer, document = window.page, window.viewer, window.document
    assert page.before_after.isHidden()
    page.cards.add("normalise")
    page.cards.add("gaussian")
    page.before_after.wipe.setValue(0)

    def expected(node: str) -> np.ndarray:
        part = with_outputs(document.workflow, [node])
        return Runner().run(part, {"image": document.main_image.volume})[node].data

    def shown() -> np.ndarray | None:
        return viewer.array(PREVIEW)

    def matches(at: int) -> bool:
        now = shown()
        return now is not None and np.array_equal(now[0], expected("gaussian")[at].astype(np.float32))

    at = viewer.visible_box("sample_ovule")[0].start
    qtbot.waitUntil(lambda: matches(at), timeout=20_000)
    page.cards.cards["gaussian"].form.rows["sigma"].editor.set_value(4.0)
    page.cards.cards["gaussian"].form.rows["sigma"].edited.emit()
    assert document.workflow.nodes["gaussian"].step.settings()["sigma"] == 4.0
    qtbot.waitUntil(lambda: matches(at), timeout=20_000)
    viewer.model.dims.set_current_step(0, 5)
    qtbot.waitUntil(lambda: matches(5), timeout=20_000)

    page.before_after.wipe.setValue(50)
    assert np.isnan(shown()[0][:, :64]).all()
    assert not np.isnan(shown()[0][:, 64:]).any()
    page.before_after.hold_button.pressed.emit()
    assert not viewer.model.layers[PREVIEW].visible
    page.before_after.hold_button.released.emit()
    assert viewer.model.layers[PREVIEW].visible
    window.go_to("Predict")
    assert PREVIEW not in viewer.layer_names()


def test_steps_are_added_moved_changed_and_removed(window: Any, qtbot: QtBot) -> None:
    from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit

    from plantseg_app.run.prepared import preparation

    page, document = window.page, window.document
    begin = document.workflow
    page.cards.menu.aboutToShow.emit()
    titles = [action.text() for action in page.cards.menu.actions()]
    assert "Gaussian smoothing" in titles
    assert "Crop" not in titles
    next(action for action in page.cards.menu.actions() if action.text() == "Median filter").trigger()
    page.cards.add("normalise")
    page.crop.set_box((slice(2, 20), slice(0, 128), slice(0, 128)))
    assert preparation(document.workflow) == ["crop", "median", "normalise"]
    assert list(page.cards.cards) == ["median", "normalise"]
    assert not page.cards.cards["median"].up_button.isEnabled()
    page.cards.cards["normalise"].up_button.click()
    assert preparation(document.workflow) == ["crop", "normalise", "median"]
    for sort in (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractSlider):
        for widget in page.findChildren(sort):
            if widget.isVisible() and not widget.objectName().startswith("qt_"):
                assert widget.accessibleName(), widget
                assert widget.toolTip(), widget
    for name in ("median", "normalise"):
        page.cards.cards[name].remove_button.click()
    page.crop.remove_button.click()
    assert document.workflow == begin
