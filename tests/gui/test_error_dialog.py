"""Failures and defects as a person sees them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from plantseg_app.gui.error_dialog import DefectReporter, ErrorDialog, install_excepthook


def test_it_says_what_happened_and_what_to_do_and_copies_the_rest(qtbot: QtBot) -> None:
    dialog = ErrorDialog("Memory ran out.", "Crop the image.", "Traceback: line 1")
    dialog.open()
    assert not dialog.details_view.isVisible()
    dialog.show_button.click()
    assert dialog.details_view.isVisible()
    dialog.copy_button.click()
    copied = QGuiApplication.clipboard().text()
    for part in ("Memory ran out.", "Crop the image.", "Traceback: line 1", "PlantSeg App:", "torch:"):
        assert part in copied
    dialog.close_button.click()
    qtbot.waitUntil(lambda: not dialog.isVisible())


def test_without_details_there_is_nothing_to_copy(qtbot: QtBot) -> None:
    dialog = ErrorDialog("No such file.")
    dialog.open()
    assert not dialog.copy_button.isVisible()
    assert dialog.close_button.isVisible()
    dialog.close()


@pytest.fixture
def reporter(qtbot: QtBot) -> Iterator[DefectReporter]:
    window = QWidget()
    qtbot.addWidget(window)
    made = install_excepthook(window)
    yield made
    made.uninstall()


def fail(text: str = "broken") -> None:
    raise ValueError(text)


def test_a_defect_in_a_slot_is_shown_once_and_the_program_goes_on(reporter: DefectReporter, qtbot: QtBot) -> None:
    with qtbot.waitSignal(reporter.caught) as heard:
        QTimer.singleShot(0, fail)
    sentence, advice, details = heard.args
    assert "ValueError: broken" in sentence
    assert "not a mistake of yours" in advice
    assert "in fail" in details
    done = []
    with qtbot.assertNotEmitted(reporter.caught):
        QTimer.singleShot(0, fail)
        QTimer.singleShot(0, lambda: done.append(True))
        qtbot.waitUntil(lambda: bool(done))


def test_a_defect_in_a_thread_is_shown_in_the_thread_of_the_window(reporter: DefectReporter, qtbot: QtBot) -> None:
    shown = []
    reporter.caught.connect(lambda *_: shown.append(threading.current_thread() is threading.main_thread()))
    thread = threading.Thread(target=fail, args=("in a thread",))
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: bool(shown))


def test_a_defect_while_reporting_makes_no_circle(
    reporter: DefectReporter, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = []
    reporter._before = (lambda *found: plain.append(found[0]), reporter._before[1])

    def broken(*_: object) -> bool:
        sys.excepthook(KeyError, KeyError("again"), None)
        return False

    monkeypatch.setattr(reporter, "_is_new", broken)
    sys.excepthook(ValueError, ValueError("first"), None)
    assert plain == [KeyError]


def test_stopping_from_the_keyboard_is_no_defect(reporter: DefectReporter, qtbot: QtBot) -> None:
    plain = []
    reporter._before = (lambda *found: plain.append(found[0]), reporter._before[1])
    with qtbot.assertNotEmitted(reporter.caught):
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert plain == [KeyboardInterrupt]
