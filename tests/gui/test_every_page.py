"""Every page and area of the window: named controls, a way by keyboard, and nothing cut off with large letters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.paths import samples_dir
from tests.gui.windows import open_files, opened_window

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Any]:
    from plantseg_app.gui.preferences import PreferenceStore

    preferences = PreferenceStore()
    preferences.change(appearance={"theme": "dark", "font_size_pt": 14})
    yield from opened_window(qtbot, preferences=preferences)


def test_every_page_is_for_everybody(window: Any, qtbot: QtBot, accessibility: ModuleType) -> None:
    def cut_off() -> list[str]:
        """What is still cut off once the layouts have come to rest."""
        found: list[str] = []

        def fits() -> bool:
            found[:] = accessibility.cut_off_widgets(window)
            return not found

        with contextlib.suppress(qtbot.TimeoutError):
            qtbot.waitUntil(fits, timeout=5000)
        return found

    found = [f"empty: {text}" for text in cut_off()]
    open_files(window, qtbot, samples_dir() / "sample_ovule.h5")
    shown = [(page.title, lambda title=page.title: window.go_to(title)) for page in window.pages]
    shown += [(area.title, lambda at=at: window.open_area(at)) for at, area in enumerate(window.areas, 1)]
    for title, show in shown:
        show()
        qtbot.waitUntil(lambda: not window.runner.is_busy)
        found += [f"{title}: {text}" for text in cut_off()]
    found += accessibility.unnamed_widgets(window)
    found += accessibility.unreachable_widgets(window)
    assert "\n".join(found) == ""
