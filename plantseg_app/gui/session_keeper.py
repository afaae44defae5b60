"""Keeps the session on the disk in step with the document, and brings a crashed one back.

Every change is saved a moment later, in one small file; the volumes lie in the session's folder already.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import PlantSegError
from plantseg_app.gui import document as doc
from plantseg_app.gui.qt_runner import Beside
from plantseg_app.run import session as kept
from plantseg_app.run.jobs import count_cells
from plantseg_app.run.store import VolumeRef
from plantseg_app.run.workflows import what_is_missing

_SAVE_AFTER_MS = 300
_SESSION = int(Qt.ItemDataRole.UserRole)


class SessionKeeper(QObject):
    """Saves what is open after each change.

    Signals
    -------
    failed
        The session could not be saved, in a sentence; said once until it works again.

    Parameters
    ----------
    document
        What is open.
    session
        The folder that belongs to this window.
    beside
        Writes and counts without holding the window up.
    """

    failed = Signal(str)

    def __init__(
        self, document: doc.Document, session: kept.Session, beside: Beside, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.document = document
        self.session = session
        self.page = ""
        self.view: dict[str, object] = {}
        self._is_broken = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SAVE_AFTER_MS)
        self._timer.timeout.connect(self.save)
        self._beside = beside
        self._in_work: set[int] = set()
        for changed in (document.images_changed, document.workflow_changed, document.results_changed):
            changed.connect(self._timer.start)
        document.results_changed.connect(self._complete)

    def note(self, page: str, **view: object) -> None:
        """Remember which page is open and how the window looks."""
        self.page = page
        self.view |= view
        self._timer.start()

    def save(self) -> None:
        """Save now what has changed."""
        self._timer.stop()
        try:
            self.session.save(
                images=_images(self.document),
                results=_results(self.document),
                superpixels=self.document.superpixels,
                workflow=self.document.workflow.to_yaml(),
                page=self.page,
                view=self.view,
            )
        except PlantSegError as error:
            if not self._is_broken:
                self.failed.emit(str(error))
            self._is_broken = True
        else:
            self._is_broken = False

    def keep(self, volume: Volume) -> VolumeRef:
        """Write a volume that the window made, such as corrected cells, into the session.

        Raises
        ------
        ResourceError
            If the disk has no room.
        """
        ref = self.session.store.add(volume)
        self.session.store.pin(ref.key)
        return ref

    def leave(self) -> None:
        """End the program but not the session: the next start offers to restore it."""
        for result in list(self.document.results.values()):
            if result.ref is None:
                self.document.complete_result(result, ref=self.keep(result.volume))
        self.save()

    def _complete(self) -> None:
        """Write results that the window made, such as corrected cells, and count the cells of all."""
        for result in list(self.document.results.values()):
            is_counted = result.n_cells is not None or not result.volume.kind.is_labels
            if (result.ref is not None and is_counted) or id(result.volume) in self._in_work:
                continue
            self._in_work.add(id(result.volume))
            self._beside.ask(
                functools.partial(self._facts, result),
                functools.partial(self._take_facts, result),
                self.failed.emit,
            )

    def _facts(self, result: doc.Result) -> dict[str, object]:
        """Return reference and number of cells of a result; called in another thread."""
        facts: dict[str, object] = {"ref": result.ref or self.keep(result.volume)}
        if result.volume.kind.is_labels:
            facts["n_cells"] = count_cells(result.volume.data)
        return facts

    def _take_facts(self, result: doc.Result, facts: dict[str, object]) -> None:
        self._in_work.discard(id(result.volume))
        self.document.complete_result(result, **facts)

    def close(self) -> None:
        """End the session cleanly; nothing is offered for restoring at the next start."""
        self._timer.stop()
        self.session.close()

    def restore_into(self) -> list[str]:
        """Fill the document with what the session holds; return what could not be brought back, in sentences."""
        state, store = self.session.state, self.session.store
        problems = list(self.session.problems)
        for image in state.images:
            path = Path(image.path) if image.path else None
            self.document.add_image(
                doc.OpenImage(image.name, image.role, store.open(image.ref), path, image.read, image.ref)
            )
        if state.workflow:
            try:
                self.document.set_workflow(Workflow.from_yaml(state.workflow))
            except PlantSegError as error:
                problems.append(f"The workflow could not be restored: {error}")
            else:
                problems += filter(None, [what_is_missing(self.document.workflow)])
        for result in state.results:
            try:
                made_by = Workflow.from_yaml(result.workflow)
            except PlantSegError as error:
                problems.append(f"“{result.name}” could not be restored: {error}")
                continue
            self.document.set_result(
                doc.Result(result.name, store.open(result.ref), made_by, dict(result.inputs), result.ref)
            )
        self.document.superpixels = state.superpixels
        self.page, self.view = state.page, dict(state.view)
        return problems


def _images(document: doc.Document) -> tuple[kept.OpenImage, ...]:
    return tuple(
        kept.OpenImage(name=name, path=str(image.path or ""), read=image.read, role=image.role, ref=image.ref)
        for name, image in document.images.items()
        if isinstance(image.ref, VolumeRef)
    )


def _results(document: doc.Document) -> tuple[kept.Result, ...]:
    return tuple(
        kept.Result(
            name=name,
            kind=result.volume.kind,
            ref=result.ref,
            workflow=result.workflow.to_yaml(),
            inputs=dict(result.inputs),
        )
        for name, result in document.results.items()
        if isinstance(result.ref, VolumeRef)
    )


class RestoreDialog(QDialog):
    """Offers sessions that were kept, or that a crash ended: restore one, keep them for later, or throw them away.

    Attributes
    ----------
    chosen
        The folder of the session to restore, None for none.
    """

    def __init__(self, crashed: list[kept.CrashedSession], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Restore what was open?")
        self.chosen: Path | None = None
        self.resize(520, 320)
        column = QVBoxLayout(self)
        intro = QLabel("What was open before can be restored, with all results.")
        intro.setWordWrap(True)
        column.addWidget(intro)
        self.list = QListWidget()
        self.list.setAccessibleName("Sessions")
        self.list.setToolTip("What was open when the program ended, the newest first.")
        for session in crashed:
            item = QListWidgetItem(_told(session))
            item.setData(_SESSION, session)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self.list.itemDoubleClicked.connect(self._restore)
        column.addWidget(self.list, 1)
        buttons = QDialogButtonBox()
        self.restore_button = buttons.addButton("&Restore", QDialogButtonBox.ButtonRole.AcceptRole)
        self.later_button = buttons.addButton("&Not now", QDialogButtonBox.ButtonRole.RejectRole)
        self.discard_button = buttons.addButton("&Discard", QDialogButtonBox.ButtonRole.DestructiveRole)
        for made, tip in (
            (self.restore_button, "Open the images and results of the chosen session."),
            (self.later_button, "Begin with nothing; you are asked again at the next start."),
            (self.discard_button, "Throw the chosen session away for good."),
        ):
            made.setToolTip(tip)
            made.setAccessibleName(made.text().replace("&", ""))
        buttons.accepted.connect(self._restore)
        buttons.rejected.connect(self.reject)
        self.discard_button.clicked.connect(self._discard)
        column.addWidget(buttons)
        self._show_choice()
        self.list.currentRowChanged.connect(self._show_choice)

    def _session(self) -> kept.CrashedSession | None:
        item = self.list.currentItem()
        found = None if item is None else item.data(_SESSION)
        return found if isinstance(found, kept.CrashedSession) else None

    def _show_choice(self) -> None:
        session = self._session()
        self.restore_button.setEnabled(session is not None and session.state is not None)
        self.discard_button.setEnabled(session is not None)

    def _restore(self) -> None:
        session = self._session()
        if session is not None and session.state is not None:
            self.chosen = session.folder
            self.accept()

    def _discard(self) -> None:
        session = self._session()
        if session is not None:
            kept.discard(session.folder)
            self.list.takeItem(self.list.currentRow())
            if self.list.count() == 0:
                self.reject()


def _told(session: kept.CrashedSession) -> str:
    """Return one session in words: when, and what was open."""
    if session.state is None:
        return f"{session.folder.name}: {session.problem}"
    when = time.strftime("%A %d %B %Y, %H:%M", time.localtime(session.state.saved_at))
    images = ", ".join(image.name for image in session.state.images) or "no images"
    results = ", ".join(result.name for result in session.state.results) or "no results"
    return f"{when}\n{images}; {results}"
