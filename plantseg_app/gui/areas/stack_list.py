"""The labelled stacks of a training: a table, and the ways to put stacks into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.errors import PlantSegError
from plantseg_app.gui.areas.stack_table import StackTable
from plantseg_app.gui.qt_runner import Beside
from plantseg_app.gui.widgets import button, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.paths import trainings_dir
from plantseg_app.run.batch import images_in
from plantseg_app.train.pairs import pair_files, write_pair
from plantseg_app.train.settings import StackFiles
from plantseg_app.train.suggest import free_name

_LEAST_HEIGHT_PX = 110


class StackList(QWidget):
    """Images with cells, one a row.

    Signals
    -------
    changed
        A stack came, went, or judges now.
    """

    changed = Signal()

    def __init__(self, bench: Workbench) -> None:
        super().__init__()
        self._bench = bench
        self._beside = Beside(self)
        self.table = StackTable(self)
        self.list = QTableView()
        self.list.setModel(self.table)
        self.list.setAccessibleName("Images with cells")
        self.list.setToolTip("What the network learns from. Files can be dropped here.")
        self.list.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.list.setTabKeyNavigation(False)
        self.list.setShowGrid(False)
        self.list.setWordWrap(False)
        self.list.verticalHeader().hide()
        self.list.setMinimumHeight(_LEAST_HEIGHT_PX)
        header = self.list.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        for column in (2, 3):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.hint = sentence(
            "Drop HDF5 files that hold both, or images and their labels: a.tif goes with a_labels.tif or a_cells.tif. "
            "Cells that overlap are stacks of masks, one a plane."
        )
        self.add_button = button("&Add files…", "Choose images and their labels, or HDF5 files that hold both.")
        self.add_folder_button = button("A&dd folder…", "Use all pairs of a folder.")
        self.open_button = button("Use the &open image", "Learn from the image and the cells that are open.")
        self.remove_button = button("&Remove", "Take the chosen stacks out of the list (Del); nothing is deleted.")
        self._build()
        self._connect()

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.hint)
        column.addWidget(self.list)
        for widgets in ((self.add_button, self.add_folder_button), (self.open_button, self.remove_button)):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget, 1)
            column.addLayout(row)

    def _connect(self) -> None:
        self.add_button.clicked.connect(self._choose_files)
        self.add_folder_button.clicked.connect(self._choose_folder)
        self.open_button.clicked.connect(self.add_open)
        self.remove_button.clicked.connect(self._remove_chosen)
        for changed in (self.table.rowsInserted, self.table.rowsRemoved, self.table.dataChanged):
            changed.connect(lambda *_: self.changed.emit())
        self.list.selectionModel().selectionChanged.connect(self.refresh)
        document = self._bench.document
        for signal in (document.images_changed, document.results_changed):
            signal.connect(self.refresh)
        delete = QShortcut(QKeySequence.StandardKey.Delete, self.list, self._remove_chosen)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Allow what can be done now."""
        document = self._bench.document
        self.open_button.setEnabled(document.main_image is not None and document.cells is not None)
        self.remove_button.setEnabled(self.list.selectionModel().hasSelection())

    def take_paths(self, paths: Sequence[Path]) -> None:
        """Add the stacks that some files and folders make; the others are told."""
        files: list[Path] = []
        problems: list[str] = []
        for path in paths:
            try:
                files += images_in(path) if path.is_dir() else [path]
            except (PlantSegError, OSError) as error:
                problems.append(str(error))
        found = pair_files(files)
        self.table.add(found.stacks)
        if found.left:
            names = ", ".join(path.name for path in found.left[:5]) + (" and others" if len(found.left) > 5 else "")
            problems.append(
                f"No partner was found for {names}. Name an image and its labels alike, such as a.tif and "
                "a_labels.tif, or choose exactly the two files that belong together."
            )
        if problems:
            self._bench.warn("\n".join(problems))

    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Images and their labels")
        self.take_paths([Path(name) for name in names])

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of images and labels")
        if folder:
            self.take_paths([Path(folder)])

    def _remove_chosen(self) -> None:
        self.table.remove({index.row() for index in self.list.selectionModel().selectedRows()})

    def add_open(self) -> None:
        """Write the open image with its cells into a file, and add that."""
        document = self._bench.document
        image, cells = document.main_image, document.cells
        if image is None or cells is None:
            return
        folder = trainings_dir() / "stacks"
        path = folder / f"{free_name(folder, image.name, '.h5')}.h5"
        self._bench.tell(f"Writing {path.name} …")

        def write() -> StackFiles:
            return write_pair(path, image.volume, cells.volume)

        self._beside.ask(write, self._take_written, self._bench.warn)

    def stop(self) -> None:
        """Write nothing any more, because the window closes."""
        self._beside.stop()

    def _take_written(self, files: StackFiles) -> None:
        self.table.add([files])
        self._bench.tell(f"The open image and its cells are kept in {files.path}.")
