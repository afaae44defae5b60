"""Starts the window: checks Qt, makes the application object, opens the files that were named.

>>> callable(launch)
True
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# Before PySide6: its import hook looks into modules while they are imported, which breaks pydantic's lazy parts.
import plantseg_app.core.workflow  # noqa: F401
from plantseg_app.errors import PlantSegError, ResourceError

if TYPE_CHECKING:
    from plantseg_app.gui.main_window import MainWindow
    from plantseg_app.run.session import Session

_LOG = logging.getLogger(__name__)


def check_qt() -> None:
    """Refuse a PySide6 that would crash the window within seconds.

    PySide6 6.12 loses a reference to ``None`` in every call that returns nothing; below Python 3.12, where ``None``
    can die, the process aborts.

    Raises
    ------
    ResourceError
        Saying which version to install instead.
    """
    from importlib.metadata import version

    found = tuple(int(part) for part in version("PySide6-Essentials").split(".")[:2])
    if sys.version_info < (3, 12) and found >= (6, 12):
        raise ResourceError(
            f"PySide6 {found[0]}.{found[1]} crashes with Python {sys.version_info[0]}.{sys.version_info[1]}; "
            'install an older one: pip install "PySide6-Essentials<6.12".'
        )


def has_screen() -> bool:
    """Whether there is a display to open a window on."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def launch(files: Sequence[Path] = ()) -> int:
    """Open the window, show `files` in it, and return the exit status when it is closed.

    Raises
    ------
    ResourceError
        If there is no screen, or Qt is a version that crashes.
    """
    if not has_screen():
        raise ResourceError(
            "There is no screen to open the window on; connect with one, or use the command line: "
            "plantseg-app segment --help."
        )
    check_qt()
    # napari keeps its own preferences in the user's home; ours must not mix with them.
    os.environ.setdefault("NAPARI_CONFIG", "")
    from PySide6.QtWidgets import QApplication

    from plantseg_app.gui.error_dialog import install_excepthook
    from plantseg_app.gui.log_console import start_file_log
    from plantseg_app.gui.main_window import MainWindow

    application = QApplication.instance() or QApplication(sys.argv[:1])
    application.setApplicationName("PlantSeg App")
    start_file_log()
    session = _restored_session()
    window = MainWindow(session=session)
    reporter = install_excepthook(window)
    window.show()
    begin(window, [Path(file) for file in files], is_restored=session is not None)
    status = int(application.exec())
    reporter.uninstall()
    return status


def begin(window: MainWindow, files: Sequence[Path], is_restored: bool) -> None:
    """Fill a window that has just come up: with what was restored, with `files`, or with the tour for somebody new."""
    window.restore()
    if files:
        window.open_paths(files)
    elif not is_restored and not window.preferences.value.tour_seen:
        window.commands.tour.start_after_first_paint()


def _restored_session() -> Session | None:
    """Return the session that crashed and that the person wants back; None for a new one."""
    from plantseg_app.gui.session_keeper import RestoreDialog
    from plantseg_app.run.session import Session, clean_up, find_crashed

    clean_up()
    # One in which nothing was opened is of no use to anybody.
    crashed = [session for session in find_crashed() if session.state is None or session.state.images]
    if not crashed:
        return None
    dialog = RestoreDialog(crashed)
    dialog.exec()
    if dialog.chosen is None:
        return None
    try:
        return Session.restore(dialog.chosen)
    except PlantSegError as error:
        _LOG.warning("The session could not be restored: %s", error)
        return None
