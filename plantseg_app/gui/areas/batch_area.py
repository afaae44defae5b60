"""Many files through one workflow: a row a file, failures beside what went well, and the way to look at each result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QProgressBar,
    QSplitter,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.core.quantities import human_seconds
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.gui.areas.area import Area, Column
from plantseg_app.gui.areas.batch_choices import BatchChoices
from plantseg_app.gui.areas.batch_run import REPORT_NAME, BatchRun
from plantseg_app.gui.areas.batch_table import BatchRow, BatchTable, ProgressDelegate
from plantseg_app.gui.document import OpenImage
from plantseg_app.gui.qt_runner import Beside
from plantseg_app.gui.widgets import button, row_of, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.io import FORMATS, is_image_name, read_volume
from plantseg_app.run.batch import SUMMARY_NAME, images_in, plan_jobs
from plantseg_app.run.jobs import Job, ReadOptions
from plantseg_app.run.roles import guess_role
from plantseg_app.run.store import VolumeRef


class BatchArea(Area):
    """Settings at the left, files at the right."""

    title: ClassVar[str] = "Batch"
    hint: ClassVar[str] = "Run one workflow over many files."
    icon: ClassVar[str] = "batch"

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.table = BatchTable(self)
        self.choices = BatchChoices(bench)
        self.batch_run = BatchRun(bench.runner, self.table, self)
        self._shown: list[str] = []
        self._beside = Beside(self)
        self._make_list()
        self._make_buttons()
        self._build()
        self._connect()
        self._refresh()

    # ------------------------------------------------------------------------------------------------ layout

    def _make_list(self) -> None:
        self.list = QTableView()
        self.list.setModel(self.table)
        self.list.setItemDelegateForColumn(1, ProgressDelegate(self.list))
        self.list.setAccessibleName("Files of the batch")
        self.list.setToolTip("A double click opens a result with its image; a click on a failed file says why.")
        self.list.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setTabKeyNavigation(False)
        self.list.setShowGrid(False)
        self.list.setWordWrap(False)
        self.list.verticalHeader().hide()
        header = self.list.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column in (0, 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.reason = sentence()
        self.reason.setAccessibleName("Why the chosen file failed")
        self.empty_label = sentence("Drop images or folders here, or add them with the buttons above.")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the batch")
        self.bar.setToolTip("How much of the whole batch is done, by the size of the files.")
        self.bar.setRange(0, 1000)
        self.status = sentence()
        self.status.setAccessibleName("State of the batch")
        self.links = sentence()
        self.links.setAccessibleName("Report, summary and folder of the results")
        self.links.setToolTip("Opens in the browser or the program that is set for such files.")
        self.links.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.links.setOpenExternalLinks(True)

    def _make_buttons(self) -> None:
        self.add_files_button = button("Add &files…", "Choose images to run.")
        self.add_folder_button = button("Add f&older…", "Run all images of a folder.")
        self.remove_button = button("&Remove", "Take the chosen files out of the list (Del); nothing is deleted.")
        self.clear_button = button("C&lear", "Take all files out of the list; nothing is deleted.")
        self.start_button = button("&Start", "Run the workflow on all files; earlier results are replaced.", main=True)
        self.resume_button = button(
            "Res&ume", "Run what is not finished; results that the same workflow made before are left as they are."
        )
        self.again_button = button(
            "Run again what faile&d", "Run only the files that failed, with the settings as now."
        )
        self.cancel_button = button("Ca&ncel", "Stop the batch; finished files are kept.")

    def _build(self) -> None:
        scroll = Column(320)
        column = scroll.lines
        column.addWidget(
            sentence("Choose what to do, drop the images, and start. A file that fails does not stop the rest.")
        )
        column.addWidget(self.choices)
        column.addStretch(1)
        right = QWidget()
        lines = QVBoxLayout(right)
        lines.setContentsMargins(6, 10, 12, 10)
        lines.addLayout(
            row_of(self.add_files_button, self.add_folder_button, None, self.remove_button, self.clear_button)
        )
        lines.addWidget(self.list, 1)
        for widget in (self.empty_label, self.reason, self.bar, self.status, self.links):
            lines.addWidget(widget)
        lines.addLayout(row_of(self.start_button, self.resume_button, self.again_button, None, self.cancel_button))
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(scroll)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([400, 880])
        split.setChildrenCollapsible(False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(split)

    def _connect(self) -> None:
        self.add_files_button.clicked.connect(self._choose_files)
        self.add_folder_button.clicked.connect(self._choose_folder)
        self.remove_button.clicked.connect(self._remove_chosen)
        self.clear_button.clicked.connect(lambda: self.table.remove(range(len(self.table.rows))))
        self.start_button.clicked.connect(lambda: self.start())
        self.resume_button.clicked.connect(lambda: self.start(resume=True))
        self.again_button.clicked.connect(lambda: self.start(resume=True, only_failed=True))
        self.cancel_button.clicked.connect(self.cancel)
        self.list.doubleClicked.connect(lambda index: self.open_result(index.row()))
        self.list.selectionModel().selectionChanged.connect(self._refresh)
        for changed in (self.table.rowsInserted, self.table.rowsRemoved, self.table.dataChanged):
            changed.connect(self._refresh)
        self.choices.output.changed.connect(self._refresh)
        self.bench.runner.stopped.connect(self._refresh)
        self.batch_run.moved.connect(self._show_progress)
        self.batch_run.ended.connect(self._show_end)
        delete = QShortcut(QKeySequence.StandardKey.Delete, self.list, self._remove_chosen)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        opening = QShortcut(QKeySequence("Return"), self.list, self._open_chosen)
        opening.setContext(Qt.ShortcutContext.WidgetShortcut)

    # ------------------------------------------------------------------------------------------------ files

    def take_paths(self, paths: Sequence[Path]) -> None:
        """Add images and the images of folders; what is neither is told."""
        if self.batch_run.is_running:
            self.bench.tell("The batch is running; cancel it, or wait, before you add files.")
            return
        files: list[Path] = []
        problems: list[str] = []
        for path in paths:
            try:
                files += images_in(path) if path.is_dir() else [_checked(path)]
            except (PlantSegError, OSError) as error:
                problems.append(str(error))
        if files:
            self.choices.propose_output(files[0])
        self.table.add(files)
        if problems:
            self.bench.warn("\n".join(problems))

    def _choose_files(self) -> None:
        endings = " ".join(f"*{suffix}" for known in FORMATS for suffix in known.suffixes)
        paths, _ = QFileDialog.getOpenFileNames(self, "Add images", "", f"Images ({endings});;All files (*)")
        self.take_paths([Path(path) for path in paths])

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Add the images of a folder")
        if folder:
            self.take_paths([Path(folder)])

    @property
    def _chosen(self) -> list[int]:
        return sorted({index.row() for index in self.list.selectionModel().selectedRows()})

    def _remove_chosen(self) -> None:
        if not self.batch_run.is_running:
            self.table.remove(self._chosen)

    # ------------------------------------------------------------------------------------------------ running

    def start(self, resume: bool = False, only_failed: bool = False) -> None:
        """Run the files: all of them, those that are not finished, or those that failed."""
        try:
            jobs = self.jobs()
            if only_failed:
                failed = {row.path for row in self.table.rows if row.state == "failed"}
                jobs = [job for job in jobs if job.input in failed]
            self.batch_run.start(jobs, self.choices.job_settings(self.n_threads), resume)
        except (PlantSegError, OSError) as error:
            self.bench.warn(str(error))
        self._refresh()

    def jobs(self) -> list[Job]:
        """Return which file becomes which.

        Raises
        ------
        RequestError
            If there is no file or no folder for the results, or two results would have one name.
        """
        folder = self.choices.output.path
        if not self.table.rows:
            raise RequestError("There are no images; drop some here, or add them with the buttons.")
        if folder is None:
            raise RequestError("Choose a folder for the results.")
        if folder.is_file():
            raise RequestError(f"{folder} is a file; choose a folder for the results.")
        # The name of the folder may end like that of an image; what is no file yet is taken for a folder.
        folder.mkdir(parents=True, exist_ok=True)
        return plan_jobs([row.path for row in self.table.rows], folder, self.choices.suffix)

    def cancel(self) -> None:
        """Stop the batch."""
        self.status.setText("Stopping …")
        self.batch_run.cancel()

    @property
    def is_busy(self) -> bool:
        """Whether the batch runs."""
        return self.batch_run.is_running

    @property
    def busy_text(self) -> str:
        """What runs, for the question before the window closes."""
        return "A batch is running; finished files are kept, and it can be resumed."

    def shut_down(self) -> None:
        """Open nothing any more, because the window closes."""
        self._beside.stop()

    def enter(self) -> None:
        """Show what can be done now."""
        self._refresh()

    # ------------------------------------------------------------------------------------------------ showing

    def _refresh(self, *_: object) -> None:
        rows, is_running = self.table.rows, self.batch_run.is_running
        is_free = not is_running and not self.bench.runner.is_busy
        folder = self.choices.output.path
        has_earlier = folder is not None and (folder / f"{SUMMARY_NAME}.jsonl").is_file()
        self.empty_label.setVisible(not rows)
        self.start_button.setEnabled(is_free and bool(rows))
        self.resume_button.setEnabled(is_free and bool(rows) and has_earlier)
        self.again_button.setEnabled(is_free and any(row.state == "failed" for row in rows))
        self.cancel_button.setEnabled(is_running)
        self.remove_button.setEnabled(not is_running and bool(self._chosen))
        self.clear_button.setEnabled(not is_running and bool(rows))
        for widget in (self.choices, self.add_files_button, self.add_folder_button):
            widget.setEnabled(not is_running)
        self.bar.setVisible(is_running)
        chosen = [rows[number] for number in self._chosen]
        reasons = [f"{row.path.name}: {row.error}" for row in chosen if row.state == "failed"]
        self.reason.setText("\n".join(reasons))
        self.reason.setVisible(bool(reasons))
        self._show_links(folder)

    def _show_links(self, folder: Path | None) -> None:
        targets = []
        if folder is not None:
            named = (("Report", REPORT_NAME), ("Summary (CSV)", f"{SUMMARY_NAME}.csv"), ("Folder of the results", ""))
            targets = [(name, folder / file) for name, file in named]
        links = [
            f'<a href="{QUrl.fromLocalFile(str(path)).toString()}">{name}</a>'
            for name, path in targets
            if path.exists() and not self.batch_run.is_running
        ]
        self.links.setText(" · ".join(links))
        self.links.setVisible(bool(links))

    def _show_progress(self, fraction: float, seconds_left: float | None) -> None:
        self.bar.setValue(round(1000 * fraction))
        done = sum(row.is_over for row in self.table.rows)
        left = "" if seconds_left is None else f", about {human_seconds(seconds_left)} left"
        self.status.setText(f"{done} of {len(self.table.rows)} files over{left}")

    def _show_end(self, text: str, is_complete: bool) -> None:
        del is_complete
        self.status.setText(text)
        self.bench.tell(f"Batch: {text}")
        self._refresh()

    # ------------------------------------------------------------------------------------------------ results

    def _open_chosen(self) -> None:
        if self._chosen:
            self.open_result(self._chosen[0])

    def open_result(self, number: int) -> None:
        """Show a finished file with its image on the canvas of the wizard."""
        row = self.table.rows[number]
        if row.state not in ("done", "skipped") or row.output is None:
            self.bench.tell(f"{row.path.name} has no result yet.")
            return
        try:
            settings = self.choices.job_settings()
            workflow = settings.bound_workflow()
        except PlantSegError as error:
            self.bench.warn(str(error))
            return
        output, kind = row.output, workflow.kinds()[workflow.outputs[0]]
        self.bench.tell(f"Opening {row.path.name} …")

        store = self.bench.runner.store

        def read() -> list[tuple[Volume, VolumeRef]]:
            # A thread, because the process may be busy with the next files.
            found = (read_volume(row.path, **settings.read.given()), read_volume(output, kind=kind))
            refs = [store.add(volume) for volume in found]
            return [(store.open(ref), ref) for ref in refs]

        self._beside.ask(read, lambda found: self._show_result(row, settings.read, *found), self.bench.warn)

    def _show_result(
        self, row: BatchRow, read: ReadOptions, image: tuple[Volume, VolumeRef], result: tuple[Volume, VolumeRef]
    ) -> None:
        document, viewer = self.bench.document, self.bench.viewer
        for name in self._shown:
            document.remove_image(name)
        for name in viewer.layer_names():
            viewer.set_visible(name, False)
        role, kind = guess_role(row.path.stem, None), result[0].kind
        result_role = guess_role("", kind).key
        self._shown = [
            document.add_image(OpenImage(row.path.stem, role.key, image[0], row.path, read, image[1])),
            document.add_image(OpenImage(f"{row.path.stem} result", result_role, result[0], row.output, ref=result[1])),
        ]
        self.bench.tell(f"{row.path.name} and its result are open.")
        self.bench.go_to("Proofread" if kind is Kind.LABELS else "Load")


def _checked(path: Path) -> Path:
    if not is_image_name(path):
        raise RequestError(f"{path.name} is no image that can be read, by its ending; it is left out.")
    return path
