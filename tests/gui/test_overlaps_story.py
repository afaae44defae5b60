"""Objects that overlap in the window: found, shown plane by plane, measured, saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind
from plantseg_app.io import read_volume
from plantseg_app.run.workflows import find_workflow
from tests.gui.windows import LONG_MS, open_files, opened_window, run_until

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Any]:
    yield from opened_window(qtbot)


def proofread_planes(window: Any, qtbot: QtBot, found: np.ndarray) -> None:
    """Paint a new object over the others; it comes into the empty plane."""
    window.go_to("Proofread")
    page = window.page
    page.start_button.click()
    qtbot.waitUntil(lambda: page.is_correcting, timeout=LONG_MS)
    where = np.argwhere(found.any(0))
    assert page.corrections.do("paint", {"voxels": where})
    page.leave()
    corrected = window.document.cells.volume
    assert corrected.kind is Kind.LAYERED_LABELS
    assert np.array_equal(corrected.data[:-1], found)
    assert set(np.unique(corrected.data[-1])) == {0, found.max() + 1}


def test_from_an_image_to_saved_planes(window: Any, qtbot: QtBot, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(1500, 60, (96, 128))
    image[20:30, 10:110] -= 700
    image[10:80, 60:70] -= 700
    tifffile.imwrite(tmp_path / "dish.tif", image.astype(np.uint16))
    open_files(window, qtbot, tmp_path / "dish.tif")
    workflow = find_workflow("overlapping-objects").replace("objects", min_size=1)
    window.document.set_workflow(workflow)
    window.go_to("Segment")
    run_until(window, qtbot, window.page.run_button.click, lambda: window.document.cells is not None)
    cells = window.document.cells.volume
    assert cells.kind is Kind.LAYERED_LABELS
    shown = [name for name in window.viewer.layer_names() if name.startswith("objects")]
    assert shown == [f"objects {i + 1}" for i in range(len(cells.data))]
    proofread_planes(window, qtbot, cells.data)
    cells = window.document.cells.volume
    window.go_to("Measure & export")
    export = window.page
    qtbot.waitUntil(lambda: "cells" in export.summary.text() and not window.runner.is_busy, timeout=LONG_MS)
    export.folder_line.set_path(tmp_path / "out")
    run_until(window, qtbot, export.save_button.click, lambda: "Saved" in export.saved.text())
    saved = read_volume(next((tmp_path / "out").glob("dish_*.tif")), kind=Kind.LAYERED_LABELS)
    assert np.array_equal(saved.data, cells.data)
