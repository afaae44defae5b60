"""What was open comes back: the window is left without closing it, and another one restores its session."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.paths import samples_dir, sessions_dir
from plantseg_app.run.session import Session, find_crashed
from tests.gui.windows import LONG_MS, close, open_files, opened_window, run_until

pytestmark = pytest.mark.gui
MAP = samples_dir() / "ovule2d" / "ovule2d_boundary_prob.tif"


def make_it_look_crashed(session: Session) -> None:
    """Let the owner be a process that is long gone."""
    for path in session.folder.glob("owner-*.json"):
        owner = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**owner, "pid": 2**22 - 3, "began": "before"}), encoding="utf-8")


def test_images_results_corrections_and_page_come_back(qtbot: QtBot) -> None:
    from plantseg_app.gui.main_window import MainWindow

    first: Any = next(opened_window(qtbot))
    open_files(first, qtbot, MAP)
    first.document.change_image(next(iter(first.document.images)), role="boundary")
    first.go_to("Segment")
    run_until(first, qtbot, first.page.run_button.click, lambda: first.document.cells is not None)
    first.go_to("Proofread")
    first.page.start()
    qtbot.waitUntil(lambda: first.page.is_correcting, timeout=LONG_MS)
    corrections = first.page.corrections
    one, other, third = corrections.session.tissue.index.ids()[:3]
    assert corrections.do("merge", {"cells": (one, other)})
    # What the page has given to the document, and what only the journal knows.
    first.page.leave()
    first.page.enter()
    qtbot.waitUntil(lambda: not corrections.is_keeping, timeout=LONG_MS)
    qtbot.waitUntil(lambda: first.document.results["corrected cells"].ref is not None, timeout=LONG_MS)
    assert corrections.do("delete", {"cells": (third,)})
    corrected = corrections.session.labels.copy()
    first.keeper.save()
    first.keeper.session.close = lambda: None
    corrections.end()
    make_it_look_crashed(first.keeper.session)

    (crashed,) = find_crashed(sessions_dir())
    session = Session.restore(crashed.folder)
    # The canvas of the first window must be gone before the second one draws.
    close(first, qtbot)
    second: Any = MainWindow(session=session, warm=False)
    second.show()
    qtbot.waitExposed(second)
    second.restore()
    assert list(second.document.images) == ["ovule2d_boundary_prob"]
    assert second.document.images["ovule2d_boundary_prob"].role == "boundary"
    assert list(second.document.results) == ["cells", "corrected cells"]
    assert second.page.title == "Proofread"
    qtbot.waitUntil(lambda: second.page.is_correcting, timeout=LONG_MS)
    session = second.page.corrections.session
    assert np.array_equal(session.labels, corrected)
    assert [edit.tool for edit in session.edits] == ["merge", "delete"]
    assert not (corrected == third).any()
    assert session.tissue.superpixels is not None
    fourth = next(
        cell
        for cell in session.tissue.index.ids()
        if len(np.unique(session.tissue.superpixels[session.labels == cell])) > 2
    )
    assert second.page.corrections.do("superpixels", {"cell": fourth})
    close(second, qtbot)
    assert find_crashed(sessions_dir()) == []
