"""A window, a machine without models of its own, tiny models and tiny stacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot


@pytest.fixture(autouse=True)
def home(own_home: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program keeps lies in a fresh folder; child processes inherit it."""
    folder = tmp_path / "home"
    monkeypatch.setenv("PLANTSEG_APP_HOME", str(folder))
    # Tiny networks gain nothing from threads that wait for each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    return folder


@pytest.fixture
def bench(qtbot: QtBot, one_runner: Any) -> Iterator[Any]:
    """What an area needs of the window: the real runner, no canvas; what is told and warned is kept in lists."""
    from types import SimpleNamespace

    from plantseg_app.gui.document import Document

    told: list[str] = []
    warned: list[str] = []
    opened: list[str] = []
    hidden: list[str] = []
    document = Document()
    layers = SimpleNamespace(
        layer_names=lambda: list(document.images), set_visible=lambda name, visible: hidden.append(name)
    )
    yield SimpleNamespace(
        document=document,
        runner=one_runner,
        viewer=layers,
        tell=told.append,
        warn=warned.append,
        go_to=opened.append,
        told=told,
        warned=warned,
        opened=opened,
        hidden=hidden,
    )
    qtbot.waitUntil(lambda: not one_runner.is_busy, timeout=60_000)


@pytest.fixture
def window(qtbot: QtBot, home: Path) -> Iterator[Any]:
    from plantseg_app.gui.main_window import MainWindow

    window = MainWindow()
    window.show()
    qtbot.waitExposed(window)
    yield window
    window.close()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=30_000)
    window.deleteLater()
    qtbot.wait(50)


@pytest.fixture
def open_area(window: Any) -> Callable[[str], Any]:
    """Open an area by its word and return it."""

    def opened(title: str) -> Any:
        index = [area.title for area in window.areas].index(title)
        window.open_area(index + 1)
        return window.areas[index]

    return opened
