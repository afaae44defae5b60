"""Models from and for other programs: the list of BioImage.IO, packages to write, outputs that get a meaning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from plantseg_app.errors import PlantSegError
from plantseg_app.gui.areas.area import free_width
from plantseg_app.gui.areas.model_jobs import ModelJobs
from plantseg_app.gui.areas.model_questions import OutputsDialog, SourceDialog
from plantseg_app.gui.areas.model_table import ModelEntry
from plantseg_app.gui.widgets import button, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.model_tasks import ExportModel, RefreshCollection, SourceAsked
from plantseg_app.zoo.bioimageio.collection import Collection, read_collection
from plantseg_app.zoo.relabel import can_be_relabelled, relabel_outputs


class ModelExchange(QWidget):
    """A line about the collection, and two buttons for the chosen model that the area places where it wants them.

    Parameters
    ----------
    bench
        Told what was done, and what went wrong.
    jobs
        Does what takes long.

    Signals
    -------
    changed
        There are other models, or one says something else of itself.
    """

    changed = Signal()

    def __init__(self, bench: Workbench, jobs: ModelJobs) -> None:
        super().__init__()
        self._bench, self._jobs = bench, jobs
        self._entry: ModelEntry | None = None
        self.label = free_width(sentence())
        self.label.setAccessibleName("How old the list of BioImage.IO is")
        self.fetch_button = button(
            "Fetch &list", "Fetch the list of BioImage.IO over the network; its models are then found here, too."
        )
        self.outputs_button = button(
            "&Outputs…", "Say what the maps of this model show, where its files do not or say it wrongly."
        )
        self.export_button = button("&Export…", "Write this model as a package of BioImage.IO, for ilastik and ImageJ.")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label, 1)
        row.addWidget(self.fetch_button)
        self.fetch_button.clicked.connect(lambda: self._jobs.start(RefreshCollection()))
        self.outputs_button.clicked.connect(self._ask_outputs)
        self.export_button.clicked.connect(self._choose_package)
        self._jobs.finished.connect(self._take)
        self.show_age()

    def show_age(self) -> None:
        """Say how old the list of the collection is."""
        self.label.setText(f"List of BioImage.IO: {read_collection().age_text()}.")

    def show_entry(self, entry: ModelEntry | None) -> None:
        """Offer what can be done with the chosen model."""
        self._entry = entry
        model = None if entry is None else entry.model
        self.export_button.setEnabled(model is not None and not model.card.own_graph)
        self.outputs_button.setEnabled(model is not None and can_be_relabelled(model))

    def export(self, model_id: str, target: Path) -> None:
        """Write a model as a package."""
        self._jobs.start(ExportModel(model_id, target if target.suffix else target.with_suffix(".zip")))

    def relabel(self, model_id: str, words: Mapping[str, str]) -> None:
        """Say what outputs of a model show, by their present names."""
        try:
            relabel_outputs(model_id, words)
        except PlantSegError as error:
            self._bench.warn(str(error))
            return
        self.changed.emit()

    def _take(self, result: object) -> None:
        """Say what came of a task that brought no model."""
        match result:
            case SourceAsked():
                dialog = SourceDialog(result.source, self)
                dialog.accepted.connect(lambda: self._jobs.start(result.agreed()))
                dialog.open()
            case Collection():
                self.show_age()
                many = "model" if result.n_models == 1 else "models"
                self._bench.tell(f"BioImage.IO has {result.n_models} {many} for this program; see the list.")
                self.changed.emit()
            case Path():
                self._bench.tell(f"The package {result} is written.")

    def _ask_outputs(self) -> None:
        entry = self._entry
        if entry is None or entry.model is None:
            return
        dialog = OutputsDialog(entry.model.card.outputs, self)
        dialog.accepted.connect(lambda: self.relabel(entry.id, dialog.words()))
        dialog.open()

    def _choose_package(self) -> None:
        entry = self._entry
        if entry is None:
            return
        name, _ = QFileDialog.getSaveFileName(
            self, "Package of BioImage.IO", f"{entry.id}.zip", "Packages of BioImage.IO (*.zip)"
        )
        if name:
            self.export(entry.id, Path(name))
