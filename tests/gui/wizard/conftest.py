"""One window with the sample stack for all tests of a module, made as new before each, because windows start slowly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Let the window live until `holds` is true."""
    import time

    from PySide6.QtTest import QTest

    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it took too long"
        QTest.qWait(20)


@pytest.fixture(scope="module")
def one_window(qapp: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A window of 1280 x 800 in which the sample is open; it must not be closed or given other images."""
    from plantseg_app.gui.main_window import MainWindow
    from plantseg_app.paths import samples_dir

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTSEG_APP_HOME", str(tmp_path_factory.mktemp("home")))
        window = MainWindow()
        window.resize(1280, 800)
        window.show()
        window.open_paths([samples_dir() / "sample_ovule.h5"])
        wait_until(lambda: bool(window.document.images) and not window.runner.is_busy)
        yield window
        wait_until(lambda: not window.runner.is_busy)
        window.close()
        window.deleteLater()
        qapp.processEvents()
        # The next window puts its style on the whole application; what is left of this one must not be dressed again.
        qapp.setStyleSheet("")


@pytest.fixture
def sample_window(one_window: Any) -> Any:
    """The window with the default workflow, without results, whole in view, on the page Load."""
    from plantseg_app.run.workflows import DEFAULT_WORKFLOW, find_workflow

    window = one_window
    wait_until(lambda: not window.runner.is_busy)
    window.go_to("Load")
    for name in list(window.document.results):
        window.document.remove_result(name)
        window.viewer.remove(name)
    window.document.cell_diameter_vox = None
    window.document.device = "auto"
    window.document.set_workflow(find_workflow(DEFAULT_WORKFLOW))
    window.viewer.fit()
    return window


@pytest.fixture
def tiny_2d_model(tiny_model: Callable[..., Path]) -> Callable[[Path], Path]:
    """Make a 2D model with random weights in a folder."""
    return lambda folder: tiny_model(folder, dimensions="2D")
