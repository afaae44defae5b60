"""The main window: the steps of the work, the open page beside the canvas, and what runs.

It puts the parts together and passes news between them. Pages change the document, the runner computes in a process
of its own, the viewer draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QMainWindow,
    QMessageBox,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.errors import PlantSegError
from plantseg_app.gui.areas.area import Area
from plantseg_app.gui.areas.batch_area import BatchArea
from plantseg_app.gui.areas.models_area import ModelsArea
from plantseg_app.gui.areas.switch import AreaEntry, AreaSwitch
from plantseg_app.gui.areas.training_area import TrainingArea
from plantseg_app.gui.closing import Closing
from plantseg_app.gui.commands import Commands
from plantseg_app.gui.document import Document
from plantseg_app.gui.document_layers import DocumentLayers
from plantseg_app.gui.embedding_pictures import EmbeddingPictures
from plantseg_app.gui.error_dialog import ErrorDialog
from plantseg_app.gui.known_files import KnownFiles
from plantseg_app.gui.loader import Loader
from plantseg_app.gui.palette import LABEL_PALETTES
from plantseg_app.gui.preferences import Preferences, PreferenceStore
from plantseg_app.gui.qt_runner import BUSY, Beside, QtRunner
from plantseg_app.gui.run_bar import RunBar
from plantseg_app.gui.run_control import RunControl
from plantseg_app.gui.session_keeper import SessionKeeper
from plantseg_app.gui.stepper import Stepper
from plantseg_app.gui.style import Style
from plantseg_app.gui.viewer import Viewer
from plantseg_app.gui.widgets import button
from plantseg_app.gui.wizard.export_page import ExportPage
from plantseg_app.gui.wizard.load_page import LoadPage
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.wizard.predict_page import PredictPage
from plantseg_app.gui.wizard.prepare_page import PreparePage
from plantseg_app.gui.wizard.proofread_page import ProofreadPage
from plantseg_app.gui.wizard.segment_page import SegmentPage
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.failure import Failure
from plantseg_app.run.session import Session

PAGES: tuple[type[Page], ...] = (LoadPage, PreparePage, PredictPage, SegmentPage, ProofreadPage, ExportPage)
AREAS: tuple[type[Area], ...] = (BatchArea, TrainingArea, ModelsArea)
_WIZARD = AreaEntry("Segment", "From an image to cells, step by step.", "segment")


class MainWindow(QMainWindow):
    """From dropped files to saved cells.

    Parameters
    ----------
    preferences
        What the person has chosen once for all; read from their file unless given.
    session
        One that was brought back; a new one unless given. Call `restore` to show it.
    warm
        Whether the computing process gets ready while nobody waits.
    """

    def __init__(
        self, preferences: PreferenceStore | None = None, session: Session | None = None, warm: bool = True
    ) -> None:
        super().__init__()
        self.preferences = preferences or PreferenceStore()
        self.setWindowTitle("PlantSeg App")
        self.resize(1280, 800)
        self.setAcceptDrops(True)
        self._close_when_stopped = False
        self.document = Document(self)
        self.beside = Beside(self)
        self.keeper = SessionKeeper(self.document, session or Session.create(), self.beside, self)
        self.style_sheet = Style(_application())
        self.viewer: Viewer = Viewer(self.style_sheet.theme, Beside(self))
        self.viewer.when_started(self.style_sheet.refresh)
        self.layers = DocumentLayers(self.document, self.viewer, EmbeddingPictures(self.viewer, self.beside))
        self.runner = QtRunner(self.keeper.session.folder, self, warm=warm)
        self.run_bar = RunBar()
        self.control = RunControl(self.document, self.runner, self.run_bar, self)
        # After the control, which says that nothing runs before the loader begins with the next file.
        known = KnownFiles(self.preferences)
        self.loader = Loader(self.document, self.runner, self.beside, known, self, self.tell, self.warn)
        self.bench = Workbench(
            document=self.document,
            runner=self.runner,
            viewer=self.viewer,
            preferences=self.preferences,
            tell=self.tell,
            warn=self.warn,
            loader=self.loader,
            open_paths=self.open_paths,
            run=self.run,
            start=self.control.start,
            beside=self.beside,
            folder=self.keeper.session.folder,
            keep=self.keeper.keep,
            go_to=self.go_to,
            show_model=self.show_model,
            pick_objects=self.pick_objects,
        )
        self.pages: list[Page] = [page(self.bench) for page in PAGES]
        self.areas: list[Area] = [area(self.bench) for area in AREAS]
        self.closing = Closing(self, self.document, self.areas, self.pages)
        self._build()
        self.commands = Commands(self, self.preferences)
        self.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self.commands.log)
        self._connect()
        self._take_preferences(self.preferences.value)
        self._open_page(0)

    # ------------------------------------------------------------------------------------------------ layout

    def _build(self) -> None:
        self.stepper: Stepper = Stepper([page.title for page in self.pages])
        self.page_stack = QStackedWidget()
        for page in self.pages:
            self.page_stack.addWidget(page)
        workspace = self.workspace = QSplitter(Qt.Orientation.Horizontal)
        workspace.addWidget(self._page_panel())
        workspace.addWidget(self.viewer.widget)
        workspace.addWidget(self._layers_panel())
        workspace.setStretchFactor(1, 1)
        workspace.setChildrenCollapsible(False)
        self._share_width()
        # Only then are there controls of layers, whose width counts.
        self.viewer.when_started(lambda: QTimer.singleShot(0, self, self._share_width))
        self.area_stack = QStackedWidget()
        for area in (workspace, *self.areas):
            self.area_stack.addWidget(area)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(self._top_row())
        column.addWidget(self.area_stack, 1)
        column.addWidget(self.run_bar)
        self.setCentralWidget(content)

    def _share_width(self) -> None:
        """Give pages and layers the width that they need, and all of the rest to the canvas."""
        wanted = [350, 0, 240]
        for at in (0, 2):
            part = self.workspace.widget(at)
            wanted[at] = max(wanted[at], part.minimumSizeHint().width() if part is not None else 0)
        wanted[1] = max(300, self.width() - wanted[0] - wanted[2])
        self.workspace.setSizes(wanted)

    def _top_row(self) -> QHBoxLayout:
        self.area_switch = AreaSwitch([_WIZARD, *(AreaEntry(area.title, area.hint, area.icon) for area in self.areas)])
        self.area_switch.show_current(0)
        row = QHBoxLayout()
        row.addWidget(self.stepper, 1)
        row.addWidget(self.area_switch)
        return row

    def _page_panel(self) -> QWidget:
        """Return the open page above the two buttons that lead through the pages."""
        panel = QWidget()
        self.back_button = button("‹ &Back", "Go back to the step before (Alt+Left).")
        self.next_button = button("&Next ›", "Go on to the next step of the work (Alt+Right).")
        self.back_button.clicked.connect(lambda: self.turn_page(-1))
        self.next_button.clicked.connect(lambda: self.turn_page(1))
        row = QHBoxLayout()
        row.setContentsMargins(12, 4, 12, 8)
        row.addWidget(self.back_button)
        row.addStretch(1)
        row.addWidget(self.next_button)
        column = QVBoxLayout(panel)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.page_stack, 1)
        column.addLayout(row)
        return panel

    def _layers_panel(self) -> QWidget:
        panel = QSplitter(Qt.Orientation.Vertical)
        panel.addWidget(self.viewer.layer_controls)
        panel.addWidget(self.viewer.layer_list)
        panel.setSizes([420, 300])
        return panel

    def _connect(self) -> None:
        self.stepper.chosen.connect(self._open_page)
        self.area_switch.chosen.connect(self.open_area)
        self.run_bar.cancelled.connect(self.loader.cancel)
        for changed in (self.document.images_changed, self.document.workflow_changed, self.document.results_changed):
            changed.connect(self._refresh)
        for page in self.pages:
            page.completeness_changed.connect(self._show_steps)
        self.proofreading.correcting_changed.connect(
            lambda: self.commands.show_correcting(self.proofreading.is_correcting)
        )
        self.preferences.changed.connect(self._take_preferences)
        self.style_sheet.theme_changed.connect(self.viewer.set_theme)
        self.runner.told.connect(lambda _, text: self.tell(text))
        self.keeper.failed.connect(self.warn)
        self.control.result_came.connect(self.layers.show_result)
        self.control.failed.connect(self._report_failure)
        self.control.idle.connect(self._after_run)
        self.loader.progressed.connect(self.run_bar.show_progress)
        self.loader.ended.connect(self._after_loading)

    def _take_preferences(self, wanted: Preferences, before: Preferences | None = None) -> None:
        # Each file that is opened changes the preferences, and a style sheet takes long to put on.
        if before is None or wanted.appearance != before.appearance:
            self.style_sheet.apply(wanted.appearance.theme, wanted.appearance.font_size_pt)
            self.viewer.set_palette(LABEL_PALETTES[wanted.appearance.label_palette].colours)
            # Pages are as wide as their letters ask for.
            QTimer.singleShot(0, self, self._share_width)
        self.document.device = wanted.computing.device
        self.control.n_threads = wanted.computing.threads
        for area in self.areas:
            area.n_threads = wanted.computing.threads

    # ------------------------------------------------------------------------------------------------ pages

    @property
    def page(self) -> Page:
        """The page that is open."""
        return self.pages[self.page_stack.currentIndex()]

    def go_to(self, title: str) -> None:
        """Open the page with this title, or the one that has to be done before it."""
        index = [page.title for page in self.pages].index(title)
        self._open_page(min(index, self._reachable()))

    def show_model(self, model_id: str) -> None:
        """Open the area of models with this model chosen, if it is known there."""
        self.open_area_of(ModelsArea.icon)
        for area in self.areas:
            if isinstance(area, ModelsArea):
                area.show_model(model_id)

    def pick_objects(self) -> None:
        """Open the page on which objects of an embedding are clicked, with the tool for it in hand."""
        self.go_to(self.proofreading.title)
        if self.page is self.proofreading:
            self.proofreading.pick_objects()

    def turn_page(self, by: int) -> None:
        """Open the next page (1) or the one before (-1), as far as they are within reach."""
        index = self.page_stack.currentIndex() + by
        if 0 <= index <= self._reachable():
            self._open_page(index)

    @property
    def proofreading(self) -> ProofreadPage:
        """The page on which cells are corrected."""
        return next(page for page in self.pages if isinstance(page, ProofreadPage))

    @property
    def area_keys(self) -> list[str]:
        """The names of the areas beside the wizard, as the table of actions has them."""
        return [area.icon for area in self.areas]

    def open_area_of(self, key: str) -> None:
        """Open the area of this key."""
        self.open_area(1 + self.area_keys.index(key))

    def open_area(self, index: int) -> None:
        """Open the wizard (0) or one of the areas beside it."""
        self.area_stack.setCurrentIndex(index)
        self.area_switch.show_current(index)
        if index:
            self.areas[index - 1].enter()
        self._show_steps()

    def _open_page(self, index: int) -> None:
        self.open_area(0)
        if index != self.page_stack.currentIndex():
            self.page.leave()
            self.page_stack.setCurrentIndex(index)
        self.page.enter()
        self.keeper.note(self.page.title)
        self.commands.show_correcting(self.proofreading.is_correcting)
        self._show_steps()

    def _reachable(self) -> int:
        incomplete = (index for index, page in enumerate(self.pages) if not page.is_complete)
        return next(incomplete, len(self.pages) - 1)

    def _show_steps(self) -> None:
        index, reachable = self.page_stack.currentIndex(), self._reachable()
        self.stepper.show_state(index if self.area_stack.currentIndex() == 0 else -1, reachable)
        self.back_button.setEnabled(index > 0)
        self.next_button.setEnabled(index < reachable)

    def _refresh(self) -> None:
        self.page.refresh()
        self._show_steps()

    def restore(self) -> None:
        """Show what the session holds, if it is one that was brought back."""
        problems = self.keeper.restore_into()
        for name in self.document.results:
            self.layers.show_result(name)
        titles = [page.title for page in self.pages]
        if self.keeper.page in titles:
            self.go_to(self.keeper.page)
        self.page.restore()
        if problems:
            self.warn(" ".join(problems))

    # ------------------------------------------------------------------------------------------------ files

    def open_paths(self, paths: Sequence[Path]) -> None:
        """Open image files, folders and workflows, one after the other, in the background."""
        self._open_page(0)
        self.loader.open(paths)

    def _after_loading(self) -> None:
        if not self.runner.is_busy:
            self.run_bar.show_idle("Ready")
        self._refresh()

    # ------------------------------------------------------------------------------------------------ running

    def run(self, outputs: tuple[str, ...]) -> None:
        """Run the workflow as far as the nodes `outputs`."""
        if self.runner.is_busy:
            self.tell(BUSY)
            return
        try:
            self.control.run_workflow(outputs)
        except PlantSegError as error:
            self.warn(str(error))
        self._refresh()

    def cancel(self) -> None:
        """Stop what runs and what waits to be read; finished steps are kept."""
        self.loader.cancel()
        if self.runner.is_busy:
            self.control.cancel()

    def _report_failure(self, failure: Failure) -> None:
        if self.loader.is_reading:
            # One sentence for all files that could not be opened comes at their end.
            return
        ErrorDialog(failure.sentence, failure.advice, failure.details, self).open()

    def _after_run(self) -> None:
        self._refresh()
        if self._close_when_stopped:
            self.close()

    # ------------------------------------------------------------------------------------------------ telling

    def tell(self, text: str) -> None:
        """Show one sentence in the line at the bottom."""
        self.run_bar.say(text)

    def warn(self, text: str) -> None:
        """Show one sentence in a dialog that does not stop the program."""
        QMessageBox(QMessageBox.Icon.Warning, "PlantSeg App", text, QMessageBox.StandardButton.Ok, self).open()

    # ------------------------------------------------------------------------------------------------ Qt events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Accept files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Open what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_paths(paths)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Stop what runs before the window goes."""
        # Corrections that are under way become a result first.
        self.page.leave()
        if not self.closing.is_allowed():
            self.page.enter()
            event.ignore()
            return
        if self.runner.is_busy:
            self._close_when_stopped = True
            self.cancel()
            event.ignore()
            return
        self.beside.stop()
        for area in self.areas:
            area.shut_down()
        for page in self.pages:
            page.shut_down()
        self.runner.close()
        if self.closing.keeps_session:
            self.keeper.leave()
        else:
            self.keeper.close()
        self.viewer.close()
        event.accept()


def _application() -> QApplication:
    running = QApplication.instance()
    if not isinstance(running, QApplication):
        raise RuntimeError("Make the application object before the window.")
    return running
