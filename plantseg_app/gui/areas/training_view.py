"""The right side of the area of training: which training is looked at, its curve and example, and the buttons."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QProgressBar, QSplitter, QVBoxLayout, QWidget

from plantseg_app.gui.areas.curve_view import CurveView
from plantseg_app.gui.areas.example_view import ExampleView
from plantseg_app.gui.widgets import button, sentence
from plantseg_app.train.journal import TrainingRecord, find_trainings
from plantseg_app.zoo.card import CARD_FILE

_NEW = "the training on the left"


class TrainingView(QWidget):
    """Curve, example and buttons; knows no process."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[TrainingRecord] = []
        self.box = QComboBox()
        self.box.setAccessibleName("Training to look at")
        self.box.setToolTip("The new training, or one that was begun before.")
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(20)
        self.curve = CurveView()
        self.example = ExampleView()
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the training")
        self.bar.setToolTip("How many of the steps, or how much of the time, are over.")
        self.bar.setRange(0, 1000)
        self.bar.setVisible(False)
        self.status = sentence()
        self.status.setAccessibleName("State of the training")
        self.start_button = button("&Start", "Train with the settings at the left, beside the window.", main=True)
        self.stop_button = button("S&top", "End the training after this step; the best state so far becomes the model.")
        self.resume_button = button("Res&ume", "Go on with this training where it was interrupted or stopped.")
        self.use_button = button("&Use this model", "Add the model to yours, and work with it on the open image.")
        self.folder_button = button("Open the &folder", "Show the folder of this training in the file manager.")
        self._build()

    def _build(self) -> None:
        pictures = QSplitter(Qt.Orientation.Vertical)
        pictures.addWidget(self.curve)
        pictures.addWidget(self.example)
        pictures.setStretchFactor(0, 3)
        pictures.setStretchFactor(1, 2)
        pictures.setChildrenCollapsible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 10, 12, 10)
        column.addWidget(self.box)
        column.addWidget(pictures, 1)
        column.addWidget(self.bar)
        column.addWidget(self.status)
        row = QHBoxLayout()
        for widget in (self.start_button, self.stop_button, self.resume_button):
            row.addWidget(widget)
        row.addStretch(1)
        for widget in (self.use_button, self.folder_button):
            row.addWidget(widget)
        column.addLayout(row)

    # ------------------------------------------------------------------------------------------------ trainings

    def refresh(self) -> None:
        """Look which trainings there are; the one that is looked at stays."""
        before = self.folder
        self.records = find_trainings()
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItem(f"New: {_NEW}", None)
        for record in self.records:
            self.box.addItem(f"{record.name}: {state_text(record)}", record.settings.output)
        self.box.setCurrentIndex(max(0, self.box.findData(None if before is None else str(before))))
        self.box.blockSignals(False)

    def choose(self, folder: Path | None) -> None:
        """Look at the training in a folder, or at the new one."""
        self.box.setCurrentIndex(max(0, self.box.findData(None if folder is None else str(folder))))

    @property
    def folder(self) -> Path | None:
        """The folder of the training that is looked at; None for the new one."""
        data = self.box.currentData()
        return None if data is None else Path(data)

    @property
    def record(self) -> TrainingRecord | None:
        """The training that is looked at; None for the new one."""
        output = self.box.currentData()
        return next((record for record in self.records if record.settings.output == output), None)

    @property
    def has_model(self) -> bool:
        """Whether the training that is looked at has left a model."""
        folder = self.folder
        return folder is not None and (folder / CARD_FILE).is_file()

    def show_record(self) -> None:
        """Show the curve of the training that is looked at."""
        record = self.record
        self.curve.clear(0 if record is None else record.settings.stopping.steps)
        self.example.show_example(None)
        if record is None:
            return
        best = None
        for row in record.rows:
            self.curve.add_row(row, str(row.get("score_name", "score")), bool(row.get("is_best")))
            best = row if row.get("is_best") else best
        told = "" if best is None else f" Best at step {best['step']}: {self.curve.score_name} {best['score']:.4f}."
        self.status.setText(f"{record.name}: {state_text(record)}.{told}")

    def allow(self, is_running: bool, is_free: bool, can_start: bool) -> None:
        """Enable the buttons that make sense now."""
        self.box.setEnabled(not is_running)
        self.start_button.setEnabled(is_free and can_start)
        self.stop_button.setEnabled(is_running)
        record = self.record
        self.resume_button.setEnabled(is_free and record is not None and not record.is_complete)
        self.use_button.setEnabled(not is_running and self.has_model)
        self.folder_button.setEnabled(self.folder is not None)
        self.bar.setVisible(is_running)


def state_text(record: TrainingRecord) -> str:
    """Return where a training stands, in words."""
    total = record.settings.stopping.steps
    if record.is_finished:
        return f"has a model, {record.step} of {total} steps judged"
    if not record.has_checkpoint:
        return "interrupted before its first checkpoint"
    return f"interrupted after step {record.step} of {total}"
