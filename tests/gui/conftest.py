"""Windows for tests; those that draw need a screen and are skipped without one."""

from __future__ import annotations

import os
import sys

import pytest

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
