"""The models at hand: find one, read how far it can be trusted, use it, add one, remove one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMessageBox,
    QSplitter,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from plantseg_app.errors import PlantSegError
from plantseg_app.gui.areas.area import Area
from plantseg_app.gui.areas.model_details import ModelDetails
from plantseg_app.gui.areas.model_table import (
    BUNDLED,
    FINDS,
    OWN,
    ModelEntry,
    ModelFilter,
    ModelTable,
    modalities,
    read_entries,
)
from plantseg_app.gui.areas.use_model import add_under_free_id, use_model
from plantseg_app.gui.widgets import button, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.zoo.library import remove_model


class ModelsArea(Area):
    """A list of models at the left, the chosen one at the right."""

    title: ClassVar[str] = "Models"
    hint: ClassVar[str] = "The trained networks: what they are for, how good they are; add and remove your own."
    icon: ClassVar[str] = "models"

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.table = ModelTable(self)
        self.filter = ModelFilter(self.table, self)
        self.details = ModelDetails()
        self._make_filters()
        self._make_list()
        self._make_buttons()
        self._build()
        self._connect()

    # ------------------------------------------------------------------------------------------------ layout

    def _make_filters(self) -> None:
        self.search_line = QLineEdit()
        self.search_line.setPlaceholderText("Search")
        self.search_line.setAccessibleName("Search models")
        self.search_line.setToolTip("Words that stand in the title, the description or the data of a model.")
        self.search_line.setClearButtonEnabled(True)
        self.dimension_box = _choices("Dimension", "Whether the model sees stacks or single slices.")
        self.finds_box = _choices("Structure", "What the model finds.")
        self.modality_box = _choices("Microscopy", "The kind of microscopy it was trained for.")
        self.origin_box = _choices("Origin", "Whether the model comes with the program or is your own.")

    def _make_list(self) -> None:
        self.list = QTableView()
        self.list.setModel(self.filter)
        self.list.setAccessibleName("Models")
        self.list.setToolTip("Choose a model to read about it; a double click uses it.")
        self.list.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setTabKeyNavigation(False)
        self.list.verticalHeader().hide()
        self.list.setShowGrid(False)
        self.list.setSortingEnabled(True)
        self.list.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.list.setWordWrap(False)
        header = self.list.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(48)
        self.empty_label = sentence("No model fits; clear a filter.")

    def _make_buttons(self) -> None:
        self.use_button = button(
            "&Use for this image",
            "Let the workflow of the open image work with this model, and go to Predict.",
            main=True,
        )
        self.add_button = button(
            "&Add from folder…",
            "Copy a model among your own: a folder with card.yaml and weights, as a training leaves it.",
        )
        self.remove_button = button("&Remove…", "Delete this model from your own; those of the program stay.")
        self.refresh_button = button("Re&fresh", "Look again which models there are.")

    def _build(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(12, 10, 6, 10)
        column.addWidget(self.search_line)
        grid = QGridLayout()
        for place, box in enumerate((self.dimension_box, self.finds_box, self.modality_box, self.origin_box)):
            grid.addWidget(box, place // 2, place % 2)
        column.addLayout(grid)
        column.addWidget(self.list, 1)
        column.addWidget(self.empty_label)
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addStretch(1)
        row.addWidget(self.refresh_button)
        column.addLayout(row)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(6, 10, 12, 10)
        column.addWidget(self.details, 1)
        row = QHBoxLayout()
        row.addWidget(self.use_button)
        row.addStretch(1)
        row.addWidget(self.remove_button)
        column.addLayout(row)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(left)
        split.addWidget(right)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 1)
        split.setSizes([600, 640])
        split.setChildrenCollapsible(False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(split)

    def _connect(self) -> None:
        self.search_line.textChanged.connect(self._apply_filters)
        for box in (self.dimension_box, self.finds_box, self.modality_box, self.origin_box):
            box.currentIndexChanged.connect(self._apply_filters)
        self.list.selectionModel().currentRowChanged.connect(self._show_chosen)
        self.list.doubleClicked.connect(self._use)
        self.use_button.clicked.connect(self._use)
        self.add_button.clicked.connect(self._choose_folder)
        self.remove_button.clicked.connect(self._ask_to_remove)
        self.refresh_button.clicked.connect(self.refresh)

    # ------------------------------------------------------------------------------------------------ the list

    def enter(self) -> None:
        """Read the models, because the area comes up."""
        self.refresh()

    def refresh(self) -> None:
        """Look which models there are; the chosen one stays chosen."""
        chosen = self.chosen
        self.table.set_rows(read_entries())
        self._fill_filters()
        self._apply_filters()
        if chosen is None or not self.choose(chosen.id):
            self._choose_row(0)

    @property
    def chosen(self) -> ModelEntry | None:
        """The model whose details are shown."""
        index = self.list.currentIndex()
        return self.table.rows[self.filter.mapToSource(index).row()] if index.isValid() else None

    def choose(self, model_id: str) -> bool:
        """Show the details of a model, and return whether it is in the list."""
        for row, entry in enumerate(self.table.rows):
            index = self.filter.mapFromSource(self.table.index(row, 0))
            if entry.id == model_id and index.isValid():
                self.list.setCurrentIndex(index)
                return True
        return False

    def _choose_row(self, row: int) -> None:
        if self.filter.rowCount():
            self.list.setCurrentIndex(self.filter.index(row, 0))
        self._show_chosen()

    def _show_chosen(self) -> None:
        entry = self.chosen
        self.details.show_entry(entry)
        self.use_button.setEnabled(entry is not None and entry.model is not None)
        self.remove_button.setEnabled(entry is not None and entry.is_own)

    def _fill_filters(self) -> None:
        cards = [entry.model.card for entry in self.table.rows if entry.model is not None]
        found = {FINDS.get(output.kind, output.kind.value) for card in cards for output in card.outputs}
        _refill(self.dimension_box, "2D and 3D", sorted({card.dimensionality for card in cards}))
        _refill(self.finds_box, "Any structure", sorted(found))
        _refill(self.modality_box, "Any microscopy", sorted({word for card in cards for word in modalities(card)}))
        _refill(self.origin_box, "Any origin", [BUNDLED, OWN])

    def _apply_filters(self) -> None:
        boxes = (self.dimension_box, self.finds_box, self.modality_box, self.origin_box)
        self.filter.set_filters(self.search_line.text(), *(box.currentData() or "" for box in boxes))
        self.empty_label.setVisible(self.filter.rowCount() == 0)
        if self.chosen is None:
            self._choose_row(0)

    # ------------------------------------------------------------------------------------------------ actions

    def take_paths(self, paths: Sequence[Path]) -> None:
        """Add the models in folders that were dropped."""
        for path in paths:
            self.add(path)

    def add(self, folder: Path) -> None:
        """Copy the model in `folder` among the person's own and show it."""
        try:
            model_id = add_under_free_id(folder)
        except (PlantSegError, OSError) as error:
            self.bench.warn(str(error))
            return
        self.bench.tell(f"The model {model_id} is among your models.")
        self._clear_filters()
        self.refresh()
        self.choose(model_id)

    def use(self, model_id: str) -> None:
        """Let the open document work with a model, and go to the page where it is run."""
        use_model(self.bench, model_id)

    def _use(self) -> None:
        entry = self.chosen
        if entry is not None and entry.model is not None:
            self.use(entry.id)

    def _choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the model to add")
        if folder:
            self.add(Path(folder))

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

    def _clear_filters(self) -> None:
        self.search_line.clear()
        for box in (self.dimension_box, self.finds_box, self.modality_box, self.origin_box):
            box.setCurrentIndex(0)


def _choices(name: str, tip: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(10)
    return box


def _refill(box: QComboBox, anything: str, words: Sequence[str]) -> None:
    """Offer `words` and no wish at all; what was chosen stays if it is still there."""
    before = box.currentData()
    box.blockSignals(True)
    box.clear()
    box.addItem(anything, "")
    for word in words:
        box.addItem(word, word)
    box.setCurrentIndex(max(0, box.findData(before)))
    box.blockSignals(False)
