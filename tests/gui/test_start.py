"""Starting the window: it appears before the canvas is made, and files may be named or dropped on the canvas."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.paths import samples_dir
from tests.gui.windows import LONG_MS, drop, opened_window

pytestmark = pytest.mark.gui


@pytest.fixture
def window(qtbot: QtBot) -> Iterator[Any]:
    yield from opened_window(qtbot)


def test_importing_the_window_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys, plantseg_app.gui.app, plantseg_app.gui.main_window; "
        "print([name for name in ('torch', 'napari', 'vispy', 'numba', 'scipy', 'skimage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_the_canvas_comes_by_itself_after_the_first_paint(qtbot: QtBot) -> None:
    from plantseg_app.gui.qt_runner import Beside
    from plantseg_app.gui.viewer import Viewer

    viewer = Viewer("dark", Beside())
    started: list[bool] = []
    viewer.when_started(lambda: started.append(True))
    viewer.set_theme("light")
    viewer.set_palette(["#ff0000"])
    assert (viewer.layer_names(), viewer.is_3d, viewer.array("anything")) == ([], False, None)
    assert not started
    qtbot.addWidget(viewer.widget)
    viewer.widget.resize(300, 200)
    viewer.widget.show()
    qtbot.waitUntil(lambda: bool(started), timeout=LONG_MS)
    assert viewer.model.theme == "light"
    viewer.close()


def test_a_window_that_is_closed_at_once_makes_no_canvas(qtbot: QtBot) -> None:
    from plantseg_app.gui.qt_runner import Beside
    from plantseg_app.gui.viewer import Viewer

    viewer = Viewer("dark", Beside())
    viewer.close()
    viewer.start()
    assert viewer.layer_names() == []
    with pytest.raises(RuntimeError, match="closed"):
        _ = viewer.model


def test_a_file_dropped_on_the_canvas_opens(window: Any, qtbot: QtBot) -> None:
    window.viewer.start()
    assert drop(window.viewer.widget, samples_dir() / "sample_ovule.h5")
    qtbot.waitUntil(lambda: window.viewer.layer_names() == ["sample_ovule"], timeout=LONG_MS)
    assert list(window.document.images) == ["sample_ovule"]
    assert window.preferences.value.recent_files == (str(samples_dir() / "sample_ovule.h5"),)


def test_files_of_the_command_line_open(
    monkeypatch: pytest.MonkeyPatch, qtbot: QtBot, qapp: Any, tmp_path: Path
) -> None:
    from PySide6.QtWidgets import QApplication

    from plantseg_app.gui import app
    from plantseg_app.gui.main_window import MainWindow

    seen: list[list[str]] = []

    def run_until_open(*_: object) -> int:
        window = next(top for top in QApplication.topLevelWidgets() if isinstance(top, MainWindow) and top.isVisible())
        qtbot.waitUntil(lambda: len(window.document.images) == 2, timeout=LONG_MS)
        qtbot.waitUntil(lambda: not window.runner.is_busy, timeout=LONG_MS)
        seen.append(list(window.document.images))
        window.close()
        window.deleteLater()
        return 0

    monkeypatch.setattr(QApplication, "exec", run_until_open)
    same_name = Path(shutil.copy(samples_dir() / "sample_ovule.h5", tmp_path))
    assert app.launch([samples_dir() / "sample_ovule.h5", same_name]) == 0
    assert seen == [["sample_ovule", "sample_ovule 2"]]
    # The event loop of this test deletes it.
    qtbot.waitUntil(lambda: not any(isinstance(top, MainWindow) for top in QApplication.topLevelWidgets()))
