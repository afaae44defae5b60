"""Starting the window: which Qt is refused, and what happens without a screen."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

from plantseg_app.errors import ResourceError
from plantseg_app.gui import app


def test_the_qt_that_crashes_is_refused_below_python_312(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "6.12.0")
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    with pytest.raises(ResourceError, match=r"PySide6-Essentials<6\.12"):
        app.check_qt()
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    app.check_qt()


def test_the_installed_qt_does_not_lose_references_to_none(qapp: object) -> None:
    before = sys.getrefcount(None)
    for _ in range(200):
        qapp.processEvents()  # type: ignore[attr-defined]
    assert sys.getrefcount(None) > before - 50


def test_without_a_screen_the_command_line_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ResourceError, match="command line"):
        app.launch([])
