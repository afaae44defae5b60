"""Last page: look at the sizes of the cells, and save what is wanted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QVBoxLayout,
)

from plantseg_app.core.volume import Volume
from plantseg_app.errors import PlantSegError
from plantseg_app.gui.document import Result
from plantseg_app.gui.histogram import Histogram
from plantseg_app.gui.path_line import PathLine
from plantseg_app.gui.widgets import button, heading, sentence
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.workbench import Workbench
from plantseg_app.paths import resources_dir
from plantseg_app.run.export import SUFFIXES, Export, ExportItem, MeasureCells
from plantseg_app.run.measure import CellTable

_SIZES = {"volume_um3": "µm³", "area_um2": "µm²", "n_voxels": "voxels"}
_FORMATS = {".tif": "TIFF (Fiji, napari)", ".h5": "HDF5 (ilastik, PlantSeg)"}


class ExportPage(Page):
    """Save the cells, the table of their sizes, maps and the workflow."""

    title: ClassVar[str] = "Measure & export"
    hint: ClassVar[str] = "Look at the sizes of the cells, and save what you want to keep. Images are never changed."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self._measured: str = ""
        self._boxes: dict[str, QCheckBox] = {}
        self.summary = sentence()
        self.histogram = Histogram()
        self.what = QVBoxLayout()
        self.table_box = _check("&Table of cells (CSV)", "Number, size, place and brightness of every cell.")
        self.workflow_box = _check("&Workflow (YAML)", "All steps and settings, to be run again on other images.")
        self.table_box.setChecked(True)
        self.workflow_box.setChecked(True)
        for widget in (heading("Cells"), self.summary, self.histogram, heading("What to save")):
            self.column.addWidget(widget)
        self.column.addLayout(self.what)
        self.column.addWidget(self.table_box)
        self.column.addWidget(self.workflow_box)
        self.column.addWidget(heading("Where to"))
        self.column.addLayout(self._build_target())
        self.save_button = button("&Save", "Write everything that is ticked into the folder.", main=True)
        self.save_button.clicked.connect(self.save)
        self.footer.addWidget(self.save_button)
        self.saved = sentence()
        self.saved.setOpenExternalLinks(False)
        self.saved.linkActivated.connect(lambda link: QDesktopServices.openUrl(QUrl(link)))
        self.column.addWidget(self.saved)
        self.column.addStretch(1)

    def _build_target(self) -> QFormLayout:
        form = QFormLayout()
        self.folder_line = PathLine("Folder", "the folder into which files are written.")
        label = QLabel("&Folder")
        label.setBuddy(self.folder_line.line)
        form.addRow(label, self.folder_line)
        self.name_edit = QLineEdit()
        self.name_edit.setToolTip("What the names of the files begin with.")
        self.name_edit.setAccessibleName("Name")
        form.addRow("&Name", self.name_edit)
        self.format_box = QComboBox()
        self.format_box.setToolTip("The format of cells and maps; both keep every cell and the voxel size.")
        self.format_box.setAccessibleName("Format")
        for suffix in SUFFIXES:
            self.format_box.addItem(_FORMATS[suffix], suffix)
        form.addRow("F&ormat", self.format_box)
        return form

    # ------------------------------------------------------------------------------------------------ page

    def enter(self) -> None:
        """Propose folder and name, and measure the cells."""
        image = self.document.main_image
        if image is not None and not self.name_edit.text():
            self.name_edit.setText(image.path.stem if image.path else image.name)
        if self.folder_line.path is None:
            self.folder_line.set_path(self._usual_folder())
        super().enter()

    def refresh(self) -> None:
        """List what can be saved."""
        cells = self.document.cells
        names = list(self.document.results)
        if cells is not None and cells.name not in names:
            names.append(cells.name)
        if names != list(self._boxes):
            self._list(names, cells)
        self.save_button.setEnabled(bool(names) and not self.bench.runner.is_busy)
        self.table_box.setEnabled(cells is not None)
        if cells is None:
            self.summary.setText("There are no cells yet.")
            self.histogram.setVisible(False)
        elif self.isVisible():
            self._measure()

    def _usual_folder(self) -> Path:
        """Return the folder of the preferences, or that of the image, or where the person is at home."""
        wanted, image = self.bench.preferences.value.folders.output, self.document.main_image
        if wanted:
            return Path(wanted).expanduser()
        beside = None if image is None or image.path is None else image.path.parent
        may_write = beside is not None and os.access(beside, os.W_OK) and not beside.is_relative_to(resources_dir())
        return beside if beside is not None and may_write else Path.home()

    def _list(self, names: list[str], cells: Result | None) -> None:
        for box in self._boxes.values():
            self.what.removeWidget(box)
            box.deleteLater()
        self._boxes = {}
        for name in reversed(names):
            box = _check(name, f"Save “{name}” as an image.")
            box.setChecked(cells is not None and name == cells.name)
            self._boxes[name] = box
            self.what.addWidget(box)
        self._boxes = {name: self._boxes[name] for name in names}

    # ------------------------------------------------------------------------------------------------ measuring

    def _measure(self) -> None:
        """Ask the computing process for the sizes of the cells, unless they are known."""
        cells = self.document.cells
        if cells is None or cells.ref is None or cells.ref.key == self._measured or self.bench.runner.is_busy:
            return
        key = cells.ref.key
        self.summary.setText("Measuring …")

        def take(table: object) -> None:
            if isinstance(table, CellTable):
                self._measured = key
                self.show_table(table)

        self.bench.start(MeasureCells(cells.ref), take)

    def show_table(self, table: CellTable) -> None:
        """Show the distribution of the sizes of the cells."""
        column, unit = next((column, unit) for column, unit in _SIZES.items() if column in table.names)
        self.histogram.setVisible(True)
        self.histogram.show_values(table[column], unit)
        self.summary.setText(self.histogram.summary())

    # ------------------------------------------------------------------------------------------------ saving

    def plan(self) -> Export:
        """Return what is ticked, ready to be run.

        Raises
        ------
        RequestError
            If there is nothing to save, or a file is in the way.
        """
        cells = self.document.cells
        results = {**self.document.results, **({cells.name: cells} if cells else {})}
        items = [
            ExportItem(
                name,
                # Not yet written where something was corrected a moment ago.
                result.ref or self.bench.keep(result.volume),
                result.record(),
                self._boxes[name].isChecked(),
                self._has_table(result, cells),
            )
            for name, result in results.items()
            if name in self._boxes
        ]
        signals = [
            (image.name, image.ref) for image in self.document.images.values() if self._is_measured(image.volume, cells)
        ]
        return Export(
            folder=self.folder_line.path or self._usual_folder(),
            stem=self.name_edit.text().strip() or "cells",
            items=tuple(item for item in items if item.as_file or item.as_table),
            suffix=self.format_box.currentData(),
            signals=tuple((name, ref) for name, ref in signals if ref is not None),
            workflow_yaml=self.document.workflow.to_yaml() if self.workflow_box.isChecked() else "",
        )

    def save(self) -> None:
        """Write what is ticked; ask before files are replaced."""
        plan = self.plan()
        if not plan.files():
            self.bench.warn("Nothing is ticked; tick what is to be saved.")
            return
        taken = [path.name for path in plan.files() if path.exists()]
        if taken and not self._may_replace(plan.folder, taken):
            return
        try:
            plan = plan.replacing_files() if taken else plan
            plan.check()
        except PlantSegError as error:
            self.bench.warn(str(error))
            return
        self.bench.start(plan, lambda files: self._take_saved(plan, files))

    def _take_saved(self, plan: Export, files: object) -> None:
        if isinstance(files, list) and files:
            for item in plan.items:
                if item.as_file:
                    self.document.note_file(item.name, plan.file_of(item.name))
            folder = Path(files[0]).parent
            names = "<br>".join(Path(file).name for file in files)
            link = QUrl.fromLocalFile(str(folder)).toString()
            self.saved.setText(f"<b>Saved</b> in <a href='{link}'>{folder}</a>:<br>{names}")

    def _may_replace(self, folder: Path, names: list[str]) -> bool:
        question = QMessageBox(self)
        question.setIcon(QMessageBox.Icon.Question)
        question.setText(f"Replace what is in {folder}?")
        question.setInformativeText("\n".join(names))
        replace = question.addButton("Replace", QMessageBox.ButtonRole.AcceptRole)
        question.addButton(QMessageBox.StandardButton.Cancel)
        question.exec()
        return question.clickedButton() is replace

    def _has_table(self, result: Result, cells: Result | None) -> bool:
        return self.table_box.isChecked() and cells is not None and result.name == cells.name

    @staticmethod
    def _is_measured(volume: Volume, cells: Result | None) -> bool:
        """Whether the brightness of an image can be measured in the cells."""
        return cells is not None and not volume.kind.is_labels and volume.shape_vox == cells.volume.shape_vox


def _check(text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    box.setToolTip(tip)
    box.setAccessibleName(text.replace("&", ""))
    return box
