"""What every page of the window may use: the open document, the computing process, the canvas, a way to tell things."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.core.volume import Volume
from plantseg_app.gui.document import Document
from plantseg_app.gui.preferences import PreferenceStore
from plantseg_app.gui.qt_runner import Beside, QtRunner
from plantseg_app.gui.viewer import Viewer
from plantseg_app.run.desk import Task
from plantseg_app.run.store import VolumeRef

if TYPE_CHECKING:
    # Its dialogs use what pages share, and pages use this module.
    from plantseg_app.gui.loader import Loader


@dataclasses.dataclass(frozen=True)
class Workbench:
    """The parts of the window that pages share.

    Attributes
    ----------
    document
        Images, workflow and results.
    runner
        Runs whatever takes time, beside the window.
    viewer
        The canvas.
    preferences
        What the person has chosen once for all.
    tell
        Shows one sentence in the status line.
    warn
        Shows one sentence that a person must see, in a dialog.
    loader
        Opens files; asks what they leave open.
    open_paths
        Opens image files and folders.
    run
        Runs the workflow as far as the nodes that are named.
    start
        Begins a task in the computing process; what it returns is handed to the given function.
    beside
        Does small things in a thread.
    folder
        Of the session.
    keep
        Writes a volume into the session, so that tasks and the next start find it.
    go_to
        Opens the page of the wizard with this title.
    show_model
        Opens the area of models with this model chosen, to be downloaded perhaps.
    pick_objects
        Opens the page where objects of an embedding are clicked to make cells of them.
    """

    document: Document
    runner: QtRunner
    viewer: Viewer
    preferences: PreferenceStore
    tell: Callable[[str], None]
    warn: Callable[[str], None]
    loader: Loader
    open_paths: Callable[[Sequence[Path]], None]
    run: Callable[[tuple[str, ...]], None]
    start: Callable[[Task, Callable[[Any], None] | None], bool]
    beside: Beside
    folder: Path
    keep: Callable[[Volume], VolumeRef]
    go_to: Callable[[str], None]
    show_model: Callable[[str], None]
    pick_objects: Callable[[], None]

    def refs_of(self, volumes: Sequence[Volume | None]) -> list[VolumeRef | None]:
        """Return where the session keeps volumes, after writing what it does not keep yet; slow."""
        return [None if volume is None else self.document.ref_of(volume) or self.keep(volume) for volume in volumes]
