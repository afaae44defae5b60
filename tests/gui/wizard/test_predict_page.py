"""The page Predict as a person uses it, with the bundled models and the real computing process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

pytestmark = pytest.mark.gui


@pytest.fixture
def window(sample_window: Any) -> Any:
    """The window on the page Predict."""
    sample_window.go_to("Predict")
    return sample_window


def listed(page: Any) -> list[str]:
    from PySide6.QtCore import Qt

    items = [page.models.list.item(row) for row in range(page.models.list.count())]
    return [item.data(Qt.ItemDataRole.UserRole).model.card.id for item in items if not item.isHidden()]


def choose(page: Any, model: str) -> None:
    from PySide6.QtCore import Qt

    for row in range(page.models.list.count()):
        if page.models.list.item(row).data(Qt.ItemDataRole.UserRole).model.card.id == model:
            page.models.list.setCurrentRow(row)


def models_of(window: Any) -> list[str]:
    from plantseg_app.run.prediction import prediction_nodes

    workflow = window.document.workflow
    return [workflow.nodes[name].step.model for name in prediction_nodes(workflow)]


def test_the_best_model_comes_first_and_filters_narrow_the_list(window: Any) -> None:
    page = window.page
    everything = listed(page)
    assert everything[:2] == ["membranes-3d", "membranes-2d"]
    assert everything.index("nuclei-3d") < everything.index("nuclei-2d")
    assert page.models.current().card.id == "membranes-3d"
    page.models.search.setText("histology")
    assert listed(page)[0] == "nuclei-2d"
    assert "membranes-3d" not in listed(page)
    page.models.search.clear()
    page.models.structure.setCurrentIndex(page.models.structure.findData("nuclei"))
    page.models.dimension.setCurrentIndex(page.models.dimension.findData("3D"))
    assert listed(page) == ["nuclei-3d"]
    page.models.structure.setCurrentIndex(0)
    page.models.dimension.setCurrentIndex(0)
    assert listed(page) == everything
    assert models_of(window) == ["membranes-3d"]


def test_a_chosen_model_goes_into_the_workflow(window: Any, qtbot: QtBot) -> None:
    page = window.page
    choose(page, "membranes-2d")
    assert models_of(window) == ["membranes-2d"]
    assert page.offer.isHidden()
    page.models.details_button.click()
    from plantseg_app.gui.wizard.model_list import ModelPage

    details = page.models.findChildren(ModelPage)
    assert "Membranes" in details[0].windowTitle()
    details[0].close()


def test_a_model_for_something_else_is_offered_its_workflow(window: Any, qtbot: QtBot) -> None:
    page = window.page
    choose(page, "nuclei-3d")
    assert window.document.workflow.name == "membranes-gasp"
    assert not page.run_button.isEnabled()
    assert not page.offer.isHidden()
    qtbot.waitUntil(lambda: not page.switch_button.isHidden(), timeout=60_000)
    page.switch_button.click()
    assert window.document.workflow.name == "nuclei-mask-outline"
    assert models_of(window) == ["nuclei-3d", "nuclei-3d"]
    assert page.run_button.isEnabled()
    assert "output" not in page.form.rows
    page.form.rows["scale"].editor.set_value(0.5)
    page.form.rows["scale"].edited.emit()
    nodes = window.document.workflow.nodes
    assert [nodes[name].step.scale for name in ("mask", "outlines")] == [0.5, 0.5]
    assert [nodes[name].step.output for name in ("mask", "outlines")] == ["", "boundary"]


def test_time_and_memory_are_known_before_the_run(window: Any, qtbot: QtBot) -> None:
    page = window.page
    qtbot.waitUntil(lambda: "1 tile;" in page.outlook.text(), timeout=60_000)
    page.form.rows["tile"].editor.set_value([16, 64, 64])
    page.form.rows["tile"].edited.emit()
    qtbot.waitUntil(lambda: "8 tiles;" in page.outlook.text(), timeout=60_000)
    assert page.outlook.property("role") == ""
    page.device.addItem("A card that is not there", "cuda:9")
    page.device.setCurrentIndex(page.device.findData("cuda:9"))
    page.device.activated.emit(page.device.currentIndex())
    assert window.document.device == "cuda:9"
    qtbot.waitUntil(lambda: 'no device "cuda:9"' in page.outlook.text(), timeout=60_000)
    assert page.outlook.property("role") == "error"
    page.device.removeItem(page.device.findData("cuda:9"))


def test_the_map_grows_tile_by_tile_and_is_known_afterwards(window: Any, qtbot: QtBot) -> None:
    from plantseg_app.run.workflow_crop import with_crop

    page, document, viewer = window.page, window.document, window.viewer
    document.set_workflow(with_crop(document.workflow, ":, 0:96, :", paste_back=False))
    page.form.rows["tile"].editor.set_value([32, 48, 64])
    page.form.rows["tile"].edited.emit()
    seen: list[float] = []
    places: list[Any] = []

    def look() -> None:
        if window.runner.is_busy and page.growing.names and "boundary" in viewer.layer_names():
            seen.append(float((np.asarray(viewer.array("boundary")) > 0).mean()))
            places.append(viewer.model.layers["boundary"].translate)

    window.runner.grew.connect(look)
    page.run_button.click()
    qtbot.waitUntil(lambda: "boundary" in document.results and not window.runner.is_busy, timeout=120_000)
    window.runner.grew.disconnect(look)
    assert len(seen) >= 3
    assert 0 < seen[0] < 0.9
    assert seen == sorted(seen)
    layer = viewer.model.layers["boundary"]
    np.testing.assert_array_equal(viewer.array("boundary"), document.results["boundary"].volume.data)
    np.testing.assert_allclose(places[0], layer.translate, atol=1e-9)
    assert page.growing.names == []
    assert not page.done.isHidden()
    assert page.run_button.text() == "&Predict again"
    page.form.rows["scale"].editor.set_value(0.9)
    page.form.rows["scale"].edited.emit()
    assert page.done.isHidden()


def test_a_cancelled_map_leaves_nothing_behind(window: Any, qtbot: QtBot) -> None:
    page, viewer = window.page, window.viewer
    page.form.rows["tile"].editor.set_value([16, 32, 64])
    page.form.rows["tile"].edited.emit()
    page.run_button.click()
    qtbot.waitUntil(lambda: page.growing.names == ["boundary"], timeout=60_000)
    assert "boundary" in viewer.layer_names()
    window.run_bar.cancel_button.click()
    qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=60_000)
    assert "boundary" not in viewer.layer_names()
    assert window.document.results == {}


def test_a_model_that_is_not_here_is_named_and_can_be_looked_for(window: Any, qtbot: QtBot) -> None:
    page, document = window.page, window.document
    document.set_workflow(document.workflow.replace("boundary", model="plantseg_3dnuc_platinum"))
    page.refresh()
    assert "models download plantseg_3dnuc_platinum" in page.missing.text()
    assert not page.run_button.isEnabled()
    page.find_button.click()
    area = window.areas[window.area_keys.index("models")]
    assert area.chosen.id == "plantseg_3dnuc_platinum"
    window.go_to("Predict")
    page.choose_model("membranes-3d")
    assert page.missing.isHidden()
    assert page.run_button.isEnabled()


def test_without_a_network_one_goes_on(window: Any) -> None:
    from plantseg_app.run.workflows import find_workflow

    page = window.page
    window.document.set_workflow(find_workflow("boundary-map"))
    assert page.content.isHidden()
    assert "There is nothing to predict" in page.nothing.text()
    assert page.is_complete
    page.next_button.click()
    assert window.page.title == "Segment"


def test_every_control_has_a_name_and_a_tool_tip(window: Any) -> None:
    from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit

    for sort in (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView):
        for widget in window.page.findChildren(sort):
            if widget.isVisible() and not widget.objectName().startswith("qt_"):
                assert widget.accessibleName(), widget
                assert widget.toolTip(), widget
