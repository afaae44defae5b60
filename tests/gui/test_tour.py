"""The tour, in the real window: six steps with the sample, left at any moment, always to be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QRect, QSize, Qt
from pytestqt.qtbot import QtBot

from plantseg_app.gui.app import begin
from plantseg_app.gui.tour import STEPS, place_beside, seen_part
from plantseg_app.paths import samples_dir
from tests.gui.windows import LONG_MS, close, opened_window

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Any]:
    yield from opened_window(qtbot)


def settle(window: Any, qtbot: QtBot) -> None:
    """Wait until the image of the tour is there and the bubble has found its place."""
    qtbot.waitUntil(lambda: not window.runner.is_busy and not window.loader.is_busy, timeout=LONG_MS)
    qtbot.wait(1)


def test_each_step_says_at_most_two_sentences() -> None:
    assert len(STEPS) == 6
    for step in STEPS:
        assert 1 <= len(re.findall(r"[.!?](?:\s|$)", step.text)) <= 2, step.text
        assert len(step.title) <= 30


def test_six_steps_by_keyboard_on_the_sample(window: Any, qtbot: QtBot, accessibility: ModuleType) -> None:
    tour = window.commands.tour
    window.commands.actions["tour"].trigger()
    assert window.preferences.value.tour_seen
    pages = []
    for number, step in enumerate(STEPS, 1):
        assert tour.bubble.progress.text() == f"{number} of 6"
        assert (tour.bubble.title.text(), tour.bubble.text.text()) == (step.title, step.text)
        assert step.title in tour.bubble.accessibleName()
        if step.opens_sample:
            qtbot.waitUntil(lambda: bool(window.document.images), timeout=LONG_MS)
        settle(window, qtbot)
        target = step.target(window)
        seen = seen_part(target, window)
        assert not seen.isEmpty()
        assert tour.outline.isVisible()
        assert tour.outline.geometry().contains(seen)
        assert window.rect().contains(tour.bubble.geometry())
        pages.append(window.page.title)
        assert window.focusWidget() is tour.bubble.next_button
        qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Return)
    assert pages == ["Load", "Load", "Load", "Predict", "Segment", "Measure & export"]
    assert list(window.document.images) == ["sample_ovule"]
    assert not window.document.results  # nothing long was started
    assert not tour.is_shown
    assert not tour.bubble.isVisible()
    assert not tour.outline.isVisible()
    assert accessibility.unnamed_widgets(tour.bubble) == []
    assert accessibility.unreachable_widgets(tour.bubble) == []


def test_a_person_faster_than_the_sample_comes_to_the_right_page(window: Any, qtbot: QtBot) -> None:
    tour = window.commands.tour
    tour.start()
    for _ in range(3):
        tour.go(1)
    assert not window.document.images
    qtbot.waitUntil(lambda: window.page.title == "Predict", timeout=LONG_MS)
    settle(window, qtbot)
    assert window.page.title == "Predict"
    assert tour.outline.isVisible()


def test_escape_skip_and_back(window: Any, qtbot: QtBot) -> None:
    tour = window.commands.tour
    tour.start()
    tour.go(2)
    assert not tour.outline.isHidden()
    qtbot.mouseClick(tour.bubble.back_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(tour.bubble.back_button, Qt.MouseButton.LeftButton)
    assert tour.step == 0
    assert not tour.bubble.back_button.isEnabled()
    # Going back opens nothing twice; the sample was asked for once.
    settle(window, qtbot)
    assert list(window.document.images) == ["sample_ovule"]
    qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Escape)
    assert not tour.is_shown
    tour.start()
    qtbot.mouseClick(tour.bubble.skip_button, Qt.MouseButton.LeftButton)
    assert not tour.is_shown
    tour.start()
    window.stepper.setFocus()
    window.commands.actions["cancel"].trigger()  # Escape anywhere in the window, where nothing runs
    assert not tour.is_shown


def test_it_is_no_obstacle_when_the_person_does_something_else(window: Any, qtbot: QtBot) -> None:
    tour = window.commands.tour
    tour.start()
    window.open_paths([samples_dir() / "sample_ovule.h5"])
    settle(window, qtbot)
    tour.go(4)
    settle(window, qtbot)
    assert window.page.title == "Segment"
    window.open_area_of("batch")
    qtbot.waitUntil(lambda: not tour.outline.isVisible())
    assert tour.bubble.isVisible()
    assert window.rect().contains(tour.bubble.geometry())
    window.go_to("Segment")
    qtbot.waitUntil(lambda: tour.outline.isVisible())
    # The forms are made anew, and the outline finds the new one.
    page = window.page
    page.method_box.setCurrentIndex((page.method_box.currentIndex() + 1) % page.method_box.count())
    page._choose_method()
    settle(window, qtbot)
    assert tour.outline.geometry().contains(seen_part(page.forms[0][1], window))


def test_nothing_is_cut_off_in_a_small_window_with_large_letters(
    window: Any, qtbot: QtBot, accessibility: ModuleType
) -> None:
    window.preferences.change(appearance={"theme": "dark", "font_size_pt": 14})
    tour = window.commands.tour
    tour.start()
    for number, step in enumerate(STEPS, 1):
        if step.opens_sample:
            qtbot.waitUntil(lambda: bool(window.document.images), timeout=LONG_MS)
        settle(window, qtbot)
        cut = [text for text in accessibility.cut_off_widgets(window) if "Bubble" in text]
        assert cut == [], f"step {number}"
        assert window.rect().contains(tour.bubble.geometry())
        window.resize(1500, 900)
        window.preferences.change(appearance={"theme": "light" if number % 2 else "dark", "font_size_pt": 14})
        settle(window, qtbot)
        assert tour.outline.geometry().contains(seen_part(step.target(window), window)), number
        assert window.rect().contains(tour.bubble.geometry())
        tour.go(1)


def test_somebody_new_gets_it_after_the_first_paint(qtbot: QtBot) -> None:
    from plantseg_app.gui.main_window import MainWindow

    window = MainWindow(warm=False)
    window.show()
    begin(window, [], is_restored=False)
    assert not window.commands.tour.is_shown  # the window comes first
    qtbot.waitUntil(lambda: window.commands.tour.is_shown)
    assert window.preferences.value.tour_seen
    close(window, qtbot)


@pytest.mark.parametrize(("files", "is_restored", "seen"), [(1, False, False), (0, True, False), (0, False, True)])
def test_not_with_files_not_after_a_crash_and_once_only(files: int, is_restored: bool, seen: bool) -> None:
    window = MagicMock()
    window.preferences.value.tour_seen = seen
    begin(window, [samples_dir() / "sample_ovule.h5"] * files, is_restored)
    window.commands.tour.start_after_first_paint.assert_not_called()
    window.restore.assert_called_once()
    assert window.open_paths.called == bool(files)


@given(
    st.integers(0, 1200), st.integers(0, 700), st.integers(1, 1280), st.integers(1, 800), st.integers(50, 600),
    st.integers(50, 400),
)  # fmt: skip
def test_the_bubble_is_whole_and_covers_its_widget_only_where_it_must(
    x: int, y: int, width: int, height: int, bubble_width: int, bubble_height: int
) -> None:
    room = QRect(10, 10, 1260, 780)
    target = QRect(x, y, width, height) & QRect(0, 0, 1280, 800)
    place = place_beside(target, QSize(bubble_width, bubble_height), room)
    assert place.size() == QSize(bubble_width, bubble_height)
    assert room.contains(place)
    left, right = target.left() - room.left(), room.right() - target.right()
    above, below = target.top() - room.top(), room.bottom() - target.bottom()
    fits = max(left, right) >= bubble_width + 10 or max(above, below) >= bubble_height + 10
    if fits:
        assert not place.intersects(target)
