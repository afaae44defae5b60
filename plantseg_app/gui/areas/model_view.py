"""The table of models as a person sees it: one row chosen at a time, and room for the names."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from plantseg_app.gui.areas.model_table import FIT_COLUMN, STRUCTURE_COLUMN, ModelEntry, ModelFilter, ModelTable

_NAME_CHARACTERS = 30


class ModelView(QTableView):
    """Shows what the filter leaves of the table.

    Parameters
    ----------
    table, models
        All models, and those that fit the filter.
    """

    def __init__(self, table: ModelTable, models: ModelFilter) -> None:
        super().__init__()
        self._table, self._models = table, models
        self.setModel(models)
        self.setAccessibleName("Models")
        self.setToolTip("Choose a model to read about it; a double click uses it, or downloads it.")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.setWordWrap(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(48)

    @property
    def chosen(self) -> ModelEntry | None:
        """The chosen model."""
        index = self.currentIndex()
        return self._table.rows[self._models.mapToSource(index).row()] if index.isValid() else None

    def choose(self, model_id: str) -> bool:
        """Choose a model, and return whether it is in the list."""
        for row, entry in enumerate(self._table.rows):
            index = self._models.mapFromSource(self._table.index(row, 0))
            if entry.id == model_id and index.isValid():
                self.setCurrentIndex(index)
                return True
        return False

    def choose_first(self) -> None:
        """Choose the first model that fits, if there is one."""
        self.setCurrentIndex(self._models.index(0, 0) if self._models.rowCount() else QModelIndex())

    def show_fit(self, is_shown: bool) -> None:
        """Show how models suit the open image, or not."""
        self.setColumnHidden(FIT_COLUMN, not is_shown)
        self.suit_width()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Leave room for the names of the models."""
        super().resizeEvent(event)
        self.suit_width()

    def suit_width(self) -> None:
        """Spare a narrow list the column that the filter above it can stand for."""
        header = self.horizontalHeader()
        shown = {column for column in range(1, self._models.columnCount()) if not self.isColumnHidden(column)}
        taken = sum(
            max(self.sizeHintForColumn(column), header.sectionSizeHint(column)) for column in shown | {STRUCTURE_COLUMN}
        )
        room = self.viewport().width() - taken
        self.setColumnHidden(STRUCTURE_COLUMN, room < _NAME_CHARACTERS * self.fontMetrics().averageCharWidth())
