"""The main window: drop a stack, choose a workflow, segment, look, save.

Left, what to do in the order of the work; right, the canvas. Computation runs in `QtRunner`, never here.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QLabel,
    QMainWindow,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.core.workflow import Workflow
from plantseg_app.gui.qt_runner import Job, QtRunner
from plantseg_app.gui.viewer import Viewer
from plantseg_app.io import read_volume, write_volume
from plantseg_app.paths import samples_dir
from plantseg_app.run.workflows import bundled_workflows

IMAGE_FILTER = "Images (*.tif *.tiff *.h5 *.hdf5 *.png *.jpg *.jpeg);;All files (*)"
LABELS_FILTER = "TIFF (*.tif);;HDF5 (*.h5)"


class MainWindow(QMainWindow):
    """One image at a time, from the file to saved cells."""

    def __init__(self, theme: str = "dark") -> None:
        super().__init__()
        self.setWindowTitle("PlantSeg App")
        self.resize(1280, 800)
        self.setAcceptDrops(True)
        self.image: Volume | None = None
        self.cells: Volume | None = None
        self.made_by: Workflow | None = None
        self._close_when_stopped = False
        self._workflows = bundled_workflows({Kind.RAW})
        self.viewer = Viewer(theme)
        self.setCentralWidget(self.viewer.widget)
        self.runner = QtRunner(self)
        self._build_panel()
        self._connect()
        self.setStyleSheet(self.viewer.stylesheet())
        self._refresh()

    # ------------------------------------------------------------------------------------------------ layout

    def _build_panel(self) -> None:
        self.open_button = self._button("&Open image…", "Open a stack (Ctrl+O); or drop one on the window.")
        self.open_button.setShortcut(QKeySequence.StandardKey.Open)
        self.sample_button = self._button("Open the &sample", "Open the confocal stack that comes with the program.")
        self.image_label = QLabel("Drop a TIFF or HDF5 stack anywhere on this window.")
        self.image_label.setWordWrap(True)
        self.workflow_box = QComboBox()
        self.workflow_box.setAccessibleName("Workflow")
        for workflow in self._workflows:
            self.workflow_box.addItem(workflow.title or workflow.name, workflow)
            self.workflow_box.setItemData(
                self.workflow_box.count() - 1, workflow.description, Qt.ItemDataRole.ToolTipRole
            )
        self.workflow_box.setToolTip("The chain of steps that turns the image into cells.")
        self.about_workflow = QLabel()
        self.about_workflow.setWordWrap(True)
        self.run_button = self._button("Se&gment", "Run the workflow on the image (Ctrl+R).")
        self.run_button.setShortcut("Ctrl+R")
        self.cancel_button = self._button("&Cancel", "Stop; what is finished is kept (Esc).")
        self.cancel_button.setShortcut("Esc")
        self.progress = QProgressBar()
        self.progress.setAccessibleName("Progress")
        self.progress.setToolTip("How far the running step is.")
        self.status_label = QLabel("Nothing segmented yet.")
        self.status_label.setWordWrap(True)
        self.save_button = self._button("&Save cells…", "Write the labels with voxel size and workflow (Ctrl+S).")
        self.save_button.setShortcut(QKeySequence.StandardKey.Save)

        panel = QWidget()
        column = QVBoxLayout(panel)
        column.addWidget(self._group("1  Load", self.open_button, self.sample_button, self.image_label))
        form = QFormLayout()
        form.addRow("&Workflow", self.workflow_box)
        segment = self._group("2  Segment")
        layout = segment.layout()
        if isinstance(layout, QVBoxLayout):
            layout.addLayout(form)
            for widget in (self.about_workflow, self.run_button, self.progress, self.cancel_button):
                layout.addWidget(widget)
        column.addWidget(segment)
        column.addWidget(self._group("3  Save", self.status_label, self.save_button))
        column.addStretch(1)
        panel.setMinimumWidth(280)
        self._dock("Steps", panel, Qt.DockWidgetArea.LeftDockWidgetArea)
        self._dock("Layer", self.viewer.layer_controls, Qt.DockWidgetArea.RightDockWidgetArea)
        self._dock("Layers", self.viewer.layer_list, Qt.DockWidgetArea.RightDockWidgetArea)

    @staticmethod
    def _button(text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setAccessibleName(text.replace("&", "").rstrip("…"))
        return button

    @staticmethod
    def _group(title: str, *widgets: QWidget) -> QGroupBox:
        group = QGroupBox(title)
        layout = QVBoxLayout(group)
        for widget in widgets:
            layout.addWidget(widget)
        return group

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> None:
        dock = QDockWidget(title, self)
        dock.setObjectName(title)
        dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable)
        dock.setWidget(widget)
        self.addDockWidget(area, dock)

    def _connect(self) -> None:
        self.open_button.clicked.connect(self._choose_image)
        self.sample_button.clicked.connect(lambda: self.open_file(samples_dir() / "sample_ovule.h5"))
        self.workflow_box.currentIndexChanged.connect(self._refresh)
        self.run_button.clicked.connect(self.segment)
        self.cancel_button.clicked.connect(self.runner.cancel)
        self.save_button.clicked.connect(self._choose_output)
        self.runner.progressed.connect(self._show_progress)
        self.runner.told.connect(self.statusBar().showMessage)
        self.runner.succeeded.connect(self._take_result)
        self.runner.failed.connect(self._report_failure)
        self.runner.stopped.connect(self._after_run)

    # ------------------------------------------------------------------------------------------------ actions

    def open_file(self, path: Path) -> None:
        """Read an image in the background and show it."""
        if self.runner.is_busy:
            self.statusBar().showMessage("Something is running; cancel it first, then open the next image.")
            return
        self.status_label.setText(f"Reading {path.name} …")
        self.runner.start(Job(f"Reading {path.name}", lambda: {"image": read_volume(path)}))
        self._refresh()

    def segment(self) -> None:
        """Run the chosen workflow on the image."""
        workflow = self.workflow_box.currentData()
        if self.image is None or workflow is None or self.runner.is_busy:
            return
        self.made_by = workflow
        self.status_label.setText("Segmenting …")
        self.runner.start_workflow(workflow, {"image": self.image})
        self._refresh()

    def save(self, path: Path) -> None:
        """Write the cells in the background."""
        cells, workflow = self.cells, self.made_by
        if cells is None or workflow is None or self.runner.is_busy:
            return
        self.runner.start(
            Job(f"Saving {path.name}", lambda: {"saved": write_volume(path, cells, workflow=workflow.to_yaml())})
        )
        self._refresh()

    # ------------------------------------------------------------------------------------------------ answers

    def _take_result(self, results: dict[str, object]) -> None:
        image = results.get("image")
        saved = results.get("saved")
        if isinstance(image, Volume):
            self._take_image(image)
        elif saved is not None:
            self.status_label.setText(f"Saved {saved}")
        else:
            self._take_cells({name: value for name, value in results.items() if isinstance(value, Volume)})

    def _take_image(self, image: Volume) -> None:
        self.image, self.cells = image, None
        self.viewer.clear()
        self.viewer.show(image, image.name or "image")
        size = " × ".join(f"{length:g}" for length in image.spacing)
        unit = f"{size} µm" if image.voxel_size_um else "voxel size unknown"
        shape = " × ".join(str(length) for length in image.shape_vox)
        self.image_label.setText(f"<b>{image.name}</b><br>{shape} voxels (Z × Y × X)<br>{unit}")
        self.status_label.setText("Nothing segmented yet.")
        self._refresh()

    def _take_cells(self, results: dict[str, Volume]) -> None:
        for name, volume in results.items():
            self.viewer.show(volume, name)
            if volume.kind is Kind.LABELS:
                self.cells = volume
        if self.cells is not None:
            self.status_label.setText(f"<b>{self._count(self.cells)} cells</b>")

    @staticmethod
    def _count(labels: Volume) -> int:
        import fastremap

        found = fastremap.unique(labels.data)
        return int((found > 0).sum())

    def _show_progress(self, label: str, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.progress.setFormat(f"{label}  %v / %m" if total else label)

    def _report_failure(self, text: str) -> None:
        self.status_label.setText(text)
        box = QMessageBox(QMessageBox.Icon.Warning, "PlantSeg App", text, QMessageBox.StandardButton.Ok, self)
        box.open()

    def _after_run(self) -> None:
        self.progress.setRange(0, 1)
        self.progress.reset()
        self._refresh()
        if self._close_when_stopped:
            self.close()

    def _refresh(self) -> None:
        busy = self.runner.is_busy
        workflow = self.workflow_box.currentData()
        self.about_workflow.setText(workflow.description if workflow else "")
        for button in (self.open_button, self.sample_button):
            button.setEnabled(not busy)
        self.run_button.setEnabled(not busy and self.image is not None)
        self.save_button.setEnabled(not busy and self.cells is not None)
        self.cancel_button.setEnabled(busy)

    # ------------------------------------------------------------------------------------------------ Qt events

    def _choose_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open image", "", IMAGE_FILTER)
        if path:
            self.open_file(Path(path))

    def _choose_output(self) -> None:
        suggestion = f"{self.image.name if self.image else 'image'}_cells.tif"
        path, _ = QFileDialog.getSaveFileName(self, "Save cells", suggestion, LABELS_FILTER)
        if path:
            self.save(Path(path))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Accept files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Open the first of the dropped files."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_file(paths[0])
            if len(paths) > 1:
                self.statusBar().showMessage(f"Opened {paths[0].name}; several files at once go to the command line.")

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Stop what runs before the window goes."""
        if self.runner.is_busy:
            self._close_when_stopped = True
            self.runner.cancel()
            self.statusBar().showMessage("Stopping …")
            event.ignore()
            return
        self.viewer.close()
        event.accept()
