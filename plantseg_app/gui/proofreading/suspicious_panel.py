"""What the page Proofread shows of the work list: the cells by doubt, and the buttons that lead through them."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QGridLayout, QHeaderView, QTableView, QVBoxLayout, QWidget

from plantseg_app.gui.areas.row_table import Index, RowTable
from plantseg_app.gui.proofreading.list_view import make_list_view, show_rows
from plantseg_app.gui.proofreading.suspicious import SuspiciousCells
from plantseg_app.gui.widgets import button, heading, say, sentence
from plantseg_app.proofread.doubt import Doubt

_LINES = 2


class DoubtTable(RowTable[tuple[Doubt, int]]):
    """Doubtful cells with their sizes in voxels, one a row."""

    COLUMNS = ("Cell", "Voxels", "Why")

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell of the table shows or says when the mouse rests on it."""
        doubt, size_vox = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            texts = (str(doubt.cell), f"{size_vox:,}".replace(",", "\u2009"), doubt.reasons[0].words)
            return texts[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(reason.words for reason in doubt.reasons)
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() < 2:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None


class SuspiciousPanel(QWidget):
    """The work list with its buttons."""

    def __init__(self, cells: SuspiciousCells, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cells = cells
        self.said = sentence()
        self.find_button = button("Find suspicious cells", "Look at all cells and list the most doubtful first (N).")
        self.next_button = button("Next", "Go to the next cell of the list (N).")
        self.previous_button = button("Previous", "Go back to the cell before (Shift+N).")
        self.accept_button = button("It is right", "Lock this cell as correct and go to the next one (Y).", main=True)
        self.find_button.clicked.connect(cells.find)
        self.next_button.clicked.connect(cells.next)
        self.previous_button.clicked.connect(cells.previous)
        self.accept_button.clicked.connect(cells.accept)
        self.table = DoubtTable(self)
        self.view = self._make_view()
        self._is_showing = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        buttons = QGridLayout()
        buttons.addWidget(self.previous_button, 0, 0)
        buttons.addWidget(self.next_button, 0, 1)
        buttons.addWidget(self.accept_button, 0, 2)
        column.addWidget(heading("Suspicious cells"))
        column.addWidget(self.find_button)
        column.addLayout(buttons)
        column.addWidget(self.said)
        column.addWidget(self.view)
        # What is said of one cell is longer than of another; the list must not jump.
        self.said.setMinimumHeight(_LINES * self.fontMetrics().lineSpacing())
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        cells.changed.connect(self.refresh)
        cells.told.connect(self._say)
        self.refresh()

    def _make_view(self) -> QTableView:
        view = make_list_view(self.table, "Suspicious cells", "The most doubtful cells first; choose one to see it.")
        header = view.horizontalHeader()
        for place in (0, 1):
            header.setSectionResizeMode(place, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        view.selectionModel().currentRowChanged.connect(self._go)
        return view

    def refresh(self) -> None:
        """Show the list as it is now."""
        cells = self.cells
        session = cells.corrections.session
        has_list = cells.work is not None and session is not None
        self.find_button.setEnabled(not cells.is_looking)
        self.find_button.setVisible(not has_list)
        self.view.setVisible(has_list)
        for made in (self.previous_button, self.next_button, self.accept_button):
            made.setVisible(has_list)
        if cells.is_looking:
            self._say("Looking at all cells; go on correcting meanwhile.")
        if session is None or cells.work is None:
            self._say("" if session is None else self.said.text())
            self.table.set_rows(())
            return
        self._show_rows([(doubt, session.tissue.index.size(doubt.cell)) for doubt in cells.doubts])
        current = cells.current
        self.accept_button.setEnabled(current is not None)
        self.previous_button.setEnabled(current is not None)
        if current is not None:
            self._say(f"<b>Cell {current.cell}</b>: {why(current)}.")

    def _say(self, text: str) -> None:
        say(self.said, text)
        # While there is a list, its place is kept, because the list must not jump.
        self.said.setVisible(bool(text) or self.cells.work is not None)

    def _show_rows(self, rows: list[tuple[Doubt, int]]) -> None:
        """Show these rows and mark the cell in sight, without going anywhere."""
        work = self.cells.work
        wanted = None if work is None else work.current
        place = next((number for number, (doubt, _) in enumerate(rows) if doubt.cell == wanted), -1)
        self._is_showing = True
        show_rows(self.view, self.table, rows)
        if place != self.view.currentIndex().row():
            self.view.setCurrentIndex(self.table.index(place, 0) if place >= 0 else QModelIndex())
        self._is_showing = False

    def _go(self, index: QModelIndex) -> None:
        if not self._is_showing and index.isValid():
            self.cells.go_to(self.table.rows[index.row()][0].cell)


def why(doubt: Doubt) -> str:
    """Return the reasons of a doubt in a sentence, the strongest first."""
    words = [reason.words for reason in doubt.reasons] or ["As other cells"]
    return ", ".join(one[0].lower() + one[1:] for one in words)
