"""The log of the program, in its dock and in its file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from plantseg_app.gui import log_console
from plantseg_app.gui.log_console import LogDock, log_folder, start_file_log

LOG = logging.getLogger("plantseg_app.test")


@pytest.fixture
def dock(qtbot: QtBot) -> Iterator[LogDock]:
    dock = LogDock()
    qtbot.addWidget(dock)
    dock.show()
    yield dock
    dock.detach()


def test_notes_arrive_with_their_traceback(dock: LogDock) -> None:
    LOG.info("read a.tif")
    try:
        raise ValueError("bad page")
    except ValueError:
        LOG.exception("reading failed")
    assert "INFO" in dock.text()
    assert "plantseg_app.test: read a.tif" in dock.text()
    assert "ValueError: bad page" in dock.text()


def test_notes_of_other_threads_arrive(dock: LogDock, qtbot: QtBot) -> None:
    thread = threading.Thread(target=LOG.warning, args=("from afar",))
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: "from afar" in dock.text())


def test_the_level_filters_what_is_shown_and_what_arrives(dock: LogDock) -> None:
    LOG.info("small")
    LOG.error("large")
    dock.level_box.setCurrentText("Errors")
    assert "small" not in dock.text()
    assert "large" in dock.text()
    LOG.warning("medium")
    assert "medium" not in dock.text()
    dock.level_box.setCurrentText("Everything")
    for word in ("small", "medium", "large"):
        assert word in dock.text()


def test_it_is_copied_saved_and_emptied(dock: LogDock, tmp_path: Path) -> None:
    LOG.warning("keep this")
    dock.copy_button.click()
    assert "keep this" in QGuiApplication.clipboard().text()
    dock.save(tmp_path / "log.txt")
    assert "keep this" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    dock.clear_button.click()
    assert dock.text() == ""


def test_a_dock_that_is_gone_hears_nothing(qtbot: QtBot) -> None:
    dock = LogDock()
    handler = dock.handler
    assert handler in logging.getLogger().handlers
    dock.deleteLater()
    qtbot.waitUntil(lambda: handler not in logging.getLogger().handlers)
    LOG.warning("nobody listens")


def test_the_file_keeps_the_log_and_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(log_console, "_FILE_BYTES", 200)
    handler = start_file_log()
    try:
        for number in range(30):
            LOG.warning("note %d", number)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    files = sorted(log_folder().iterdir())
    assert len(files) == 6
    assert "note 29" in (log_folder() / "plantseg-app.log").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_to_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(tmp_path / "file"))
    assert start_file_log() is None
    assert "There is no log file" in caplog.text
