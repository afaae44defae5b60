"""The models here and to download: find one, read how far it can be trusted, get it, use it, check it, remove it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.gui.areas.area import Area
from plantseg_app.gui.areas.model_details import ModelDetails
from plantseg_app.gui.areas.model_exchange import ModelExchange
from plantseg_app.gui.areas.model_filters import ModelFilters
from plantseg_app.gui.areas.model_jobs import ModelJobs
from plantseg_app.gui.areas.model_table import (
    ModelEntry,
    ModelFilter,
    ModelTable,
    read_entries,
)
from plantseg_app.gui.areas.model_view import ModelView
from plantseg_app.gui.areas.use_model import use_model
from plantseg_app.gui.widgets import button, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.model_tasks import AddModel, DownloadModel, Verified, VerifyModel
from plantseg_app.zoo.library import remove_model
from plantseg_app.zoo.offers import find_offer


class ModelsArea(Area):
    """A list of models at the left, the chosen one at the right."""

    title: ClassVar[str] = "Models"
    hint: ClassVar[str] = "The trained networks: what they are for, how good they are; download, add and remove them."
    icon: ClassVar[str] = "models"

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.table = ModelTable(self)
        self.filter = ModelFilter(self.table, self)
        self.filters = ModelFilters()
        self.list = ModelView(self.table, self.filter)
        self.empty_label = sentence("No model fits; clear a filter.")
        self.details = ModelDetails()
        self.jobs = ModelJobs(bench.runner.store.folder.parent)
        self.exchange = ModelExchange(bench, self.jobs)
        self._checked: dict[str, str] = {}
        self._make_buttons()
        self._build()
        self._connect()

    # ------------------------------------------------------------------------------------------------ layout

    def _make_buttons(self) -> None:
        self.use_button = button(
            "&Use for this image",
            "Let the workflow of the open image work with this model, and go to Predict.",
            main=True,
        )
        self.add_button = button(
            "&Add from folder…",
            "Make a model of your own of a folder: one that a training left, one of PlantSeg, or one of BioImage.IO.",
        )
        self.add_file_button = button(
            "Add f&ile…", "Make a model of your own of a single file: a package of BioImage.IO, or a checkpoint."
        )
        self.download_button = button(
            "&Download", "Fetch this model over the network and put it among your own.", main=True
        )
        self.verify_button = button(
            "&Verify", "Compare all files of this model with their checksums, and let it predict its test image."
        )
        self.remove_button = button("&Remove…", "Delete this model from your own; those of the program stay.")
        self.refresh_button = button("Re&fresh", "Look again which models there are.")

    def _build(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(12, 10, 6, 10)
        column.addWidget(self.filters)
        column.addWidget(self.list, 1)
        column.addWidget(self.empty_label)
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addWidget(self.add_file_button)
        row.addStretch(1)
        row.addWidget(self.refresh_button)
        column.addLayout(row)
        column.addWidget(self.exchange)
        column.addWidget(self.jobs)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(6, 10, 12, 10)
        column.addWidget(self.details, 1)
        row = QHBoxLayout()
        row.addWidget(self.use_button)
        row.addWidget(self.download_button)
        row.addStretch(1)
        exchange = self.exchange
        for each in (exchange.outputs_button, exchange.export_button, self.verify_button, self.remove_button):
            row.addWidget(each)
        column.addLayout(row)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(right)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 1)
        split.setSizes([640, 600])
        split.setChildrenCollapsible(False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(split)

    def _connect(self) -> None:
        self.filters.changed.connect(self._apply_filters)
        self.filters.voxel_size_changed.connect(self._rank_anew)
        self.list.selectionModel().currentRowChanged.connect(self._show_chosen)
        self.list.doubleClicked.connect(self._use)
        self.use_button.clicked.connect(self._use)
        self.download_button.clicked.connect(self._download)
        self.verify_button.clicked.connect(self._verify)
        self.exchange.changed.connect(self.refresh)
        self.jobs.arrived.connect(self._show_arrived)
        self.jobs.finished.connect(self._take_result)
        self.jobs.failed.connect(self.bench.warn)
        self.jobs.changed.connect(self._allow)
        self.add_button.clicked.connect(self._choose_folder)
        self.add_file_button.clicked.connect(self._choose_file)
        self.remove_button.clicked.connect(self._ask_to_remove)
        self.refresh_button.clicked.connect(self.refresh)

    # ------------------------------------------------------------------------------------------------ the list

    def enter(self) -> None:
        """Read the models, because the area comes up."""
        self.refresh()

    def refresh(self) -> None:
        """Look which models there are; the chosen one stays chosen."""
        chosen = self.chosen
        self._checked.clear()
        self.exchange.show_age()
        wanted = self.filters.voxel_size_um
        self.table.set_rows(read_entries(self.bench.document, wanted))
        self.list.show_fit(wanted is not None or bool(self.bench.document.images))
        self.filters.fill([entry.card for entry in self.table.rows if entry.card is not None])
        self._apply_filters()
        if chosen is None or not self.choose(chosen.id):
            self._choose_first()

    def _rank_anew(self) -> None:
        """Show what is nearest to another voxel size."""
        self.refresh()
        self._choose_first()

    @property
    def chosen(self) -> ModelEntry | None:
        """The model whose details are shown."""
        return self.list.chosen

    def choose(self, model_id: str) -> bool:
        """Show the details of a model, and return whether it is in the list."""
        return self.list.choose(model_id)

    def show_model(self, name: str) -> None:
        """Show a model by its id, or by another name under which it is offered; no filter hides it."""
        self.filters.clear()
        if not self.choose(name):
            with suppress(RequestError):
                self.choose(find_offer(name).id)

    def _choose_first(self) -> None:
        self.list.choose_first()
        self._show_chosen()

    def _show_chosen(self) -> None:
        entry = self.chosen
        self.details.show_entry(entry, self._checked.get(entry.id, "") if entry is not None else "")
        self._allow()

    def _allow(self) -> None:
        """Offer what can be done with the chosen model."""
        entry = self.chosen
        is_elsewhere = entry is not None and entry.is_to_download
        self.use_button.setVisible(not is_elsewhere)
        self.use_button.setEnabled(entry is not None and entry.model is not None)
        self.download_button.setVisible(is_elsewhere)
        self.download_button.setEnabled(entry is not None and not self.jobs.is_awaited(entry.id))
        self.verify_button.setEnabled(entry is not None and not is_elsewhere)
        self.exchange.show_entry(entry)
        self.remove_button.setEnabled(entry is not None and entry.is_own)

    def _apply_filters(self) -> None:
        self.filter.set_filters(self.filters.wish, self.filters.origin)
        self.empty_label.setVisible(self.filter.rowCount() == 0)
        if self.chosen is None:
            self._choose_first()

    # ------------------------------------------------------------------------------------------------ actions

    def take_paths(self, paths: Sequence[Path]) -> None:
        """Add the models in folders and files that were dropped."""
        for path in paths:
            self.add(path)

    def add(self, source: Path) -> None:
        """Make a model of a folder or file among the person's own and, when it is here, show it."""
        self.jobs.start(AddModel(source))

    def download(self, model_id: str) -> None:
        """Fetch a model that is offered and, when it is here, show it."""
        offer = next((entry.offer for entry in self.table.rows if entry.id == model_id and entry.is_to_download), None)
        if offer is not None:
            self.jobs.start(DownloadModel(offer))

    def _download(self) -> None:
        entry = self.chosen
        if entry is not None:
            self.download(entry.id)

    def _show_arrived(self, model_id: str) -> None:
        self.bench.tell(f"The model {model_id} is among your models.")
        self.refresh()
        if not self.choose(model_id):
            self.show_model(model_id)

    def _verify(self) -> None:
        """Check the files of the chosen model, and what it makes of its test image."""
        entry = self.chosen
        if entry is not None:
            self._note_check(entry.id, "being checked …")
            self.jobs.start(VerifyModel(entry.id))

    def _take_result(self, result: object) -> None:
        if isinstance(result, Verified):
            self._note_check(result.model_id, result.sentence)

    def _note_check(self, name: str, text: str) -> None:
        self._checked[name] = text
        if self.chosen is not None and self.chosen.id == name:
            self._show_chosen()

    def use(self, model_id: str) -> None:
        """Let the open document work with a model, and go to the page where it is run."""
        use_model(self.bench, model_id)

    def _use(self) -> None:
        entry = self.chosen
        if entry is None:
            return
        if entry.is_to_download and not self.jobs.is_awaited(entry.id):
            self.download(entry.id)
        elif entry.model is not None:
            self.use(entry.id)

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the model to add")
        if folder:
            self.add(Path(folder))

    def _choose_file(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "File of the model to add")
        if file:
            self.add(Path(file))

    def _ask_to_remove(self) -> None:
        entry = self.chosen
        if entry is None:
            return
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Remove a model")
        box.setText(f"Delete the model {entry.id} and its folder {entry.folder}?")
        box.setInformativeText("Workflows that name it will not run without it. This cannot be undone.")
        delete = box.addButton("&Delete", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        delete.clicked.connect(lambda: self.remove(entry.id))
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()

    def remove(self, model_id: str) -> None:
        """Delete one of the person's own models."""
        try:
            remove_model(model_id)
        except (PlantSegError, OSError) as error:
            self.bench.warn(str(error))
            return
        self.bench.tell(f"The model {model_id} was removed.")
        self.refresh()

    # ------------------------------------------------------------------------------------------------ closing

    @property
    def is_busy(self) -> bool:
        """Whether a model is on its way."""
        return self.jobs.is_busy

    @property
    def busy_text(self) -> str:
        """What runs, for the question before the window closes."""
        return f"{self.jobs.title} is under way; a download goes on from there the next time."

    def shut_down(self) -> None:
        """End the process; what has arrived of a download stays."""
        self.jobs.shut_down()
