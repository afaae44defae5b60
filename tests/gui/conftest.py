"""Windows for tests; those that draw need a screen and are skipped without one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pytestqt.qtbot import QtBot

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from plantseg_app.gui.style import Style

os.environ.setdefault("NAPARI_CONFIG", "")
HAS_SCREEN = sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
_MOST_REQUESTS = 400
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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="session")
def one_runner(qapp: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The real runner with its process, which is started once for all tests of pages."""
    from plantseg_app.gui.qt_runner import QtRunner

    runner = QtRunner(tmp_path_factory.mktemp("session"), warm=False)
    yield runner
    runner.close()


@pytest.fixture
def loading(qtbot: QtBot, one_runner: Any, own_home: None) -> Iterator[SimpleNamespace]:
    """A loader with an empty document, and everything that it said."""
    from PySide6.QtWidgets import QWidget

    from plantseg_app.gui.document import Document
    from plantseg_app.gui.known_files import KnownFiles
    from plantseg_app.gui.loader import Loader
    from plantseg_app.gui.preferences import PreferenceStore
    from plantseg_app.gui.qt_runner import Beside

    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    told: list[str] = []
    warned: list[str] = []
    document, beside, known = Document(window), Beside(window), KnownFiles(PreferenceStore())
    loader = Loader(document, one_runner, beside, known, window, told.append, warned.append)
    yield SimpleNamespace(
        loader=loader, document=document, known=known, window=window, told=told, warned=warned, runner=one_runner
    )
    qtbot.waitUntil(lambda: not one_runner.is_busy, timeout=30_000)
    beside.stop()


@pytest.fixture
def open_all(qtbot: QtBot, loading: SimpleNamespace) -> Callable[..., None]:
    """Open files and wait until all have been opened or refused."""

    def opened(*paths: Path) -> None:
        loading.loader.open(paths)
        qtbot.waitUntil(lambda: not loading.loader.is_busy, timeout=60_000)

    return opened


@pytest.fixture
def question(qtbot: QtBot, loading: SimpleNamespace) -> Callable[..., Any]:
    """Wait for a dialog of a class and return it."""

    def asked(sort: type[Any]) -> Any:
        def shown() -> list[Any]:
            return [dialog for dialog in loading.window.findChildren(sort) if dialog.isVisible()]

        qtbot.waitUntil(lambda: bool(shown()), timeout=30_000)
        return shown()[0]

    return asked


@pytest.fixture(scope="module")
def bare_window(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One window for all tests of a module, because windows start slowly; take `emptied_window` for each test."""
    from plantseg_app.gui.main_window import MainWindow

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTSEG_APP_HOME", str(tmp_path_factory.mktemp("home")))
        window = MainWindow(warm=False)
        window.show()
        yield window
        _empty(window)
        window.close()
        window.deleteLater()
        qapp.processEvents()
        qapp.setStyleSheet("")


@pytest.fixture
def emptied_window(bare_window: Any) -> Any:
    """The one window, in which nothing is open."""
    _empty(bare_window)
    return bare_window


@pytest.fixture(scope="session")
def make_active() -> Callable[[Any], None]:
    """Return what gives a window the keyboard: ``make_active(window)``.

    Without a window manager a request for the focus gets lost now and then, for example while another window is
    being unmapped, so it is said until it is heard.
    """
    from PySide6.QtTest import QTest

    def activate(window: Any) -> None:
        for _ in range(_MOST_REQUESTS):
            window.raise_()
            window.activateWindow()
            QTest.qWait(50)
            if window.isActiveWindow():
                return
        raise AssertionError("the window did not become active")

    return activate


@pytest.fixture(scope="session")
def empty() -> Callable[[Any], None]:
    """Return what closes everything that is open in a window, and forgets all corrections: ``empty(window)``."""
    return _empty


def _empty(window: Any) -> None:
    window.go_to("Load")
    window.proofreading.corrections.end()
    shutil.rmtree(window.keeper.session.folder / "corrections", ignore_errors=True)
    window.document.note_saved(list(window.document.results))
    window.document.clear()
    window.viewer.clear()
    window.viewer.model.dims.ndisplay = 2
    window.viewer.model.dims.order = (0, 1, 2)


@pytest.fixture
def tiny_model() -> Callable[..., Path]:
    """Make a model with random weights in a folder."""

    def made(folder: Path, model_id: str = "tiny", dimensions: str = "3D", **changes: object) -> Path:
        import hashlib

        import torch

        from plantseg_app.networks.boundary.family import BoundaryFamily
        from plantseg_app.networks.weights import save_weights
        from plantseg_app.zoo.card import ModelCard

        family = BoundaryFamily(dimensions=dimensions, feature_maps=(2, 4))
        folder.mkdir(parents=True)
        torch.manual_seed(0)
        save_weights(family.build(), folder / "weights.safetensors")
        stored = (folder / "weights.safetensors").read_bytes()
        plain: dict[str, Any] = {
            "id": model_id,
            "title": "Tiny",
            "description": "For tests <of markup>.",
            "family": family.to_plain(),
            "dimensionality": dimensions,
            "modality": "spinning disk",
            "inputs": [{"name": "membrane"}],
            "outputs": [{"name": "boundary", "kind": "boundary"}],
            "normalisation": {"method": "percentile"},
            "weights": {
                "file": "weights.safetensors",
                "sha256": hashlib.sha256(stored).hexdigest(),
                "size_bytes": len(stored),
            },
            "licence": "MIT",
            "authors": ["Nobody"],
        }
        (folder / "card.yaml").write_text(ModelCard(**{**plain, **changes}).to_yaml(), encoding="utf-8")
        return folder

    return made
