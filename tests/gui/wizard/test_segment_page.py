"""The Segment page: method, slider, preview, comparing, with the real runner on the bundled map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.paths import samples_dir
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import find_workflow
from tests.gui.windows import LONG_MS, open_files, opened_window, run_until

pytestmark = pytest.mark.gui
MAP = samples_dir() / "ovule2d" / "ovule2d_boundary_prob.tif"


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Any]:
    opening = opened_window(qtbot)
    window = next(opening)
    open_files(window, qtbot, MAP)
    window.document.change_image(next(iter(window.document.images)), role="boundary")
    window.go_to("Segment")
    yield window
    next(opening, None)


def slider_form(page: Any) -> Any:
    return page.forms[0][1]


def change_beta(page: Any, beta: float) -> None:
    form = slider_form(page)
    form.rows["beta"].set_value(beta)
    form.rows["beta"].edited.emit()


def test_one_slider_changes_the_workflow_and_the_preview(window: Any, qtbot: QtBot) -> None:
    page = window.page
    assert list(slider_form(page).rows) == ["beta"]
    with qtbot.waitSignal(page.previewer.shown, timeout=LONG_MS):
        page.preview_as(1)
    coarse = len(np.unique(window.viewer.array("preview")))
    with qtbot.waitSignal(page.previewer.shown, timeout=LONG_MS):
        change_beta(page, 0.9)
    assert window.document.workflow.nodes["cells"].step.beta == 0.9
    assert len(np.unique(window.viewer.array("preview"))) > coarse
    assert "cells in view" in page.preview_label.text()
    window.go_to("Load")
    assert "preview" not in window.viewer.layer_names()


def test_another_method_keeps_what_is_common(window: Any) -> None:
    page = window.page
    change_beta(page, 0.7)
    page.method_box.setCurrentIndex(page.method_box.findData("multicut"))
    page.method_box.activated.emit(page.method_box.currentIndex())
    step = window.document.workflow.nodes["cells"].step
    assert (step.id, step.beta) == ("multicut", 0.7)
    # Without an image of nuclei there is nothing to lift.
    assert page.method_box.findData("lifted-multicut") < 0


def test_clean_up_steps_come_and_go(window: Any) -> None:
    page, before = window.page, window.document.workflow
    page._add_step("fill-holes")
    assert "fill-holes" in window.document.workflow.nodes
    page._remove("fill-holes")
    assert window.document.workflow == before


def test_what_the_window_segments_is_what_the_workflow_says(window: Any, qtbot: QtBot) -> None:
    page = window.page
    change_beta(page, 0.5)
    run_until(window, qtbot, page.run_button.click, lambda: window.document.cells is not None)
    image = next(iter(window.document.images.values())).volume
    expected = Runner().run(find_workflow("boundary-map").replace("cells", beta=0.5), {"boundary": image})["cells"]
    assert np.array_equal(window.document.cells.volume.data, expected.data)
    assert "ovule2d_boundary_prob.tif" in window.document.cells.record()

    page.comparison.keep_copy()
    change_beta(page, 0.9)
    run_until(
        window, qtbot, page.run_button.click, lambda: window.document.cells.workflow.nodes["cells"].step.beta == 0.9
    )
    box = page.comparison.other_box
    assert [box.itemText(i) for i in range(box.count())] == ["(nothing)", "GASP 0.5"]
    box.setCurrentIndex(1)
    box.activated.emit(1)
    assert window.viewer.labels_layer("GASP 0.5").contour == 2
    page.comparison.way_box.setCurrentIndex(1)
    page.comparison.way_box.activated.emit(1)
    assert window.viewer.visible_names() == ["cells", "GASP 0.5"]
