"""What the page Proofread shows of nuclei: which labels they are, what they suggest, and the buttons to take it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QComboBox, QGridLayout, QHeaderView, QTableView, QVBoxLayout, QWidget

from plantseg_app.gui.areas.row_table import Index, RowTable
from plantseg_app.gui.proofreading.list_view import make_list_view, show_rows
from plantseg_app.gui.proofreading.nuclei import NucleiHelp
from plantseg_app.gui.widgets import button, heading, keep_narrow, say, sentence
from plantseg_app.proofread.nuclei_help import NucleusProblem, Suggestion

_SHORT = {
    NucleusProblem.SHARED: "Merge: share a nucleus",
    NucleusProblem.SEVERAL: "Divide: several nuclei",
    NucleusProblem.NONE: "Merge: no nucleus",
}


class SuggestionTable(RowTable[Suggestion]):
    """What nuclei suggest, one a row."""

    COLUMNS = ("Cells", "Suggestion")

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell of the table shows or says when the mouse rests on it."""
        one = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            if index.column() == 0:
                return ", ".join(map(str, sorted(one.cells)))
            return _SHORT[one.problem] if one.tool is not None else "No nucleus, no neighbour"
        return f"{one.words}." if role == Qt.ItemDataRole.ToolTipRole else None


class NucleiPanel(QWidget):
    """Nuclei and their suggestions; hidden where no labels could be nuclei."""

    def __init__(self, nuclei: NucleiHelp, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.nuclei = nuclei
        self.said = sentence()
        self.choice = QComboBox()
        self.choice.setAccessibleName("Nuclei")
        self.choice.setToolTip("Labels of nuclei: one nucleus, one cell.")
        keep_narrow(self.choice)
        self.choice.activated.connect(lambda _: nuclei.take(str(self.choice.currentData())))
        self.compare_button = button(
            "&Compare cells with nuclei", "Find cells with several nuclei, a shared one or none."
        )
        self.apply_button = button("Ta&ke", "Carry the chosen suggestion out.")
        self.all_button = button("Take &all", "Merge cells that share a nucleus, then divide cells with several.")
        self.back_button = button("Take back", "Undo all that was done by Take all.")
        self.compare_button.clicked.connect(nuclei.compare)
        self.apply_button.clicked.connect(self._apply)
        self.all_button.clicked.connect(nuclei.apply_all)
        self.back_button.clicked.connect(nuclei.take_back)
        self.table = SuggestionTable(self)
        self.view: QTableView = make_list_view(
            self.table, "Suggestions", "What nuclei suggest; choose a row to see it."
        )
        self.view.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.view.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.view.selectionModel().currentRowChanged.connect(self._show)
        self._is_showing = False
        buttons = QGridLayout()
        for place, made in enumerate((self.apply_button, self.all_button, self.back_button)):
            buttons.addWidget(made, 0, place)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (heading("Nuclei"), self.choice, self.compare_button):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.said)
        column.addWidget(self.view)
        nuclei.changed.connect(self.refresh)
        nuclei.told.connect(self._say)
        self.refresh()

    def refresh(self) -> None:
        """Show nuclei and suggestions as they are now."""
        nuclei = self.nuclei
        names = list(nuclei.offered())
        self.setVisible(bool(names))
        shown = [("No nuclei", ""), *((name, name) for name in names)]
        if [self.choice.itemData(place) for place in range(self.choice.count())] != [name for _, name in shown]:
            self.choice.clear()
            for text, name in shown:
                self.choice.addItem(text, name)
        self.choice.setCurrentIndex(max(0, self.choice.findData(nuclei.name)))
        is_free, rows = not nuclei.is_busy, nuclei.suggestions or []
        self.choice.setEnabled(is_free)
        self.compare_button.setVisible(bool(nuclei.name))
        self.compare_button.setEnabled(is_free)
        for part in (self.view, self.apply_button, self.all_button):
            part.setVisible(bool(rows))
        self.back_button.setVisible(bool(nuclei.n_applied))
        self.back_button.setEnabled(is_free)
        self._is_showing = True
        show_rows(self.view, self.table, rows)
        self._is_showing = False
        chosen = self._chosen()
        self.apply_button.setEnabled(is_free and chosen is not None and chosen.tool is not None)
        self.all_button.setEnabled(is_free and any(one.problem is not NucleusProblem.NONE for one in rows))
        if nuclei.is_looking:
            self._say("Comparing cells with nuclei; go on correcting meanwhile.")

    def _say(self, text: str) -> None:
        say(self.said, text)
        self.said.setVisible(bool(text))

    def _chosen(self) -> Suggestion | None:
        row = self.view.currentIndex().row()
        return self.table.rows[row] if 0 <= row < len(self.table.rows) else None

    def _apply(self) -> None:
        chosen = self._chosen()
        if chosen is not None:
            self.nuclei.apply(chosen)

    def _show(self, _index: QModelIndex) -> None:
        chosen = self._chosen()
        if chosen is not None and not self._is_showing:
            self._say(f"{chosen.words}.")
            self.nuclei.show(chosen)
            self.refresh()
