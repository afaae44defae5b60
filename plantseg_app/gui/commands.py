"""What the menus, the tool bar and the keys do; the table of `plantseg_app.gui.actions` says which there are.

Every function here is one line of the menu: it opens a dialog or passes the wish on to the page or area that knows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QDialog, QFileDialog, QToolBar

from plantseg_app.gui.about import AboutDialog
from plantseg_app.gui.actions import ACTIONS, PROOFREAD, ActionSet, build_actions
from plantseg_app.gui.log_console import LogDock
from plantseg_app.gui.preferences import Preferences, PreferenceStore
from plantseg_app.gui.preferences_dialog import PreferencesDialog
from plantseg_app.gui.shortcuts_window import Shortcut, ShortcutsWindow, shortcuts_of
from plantseg_app.gui.tour import Tour
from plantseg_app.io.atomic import replacing
from plantseg_app.paths import samples_dir

if TYPE_CHECKING:
    from plantseg_app.gui.main_window import MainWindow

_IMAGES = "Images (*.tif *.tiff *.h5 *.hdf5 *.png *.jpg *.jpeg);;All files (*)"
_WORKFLOWS = "Workflows (*.yaml *.yml);;Results with their workflow (*.tif *.tiff *.h5);;All files (*)"


class Commands(QObject):
    """Fills the menus of a window and does what they say.

    Attributes
    ----------
    actions
        The Qt actions by key.
    log
        The dock with what the program has noted.
    tour
        The way through the window for somebody new.
    """

    def __init__(self, window: MainWindow, preferences: PreferenceStore) -> None:
        super().__init__(window)
        self._window = window
        self._preferences = preferences
        self._dialogs: dict[str, QDialog] = {}
        self.log = LogDock(window)
        self.log.hide()
        self.tour = Tour(window)
        self.actions: ActionSet = build_actions(window, self._callbacks())
        self.actions.set_keys(preferences.value.shortcuts)
        preferences.changed.connect(self._take_keys)

    def _callbacks(self) -> dict[str, Callable[[], object]]:
        window = self._window
        return {
            "open": self.open,
            "open_sample": self.open_sample,
            "open_workflow": self.open_workflow,
            "save_workflow": self.save_workflow,
            "export": lambda: window.go_to(window.pages[-1].title),
            "screenshot": self.screenshot,
            "quit": window.close,
            "undo": lambda: window.page.undo(),
            "redo": lambda: window.page.redo(),
            "preferences": self.preferences,
            "fit_view": window.viewer.fit,
            "toggle_3d": window.viewer.toggle_3d,
            "log": lambda: self.log.setVisible(not self.log.isVisible()),
            "previous_page": lambda: window.turn_page(-1),
            "next_page": lambda: window.turn_page(1),
            "preview": lambda: window.page.preview(),
            "run": lambda: window.page.run(),
            "pick_objects": window.pick_objects,
            "likeness": lambda: window.page.toggle_likeness(),
            "cancel": self.cancel,
            **{
                action.key: functools.partial(window.proofreading.act, action.key)
                for action in ACTIONS
                if action.menu == PROOFREAD
            },
            **{key: functools.partial(window.open_area_of, key) for key in window.area_keys},
            "shortcuts": self.shortcuts,
            "tour": self.tour.start,
            "about": self.about,
        }

    def cancel(self) -> None:
        """Stop what runs; or end the tour, which is less, where nothing does."""
        if self.tour.is_shown and not (self._window.runner.is_busy or self._window.loader.is_busy):
            self.tour.end()
        elif not self._window.page.drop():
            # What is drawn goes first: cells may be looked at for minutes meanwhile.
            self._window.cancel()

    def show_correcting(self, is_correcting: bool) -> None:
        """Let the keys of proofreading be heard, and show their buttons, while cells are corrected."""
        page = self._window.proofreading
        keys = [action.key for action in ACTIONS if action.menu == PROOFREAD]
        self.actions.enable(**{key: is_correcting and page.can_act(key) for key in keys})
        if is_correcting:
            self.actions[page.key_in_hand].setChecked(True)
        bar = self._window.findChild(QToolBar, "corrections")
        if bar is not None:
            bar.setVisible(is_correcting)

    # ------------------------------------------------------------------------------------------------ file

    def open(self) -> None:
        """Choose images to open."""
        recent = self._preferences.value.existing_recent()
        folder = str(recent[0].parent) if recent else ""
        paths, _ = QFileDialog.getOpenFileNames(self._window, "Open images", folder, _IMAGES)
        if paths:
            self._window.open_paths([Path(path) for path in paths])

    def open_sample(self) -> None:
        """Open the stack that comes with the program."""
        self._window.open_paths([samples_dir() / "sample_ovule.h5"])

    def open_workflow(self) -> None:
        """Choose a workflow, or a result whose workflow is wanted."""
        path, _ = QFileDialog.getOpenFileName(self._window, "Open workflow", "", _WORKFLOWS)
        if path:
            self._window.loader.open_workflow(Path(path))

    def save_workflow(self) -> None:
        """Choose where to save the workflow as it is now."""
        name = f"{self._window.document.workflow.name}.yaml"
        path, _ = QFileDialog.getSaveFileName(self._window, "Save workflow", name, _WORKFLOWS)
        if path:
            self.write_workflow(Path(path))

    def write_workflow(self, path: Path) -> None:
        """Save the workflow as it is now."""
        try:
            with replacing(path) as partial:
                partial.write_text(self._window.document.workflow.to_yaml(), encoding="utf-8")
        except OSError as error:
            self._window.warn(f"The workflow could not be saved as {path}: {error}. Choose another folder.")
        else:
            self._window.tell(f"Saved {path.name}; run it on other images with plantseg-app run, or on the Batch page.")

    def screenshot(self) -> None:
        """Choose where to save what the canvas shows."""
        path, _ = QFileDialog.getSaveFileName(self._window, "Save picture", "view.png", "Pictures (*.png)")
        if path:
            self.write_picture(Path(path))

    def write_picture(self, path: Path) -> None:
        """Save what the canvas shows."""
        picture = self._window.viewer.picture()
        height, width = picture.shape[:2]
        image = QImage(picture.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
        if not image.save(str(path.with_suffix(".png"))):
            self._window.warn(f"The picture could not be saved as {path}; choose another folder.")

    # ------------------------------------------------------------------------------------------------ dialogs

    def preferences(self) -> None:
        """Show the preferences."""
        self._show("preferences", lambda: PreferencesDialog(self._preferences, self._window))

    def shortcuts(self) -> None:
        """Show all keys, those of the canvas too."""
        canvas = [Shortcut("Canvas", keys, text) for keys, text in self._window.viewer.shortcuts().items()]
        chosen = self._preferences.value.shortcuts
        self._show(
            "shortcuts",
            lambda: ShortcutsWindow([*shortcuts_of(ACTIONS, chosen), *canvas], self._window, self._change_key),
        )

    def _change_key(self, key: str, keys: str) -> None:
        """Keep the keys that a person has chosen for an action."""
        usual = next(action.shortcut for action in ACTIONS if action.key == key)
        others = {name: chosen for name, chosen in self._preferences.value.shortcuts.items() if name != key}
        self._preferences.change(shortcuts=others if keys == usual else {**others, key: keys})

    def _take_keys(self, wanted: Preferences, before: Preferences) -> None:
        if wanted.shortcuts != before.shortcuts:
            self.actions.set_keys(wanted.shortcuts)

    def about(self) -> None:
        """Show versions and machine."""
        self._show("about", lambda: AboutDialog(self._window))

    def _show(self, name: str, make: Callable[[], QDialog]) -> None:
        """Show a dialog beside the work, the same one when it is asked for again."""
        if name not in self._dialogs:
            self._dialogs[name] = make()
        dialog = self._dialogs[name]
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()
