"""The whole story: a person drops a stack, clicks through the wizard with the bundled model, saves, and it is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind
from plantseg_app.evaluate import evaluate_labels
from plantseg_app.io import read_volume, read_workflow, write_volume
from plantseg_app.paths import samples_dir
from plantseg_app.run.runner import Runner
from plantseg_app.run.workflows import find_workflow
from tests.gui.windows import LONG_MS, drop, opened_window, run_until

pytestmark = pytest.mark.gui
SAMPLE = samples_dir() / "sample_ovule.h5"


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Any]:
    yield from opened_window(qtbot)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A TIFF with its voxel size, as a microscope writes it."""
    return write_volume(tmp_path / "ovule.tif", read_volume(SAMPLE))


def click(qtbot: QtBot, widget: Any) -> None:
    from PySide6.QtCore import Qt

    assert widget.isVisible()
    assert widget.isEnabled(), widget.text()
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def next_page(window: Any, qtbot: QtBot, title: str) -> Any:
    click(qtbot, window.next_button)
    assert window.page.title == title
    return window.page


def test_from_a_dropped_tiff_to_saved_cells(window: Any, qtbot: QtBot, stack: Path, tmp_path: Path) -> None:
    assert not window.next_button.isEnabled()
    assert drop(window, stack)
    qtbot.waitUntil(lambda: bool(window.document.images) and not window.runner.is_busy, timeout=LONG_MS)
    next_page(window, qtbot, "Prepare")
    next_page(window, qtbot, "Predict")
    segment = next_page(window, qtbot, "Segment")

    click(qtbot, segment.run_button)
    click(qtbot, window.run_bar.cancel_button)
    qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=LONG_MS)
    assert window.document.cells is None

    run_until(window, qtbot, lambda: click(qtbot, segment.run_button), lambda: window.document.cells is not None)
    assert {"ovule", "boundary", "cells"} <= set(window.viewer.layer_names())
    first = window.document.cells.volume.data

    form = segment.forms[0][1]
    form.rows["beta"].set_value(0.5)
    form.rows["beta"].edited.emit()
    run_until(
        window,
        qtbot,
        lambda: click(qtbot, segment.run_button),
        lambda: window.document.cells.workflow.nodes["cells"].step.beta == 0.5,
    )
    assert not np.array_equal(window.document.cells.volume.data, first)

    next_page(window, qtbot, "Proofread")
    export = next_page(window, qtbot, "Measure & export")
    qtbot.waitUntil(lambda: "cells" in export.summary.text() and not window.runner.is_busy, timeout=LONG_MS)
    export.folder_line.set_path(tmp_path / "out")
    run_until(window, qtbot, lambda: click(qtbot, export.save_button), lambda: "Saved" in export.saved.text())

    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["ovule_cells.csv", "ovule_cells.tif", "ovule_workflow.yaml"]
    saved = read_volume(tmp_path / "out" / "ovule_cells.tif", kind=Kind.LABELS)
    truth = read_volume(SAMPLE, kind=Kind.LABELS)
    assert evaluate_labels(saved.data, truth.data).adapted_rand_error < 0.08
    assert saved.voxel_size_um == pytest.approx(truth.voxel_size_um, rel=1e-4)

    # What was clicked, run from the file that was saved, gives the same cells.
    workflow = find_workflow(tmp_path / "out" / "ovule_workflow.yaml")
    assert workflow.nodes["cells"].step.beta == 0.5
    again = Runner().run(workflow, {"image": read_volume(stack)})["cells"]
    assert np.array_equal(again.data, saved.data)
    assert "beta: 0.5" in read_workflow(tmp_path / "out" / "ovule_cells.tif")
