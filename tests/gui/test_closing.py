"""Closing the window: cells that are in no file are asked about, and can be kept for the next start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.document import OpenImage, Result
from plantseg_app.paths import sessions_dir
from tests.gui.windows import close, opened_window

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot: QtBot) -> Any:
    window = next(opened_window(qtbot))
    labels = Volume(np.ones((1, 8, 8), np.uint32), Kind.LABELS, name="cells")
    document = window.document
    document.add_image(OpenImage("leaf", "labels", labels, ref=window.bench.keep(labels)))
    document.set_result(Result("cells", labels, document.workflow, ref=window.bench.keep(labels)))
    return window


def answer(window: Any, words: str) -> None:
    (box,) = (box for box in window.findChildren(QMessageBox) if box.isVisible())
    next(button for button in box.buttons() if words in button.text().replace("&", "")).click()


def test_unsaved_cells_stop_the_window_from_closing(window: Any, qtbot: QtBot) -> None:
    assert not window.close()
    answer(window, "Go on")
    assert window.isVisible()
    assert window.document.unsaved_cells() == ["cells"]
    window.document.note_saved(["cells"])
    close(window, qtbot)
    assert list(sessions_dir().glob("*")) == []


def test_they_can_be_discarded(window: Any, qtbot: QtBot) -> None:
    window.close()
    answer(window, "Discard")
    qtbot.waitUntil(lambda: not window.isVisible())
    assert list(sessions_dir().glob("*")) == []
    window.deleteLater()


def test_they_can_be_kept_for_the_next_start(window: Any, qtbot: QtBot) -> None:
    window.close()
    answer(window, "Keep")
    qtbot.waitUntil(lambda: not window.isVisible())
    (folder,) = sessions_dir().glob("*")
    assert '"name":"cells"' in Path(folder / "session.json").read_text(encoding="utf-8")
    window.deleteLater()
