"""Windows for tests; those that draw need a screen and are skipped without one."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from plantseg_app.gui.style import Style

os.environ.setdefault("NAPARI_CONFIG", "")
HAS_SCREEN = sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
if not HAS_SCREEN:
    os.environ["QT_QPA_PLATFORM"] = "offscreen"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if HAS_SCREEN:
        return
    for item in items:
        if item.get_closest_marker("gui"):
            item.add_marker(pytest.mark.skip(reason="there is no screen with OpenGL; start under xvfb-run"))


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep sessions and models of the tests out of the person's."""
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def accessibility() -> ModuleType:
    """Return the module `accessibility.py`: ``accessibility.unnamed_widgets(window)`` and others."""
    # Test folders are no packages, so the file is loaded by its place.
    spec = importlib.util.spec_from_file_location("accessibility", Path(__file__).with_name("accessibility.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def large_font(qapp: QApplication) -> Iterator[Style]:
    """Show everything in the dark theme with 14 pt, the largest that no page may cut off; all back afterwards."""
    from plantseg_app.gui.style import Style

    before = qapp.font(), qapp.palette(), qapp.styleSheet()
    style = Style(qapp)
    style.apply("dark", 14)
    yield style
    style.deleteLater()
    qapp.setFont(before[0])
    qapp.setPalette(before[1])
    qapp.setStyleSheet(before[2])
